//! How the end of the other side is told, whoever else was forked meanwhile.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forq::{Connection, Error, Pool, Process, Shared, pipe};

use super::messages::fill;
use super::{MEBIBYTE, MOMENT};
use crate::support::{eventually, is_running, resources, send};

pub(super) fn pending_then_end() {
    let (here, there) = pipe().unwrap();
    // What is unread on the other side makes the kernel report an error once: not to be taken for the end.
    there.send(b"never read").unwrap();
    here.send(b"one").unwrap();
    here.send(&[2; MEBIBYTE]).unwrap();
    drop(here);
    assert_eq!(there.recv_vec().unwrap(), b"one");
    assert_eq!(there.recv_vec().unwrap(), vec![2; MEBIBYTE]);
    for _ in 0..2 {
        assert_eq!(there.recv_vec(), Err(Error::Disconnected));
        assert_eq!(there.try_recv(&mut []), Err(Error::Disconnected));
        assert_eq!(there.send(b"x"), Err(Error::Disconnected));
    }
}

pub(super) fn no_sigpipe() {
    // SAFETY: not a handler; Rust's runtime ignores the signal.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (here, there) = pipe().unwrap();
    drop(there);
    for message in [&[][..], b"x", &[0; MEBIBYTE]] {
        assert_eq!(here.send(message), Err(Error::Disconnected));
        assert_eq!(here.try_send(message), Err(Error::Disconnected));
    }
    assert_eq!(here.send_fd(&here), Err(Error::Disconnected));
    // Also one that waits for room.
    let (here, there) = pipe().unwrap();
    fill(&here, &[0; 1000]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(MOMENT);
            drop(there);
        });
        assert_eq!(here.send(b"waits"), Err(Error::Disconnected));
    });
}

pub(super) fn killed_peer() {
    let (mut child, connection) = Process::spawn_piped(|connection: Connection| {
        connection.send(b"first").unwrap();
        std::thread::sleep(Duration::from_secs(1000));
    })
    .unwrap();
    eventually("it has sent", || connection.poll(Duration::ZERO).unwrap());
    child.kill().unwrap();
    assert_eq!(connection.recv_vec().unwrap(), b"first");
    assert_eq!(connection.recv_vec(), Err(Error::Disconnected));
    assert_eq!(connection.send(b"x"), Err(Error::Disconnected));
    child.join().unwrap();
}

/// Waits for the end of its connection.
pub(super) fn until_the_end(connection: Connection) -> i32 {
    i32::from(connection.recv_vec() != Err(Error::Disconnected))
}

pub(super) fn siblings() {
    // Each child sees the end of its parent, and the parent that of each child, although those forked later live on.
    let mut children: Vec<_> = (0..6).map(|_| Process::spawn_piped(until_the_end).unwrap()).collect();
    let idle = Process::spawn(|| std::thread::sleep(Duration::from_secs(1000))).unwrap();
    let (mut first, connection) = children.remove(0);
    drop(connection);
    assert!(first.join().unwrap().success());
    let (mut second, connection) = children.remove(0);
    second.kill().unwrap();
    assert_eq!(connection.recv_vec(), Err(Error::Disconnected));
    second.join().unwrap();
    for (mut child, connection) in children {
        drop(connection);
        assert!(child.join().unwrap().success());
    }
    // A parent that is killed, with a sibling that lives on.
    let ends = Shared::slice_with(3, |_| AtomicU32::new(0)).unwrap();
    let mut parent = Process::spawn(|| {
        let (_child, _connection) = Process::spawn_piped(|connection: Connection| {
            ends[0].store(std::process::id(), Ordering::Relaxed);
            let told = until_the_end(connection);
            ends[2].store(1 + told as u32, Ordering::Relaxed);
        })
        .unwrap();
        let sibling = Process::spawn(|| std::thread::sleep(Duration::from_secs(1000))).unwrap();
        ends[1].store(sibling.pid(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(1000));
    })
    .unwrap();
    eventually("both run", || ends[..2].iter().all(|pid| pid.load(Ordering::Relaxed) != 0));
    parent.kill().unwrap();
    parent.join().unwrap();
    eventually("its child was told", || ends[2].load(Ordering::Relaxed) == 1);
    assert!(is_running(ends[1].load(Ordering::Relaxed)));
    send(ends[1].load(Ordering::Relaxed), libc::SIGKILL);
    idle.kill().unwrap();
}

pub(super) fn pool_in_between() {
    let (mut child, connection) = Process::spawn_piped(until_the_end).unwrap();
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(|x: &u64| x + 1, &[1, 2, 3]).unwrap(), [2, 3, 4]);
    drop(connection);
    assert!(child.join().unwrap().success());
    let (mut child, connection) = Process::spawn_piped(|connection: Connection| {
        let pool = Pool::new(2).unwrap();
        connection.send(b"ready").unwrap();
        std::thread::sleep(Duration::from_secs(1000));
        drop(pool);
    })
    .unwrap();
    assert_eq!(connection.recv_vec().unwrap(), b"ready");
    child.kill().unwrap();
    assert_eq!(connection.recv_vec(), Err(Error::Disconnected));
    child.join().unwrap();
}

