//! Descriptors: sent, waited for, used up; and what strangers send.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use forq::{Connection, Error, ExitStatus, Process};
use forq::{pipe, pipe_one_way, wait_any, wait_any_timeout};

use super::ends::until_the_end;
use super::messages::{fill, pattern};
use super::{INLINE, MEBIBYTE, MOMENT};
use crate::support::{Random, eventually, resources, send};

fn is_close_on_exec(fd: i32) -> bool {
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC != 0
}

pub(super) fn descriptors() {
    let (mut child, connection) = Process::spawn_piped(|connection: Connection| {
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        connection.send(b"before").unwrap();
        connection.send_fd(&writer).unwrap();
        connection.send(b"after").unwrap();
        drop(writer);
        let mut text = String::new();
        (&reader).read_to_string(&mut text).unwrap();
        i32::from(text != "through the pipe")
    })
    .unwrap();
    assert!(is_close_on_exec(connection.as_raw_fd()));
    assert_eq!(connection.recv_fd().unwrap_err(), Error::Protocol, "a message is next");
    assert_eq!(connection.recv_vec().unwrap(), b"before");
    assert_eq!(connection.recv_vec(), Err(Error::Protocol), "a descriptor is next");
    assert_eq!(connection.next_size(), Err(Error::Protocol));
    let writer = connection.recv_fd().unwrap();
    assert!(is_close_on_exec(writer.as_raw_fd()));
    assert_eq!(connection.recv_vec().unwrap(), b"after");
    std::fs::File::from(writer).write_all(b"through the pipe").unwrap();
    assert!(child.join().unwrap().success());
    let (here, there) = pipe().unwrap();
    assert!(is_close_on_exec(here.as_raw_fd()) && is_close_on_exec(there.as_raw_fd()));
    // A file that was received and one that was not: both are gone with their holders.
    let before = resources();
    here.send_fd(&here).unwrap();
    here.send_fd(&there).unwrap();
    drop(there.recv_fd().unwrap());
    assert_eq!(resources(), before);
}

pub(super) fn no_descriptor_left() {
    let (here, there) = pipe().unwrap();
    let message = pattern(9, MEBIBYTE);
    here.send(&message).unwrap();
    here.send_fd(&here).unwrap();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a place for the result.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    let set = |current| {
        let lower = libc::rlimit { rlim_cur: current, ..limit };
        // SAFETY: a valid limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &lower) }, 0);
    };
    let mut buffer = vec![0; MEBIBYTE];
    set(3);
    assert_eq!(there.recv(&mut buffer), Err(Error::OutOfMemory));
    assert_eq!(there.send(&message), Err(Error::OutOfMemory));
    assert_eq!(pipe().unwrap_err(), Error::OutOfMemory);
    set(limit.rlim_cur);
    assert_eq!(there.recv(&mut buffer), Ok(MEBIBYTE));
    assert!(buffer == message);
    set(3);
    assert_eq!(there.recv_fd().unwrap_err(), Error::OutOfMemory);
    set(limit.rlim_cur);
    there.recv_fd().unwrap();
    assert_eq!(there.try_recv(&mut buffer), Err(Error::WouldBlock));
}

pub(super) fn file_size_limit() {
    let lower = libc::rlimit { rlim_cur: 100_000, rlim_max: 100_000 };
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &lower) }, 0);
    let (here, there) = pipe().unwrap();
    assert_eq!(here.send(&[1; MEBIBYTE]), Err(Error::OutOfSpace));
    here.send(&[1; 100_000]).unwrap();
    assert_eq!(there.recv_vec().unwrap(), [1; 100_000]);
}

pub(super) fn polling() {
    let (here, there) = pipe().unwrap();
    assert_eq!(there.poll(Duration::ZERO), Ok(false));
    let started = Instant::now();
    assert_eq!(there.poll(MOMENT), Ok(false));
    assert!(started.elapsed() >= MOMENT);
    here.send(&[]).unwrap();
    assert_eq!(there.poll(Duration::ZERO), Ok(true));
    assert_eq!(there.poll(Duration::MAX), Ok(true));
    there.recv(&mut []).unwrap();
    assert_eq!(there.poll(Duration::ZERO), Ok(false));
    drop(here);
    assert_eq!(there.poll(Duration::ZERO), Ok(true), "the end");
}