pub(super) fn captured_end() {
    let (mut child, connection) = Process::spawn_piped(|connection: Connection| {
        let told = connection.recv_vec() == Ok(b"hello".to_vec());
        let ended = connection.recv_vec() == Err(Error::Disconnected);
        // Its own child has no copy either.
        let mut own =
            Process::spawn(|| i32::from(connection.send(b"x") != Err(Error::Disconnected))).unwrap();
        i32::from(!(told && ended && own.join().unwrap().success()))
    })
    .unwrap();
    let number = connection.as_raw_fd();
    let mut copy = Some(connection);
    let mut sibling = Process::spawn(|| {
        let connection = copy.take().unwrap();
        assert_eq!(connection.as_raw_fd(), number);
        assert_eq!(connection.send(b"from a sibling"), Err(Error::Disconnected));
        assert_eq!(connection.recv_vec(), Err(Error::Disconnected));
        assert_eq!(connection.poll(Duration::ZERO), Ok(true));
        // The number stays taken until the copy is dropped.
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_ne!(file.as_raw_fd(), number);
        let mut own =
            Process::spawn(|| i32::from(connection.send(b"from a child of it") != Err(Error::Disconnected)))
                .unwrap();
        assert!(own.join().unwrap().success());
        drop(connection);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(file.as_raw_fd() <= number);
    })
    .unwrap();
    assert!(sibling.join().unwrap().success());
    let connection = copy.unwrap();
    connection.send(b"hello").unwrap();
    drop(connection);
    assert!(child.join().unwrap().success());
}

pub(super) fn spawning_threads() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..60 {
                    // SAFETY: the child only makes system calls.
                    let (mut child, connection) = unsafe {
                        Process::spawn_piped_unchecked(|connection: Connection| {
                            let mut buffer = [0; 16];
                            let size = connection.recv(&mut buffer).unwrap_or(0);
                            connection.send(&buffer[..size]).is_err() as i32
                        })
                    }
                    .unwrap();
                    connection.send(&[round]).unwrap();
                    let mut buffer = [0; 16];
                    assert_eq!(connection.recv(&mut buffer), Ok(1));
                    assert_eq!(buffer[0], round);
                    assert_eq!(connection.recv(&mut buffer), Err(Error::Disconnected));
                    assert!(child.join().unwrap().success());
                }
            });
        }
        // Long-lived ones in between, which see their ends whatever the others forked.
        for _ in 0..20 {
            // SAFETY: as above.
            let (mut child, connection) = unsafe {
                Process::spawn_piped_unchecked(|connection: Connection| {
                    i32::from(connection.recv(&mut [0; 16]) != Err(Error::Disconnected))
                })
            }
            .unwrap();
            std::thread::sleep(Duration::from_millis(2));
            drop(connection);
            assert!(child.join_timeout(Duration::from_secs(20)).unwrap().success());
        }
    });
}

pub(super) fn beside_threads() {
    let before = resources();
    let stop = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while stop.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(Process::spawn_piped(until_the_end).unwrap_err(), Error::MultiThreaded);
        stop.store(1, Ordering::Relaxed);
    });
    assert_eq!(resources(), before);
}

pub(super) fn plain_fork() {
    let (mut child, connection) = Process::spawn_piped(|connection: Connection| {
        let message = connection.recv_vec().unwrap();
        i32::from(message != b"by a plain fork" || connection.recv_vec() != Err(Error::Disconnected))
    })
    .unwrap();
    let (here, there) = pipe().unwrap();
    // SAFETY: this process has one thread.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        connection.send(b"by a plain fork").unwrap();
        assert_eq!(there.recv_vec().unwrap(), b"to the child");
        there.send(b"to the parent").unwrap();
        // SAFETY: the child ends here.
        unsafe { libc::_exit(0) };
    }
    here.send(b"to the child").unwrap();
    drop(there);
    assert_eq!(here.recv_vec().unwrap(), b"to the parent");
    assert_eq!(here.recv_vec(), Err(Error::Disconnected));
    // SAFETY: no place for the result.
    assert_eq!(unsafe { libc::waitpid(copy, std::ptr::null_mut(), 0) }, copy);
    drop(connection);
    assert!(child.join().unwrap().success());
}