pub(super) fn waiting() {
    let (here, there) = pipe().unwrap();
    let (mut child, connection) = Process::spawn_piped(|connection: Connection| {
        let _ = connection.recv_vec();
        5
    })
    .unwrap();
    let all: [&dyn AsFd; 3] = [&there, &child, &connection];
    assert_eq!(wait_any_timeout(&all, Duration::ZERO), Err(Error::WouldBlock));
    let started = Instant::now();
    assert_eq!(wait_any_timeout(&all, MOMENT), Err(Error::TimedOut));
    assert!(started.elapsed() >= MOMENT);
    here.send(b"x").unwrap();
    assert_eq!(wait_any(&all), Ok(vec![0]));
    connection.send(b"end").unwrap();
    eventually("the child has ended", || !child.is_alive());
    let all: [&dyn AsFd; 3] = [&there, &child, &connection];
    assert_eq!(wait_any_timeout(&all, Duration::MAX), Ok(vec![0, 1, 2]));
    assert_eq!(child.join().unwrap(), ExitStatus::Exited(5));
    assert_eq!(wait_any(&[]), Err(Error::InvalidArgument));
    // More than fit on a stack.
    let pipes: Vec<_> = (0..200).map(|_| pipe().unwrap()).collect();
    let receivers: Vec<&dyn AsFd> = pipes.iter().map(|(_, there)| there as &dyn AsFd).collect();
    let before = resources();
    assert_eq!(wait_any_timeout(&receivers, Duration::from_nanos(1)), Err(Error::TimedOut));
    for index in [0, 31, 32, 77, 199] {
        pipes[index].0.send(b"x").unwrap();
    }
    assert_eq!(wait_any(&receivers), Ok(vec![0, 31, 32, 77, 199]));
    assert_eq!(resources(), before);
}

/// Sends a packet past forq.
fn send_packet(connection: &Connection, bytes: &[u8]) {
    // SAFETY: the bytes are as many as we say.
    let sent = unsafe { libc::send(connection.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    assert_eq!(sent, bytes.len() as isize);
}

fn packet(kind: u64, size: u64, body: &[u8]) -> Vec<u8> {
    [&kind.to_ne_bytes(), &size.to_ne_bytes(), body].concat()
}

pub(super) fn foreign_packets() {
    let (here, there) = pipe().unwrap();
    let foreign = [
        b"x".to_vec(),
        b"fifteen bytes..".to_vec(),
        packet(0, 0, b""),
        packet(3, 0, b""),
        packet(u64::MAX, u64::MAX, b""),
        packet(1, 1, b""),
        packet(1, 0, b"x"),
        packet(1, u64::MAX, b"x"),
        packet(1, 1 << 40, &[0; 1000]),
        packet(2, 0, b""),
        packet(2, 0, b"x"),
    ];
    for bytes in foreign {
        send_packet(&here, &bytes);
        here.send(b"good").unwrap();
        assert_eq!(there.recv_vec(), Err(Error::Protocol), "{bytes:?}");
        assert_eq!(there.recv_vec().unwrap(), b"good");
        send_packet(&here, &bytes);
        here.send_fd(&here).unwrap();
        assert_eq!(there.recv_fd().unwrap_err(), Error::Protocol, "{bytes:?}");
        there.recv_fd().unwrap();
    }
    // Random bytes: any answer but a crash, and never more than the buffer holds.
    let mut random = Random(11);
    for _ in 0..2000 {
        let mut bytes = vec![0; 1 + random.below(64) as usize];
        bytes.iter_mut().for_each(|byte| *byte = random.below(3) as u8);
        send_packet(&here, &bytes);
        let mut buffer = [0; 8];
        while !matches!(there.try_recv(&mut buffer), Err(Error::WouldBlock)) {
            let _ = there.recv_vec_timeout(Duration::ZERO);
        }
    }
    // A memory file that is not sealed, or too short.
    let before = resources();
    for (length, seal) in [(100, false), (10, true)] {
        send_with_file(&here, &packet(1, 100, b""), length, seal);
        here.send(b"good").unwrap();
        assert_eq!(there.recv_vec(), Err(Error::Protocol));
        assert_eq!(there.recv_vec().unwrap(), b"good");
    }
    assert_eq!(resources(), before);
}

/// Sends a packet and a memory file past forq.
fn send_with_file(connection: &Connection, bytes: &[u8], length: i64, seal: bool) {
    // SAFETY: a C string, and memory that outlives the calls.
    unsafe {
        let file = libc::memfd_create(c"test".as_ptr(), libc::MFD_ALLOW_SEALING);
        assert_eq!(libc::ftruncate(file, length), 0);
        if seal {
            assert_eq!(libc::fcntl(file, libc::F_ADD_SEALS, 15), 0);
        }
        let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut control = [0u64; 3];
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&mut part, 1);
        (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), 20);
        let header = libc::CMSG_FIRSTHDR(&message);
        header.write(libc::cmsghdr {
            cmsg_len: 20,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        });
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(file);
        assert_eq!(libc::sendmsg(connection.as_raw_fd(), &message, 0), bytes.len() as isize);
        libc::close(file);
    }
}

pub(super) fn read_and_write() {
    let (mut here, mut there) = pipe().unwrap();
    here.write_all(b"one line\n").unwrap();
    writeln!(&here, "and another").unwrap();
    here.write_all(b"").unwrap();
    here.send(&[]).unwrap();
    here.flush().unwrap();
    drop(here);
    let mut text = String::new();
    std::io::BufReader::new(&there).read_to_string(&mut text).unwrap();
    assert_eq!(text, "one line\nand another\n");
    assert_eq!(there.read(&mut [0; 5]).unwrap(), 0);
    let broken = there.write(b"x").unwrap_err();
    assert_eq!(broken.kind(), std::io::ErrorKind::BrokenPipe);
    let (mut here, mut there) = pipe().unwrap();
    here.write_all(b"too long").unwrap();
    assert_eq!(there.read(&mut [0; 5]).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
    assert_eq!(there.read(&mut [0; 8]).unwrap(), 8);
}

pub(super) fn interrupted() {
    extern "C" fn note(_: i32) {}
    // SAFETY: a handler that does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = note as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
    }
    let (here, there) = pipe().unwrap();
    let me = std::process::id();
    let mut sender = Process::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(5));
            send(me, libc::SIGUSR1);
        }
    })
    .unwrap();
    assert_eq!(there.recv_vec_timeout(3 * MOMENT), Err(Error::TimedOut), "as if there were no signals");
    forq::set_interruptible(true);
    assert_eq!(there.recv_vec(), Err(Error::Interrupted));
    fill(&here, &[0; 1000]);
    assert_eq!(here.send(&[0; 1000]), Err(Error::Interrupted));
    sender.kill().unwrap();
    sender.join().unwrap();
}

pub(super) fn many_ends() {
    // More than a page of the list holds; where the limit cannot be raised this is a smaller test.
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a place for the limit, and a valid one.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max.min(4000);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
    let mut children = Vec::new();
    for _ in 0..1100 {
        match Process::spawn_piped(|_| ()) {
            Ok((mut child, connection)) => {
                assert!(child.join().unwrap().success());
                children.push(connection);
            }
            Err(error) => {
                assert_eq!(error, Error::OutOfMemory);
                break;
            }
        }
    }
    assert!(children.len() > 400 || children.len() as u64 > limit.rlim_cur / 3);
    let (mut last, connection) = Process::spawn_piped(until_the_end).unwrap_or_else(|_| {
        children.truncate(children.len() - 10);
        Process::spawn_piped(until_the_end).unwrap()
    });
    let mut sibling = Process::spawn(|| {
        let gone = |end: &Connection| end.try_send(b"x") == Err(Error::Disconnected);
        let dead = children.iter().chain([&connection]).all(gone);
        drop(children);
        i32::from(!dead)
    })
    .unwrap();
    assert!(sibling.join().unwrap().success());
    drop(connection);
    assert!(last.join().unwrap().success());
}

pub(super) fn no_leaks() {
    let mut before = None;
    for round in 0..50 {
        let (here, there) = pipe().unwrap();
        let (receiver, sender) = pipe_one_way().unwrap();
        here.send(&vec![1; INLINE * (round % 3)]).unwrap();
        sender.send(&vec![1; INLINE * (round % 3)]).unwrap();
        receiver.recv_vec().unwrap();
        assert_eq!(there.try_recv(&mut [0; 3]).is_err(), round % 3 > 0);
        let (mut child, connection) = Process::spawn_piped(|connection: Connection| {
            connection.send(&[0; MEBIBYTE]).unwrap();
            connection.recv_fd().unwrap();
        })
        .unwrap();
        connection.recv_vec().unwrap();
        connection.send_fd(&here).unwrap();
        child.join().unwrap();
        let _ = Process::spawn_piped(|_| 0).map(|(mut child, _connection)| child.join());
        drop((here, there, receiver, sender, connection));
        let now = resources();
        assert_eq!(*before.get_or_insert(now), now, "after {round} rounds");
    }
    // Descriptors in the child: the standard ones, those of the test program, and its own end.
    let opened_by_parent = resources().0;
    let (mut child, connection) =
        Process::spawn_piped(move |_: Connection| i32::from(resources().0 > opened_by_parent + 2)).unwrap();
    assert!(child.join().unwrap().success());
    drop(connection);
}
