//! What pipes promise to Rust programs.

mod support;

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Connection, Error, ExitStatus, Pool, Process, Shared};
use forq::{pipe, pipe_one_way, wait_any, wait_any_timeout};
use support::{Random, eventually, is_running, resources, send};

const INLINE: usize = 64 << 10;
const MEBIBYTE: usize = 1 << 20;
const MOMENT: Duration = Duration::from_millis(20);

fn main() {
    support::run(&[
        ("messages_keep_their_boundaries_and_their_bytes", boundaries),
        ("a_child_answers_messages_of_all_sizes", echo),
        ("an_empty_message_is_not_the_end", empty_message),
        ("the_wrong_direction_is_refused", one_way),
        ("a_message_that_does_not_fit_stays", too_small),
        ("time_limits_end_calls_and_nothing_was_sent_or_taken", time_limits),
        ("a_full_pipe_takes_messages_again_once_there_is_room", full),
        ("slow_receivers_hold_senders_of_large_messages_up", bounded_memory),
        ("messages_of_several_writers_are_not_torn", several_writers),
        ("a_killed_sender_s_message_is_whole_or_not_there", killed_senders),
        ("killed_receivers_leave_the_rest_to_the_others", killed_receivers),
        ("receivers_that_share_an_end_get_each_message_once", shared_end),
        ("what_was_sent_before_the_end_arrives_before_it", pending_then_end),
        ("sending_to_nobody_is_an_error_and_no_signal", no_sigpipe),
        ("the_death_of_the_other_process_ends_the_stream", killed_peer),
        ("siblings_do_not_keep_the_ends_open", siblings),
        ("a_pool_forked_in_between_does_not_keep_the_ends_open", pool_in_between),
        ("a_sibling_s_copy_of_an_end_says_that_the_other_is_gone", captured_end),
        ("threads_may_spawn_piped_children_at_the_same_time", spawning_threads),
        ("a_child_with_a_pipe_is_refused_beside_threads", beside_threads),
        ("children_of_plain_forks_have_copies", plain_fork),
        ("descriptors_arrive_in_their_turn_and_close_on_exec", descriptors),
        ("without_room_for_a_descriptor_the_message_stays", no_descriptor_left),
        ("a_limit_on_file_sizes_is_an_error_and_no_signal", file_size_limit),
        ("poll_tells_messages_and_the_end", polling),
        ("waiting_for_many_tells_which_are_ready", waiting),
        ("a_packet_that_forq_did_not_make_is_refused", foreign_packets),
        ("read_and_write_take_and_send_messages", read_and_write),
        ("an_interruptible_thread_is_told_of_signals", interrupted),
        ("thousands_of_listed_ends_are_found_again", many_ends),
        ("pipes_leave_nothing_behind", no_leaks),
    ]);
}

/// Bytes that tell their message, and by a period that divides nothing their place.
fn pattern(seed: u64, size: usize) -> Vec<u8> {
    const PERIOD: usize = 4099;
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut block = Vec::with_capacity(PERIOD + 8);
    while block.len() < PERIOD.min(size) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block.truncate(PERIOD.min(size));
    let mut bytes = Vec::with_capacity(size + PERIOD);
    while bytes.len() < size {
        bytes.extend_from_slice(&block);
    }
    bytes.truncate(size);
    bytes
}

const SIZES: [usize; 10] = [
    0,
    1,
    INLINE - 1,
    INLINE,
    INLINE + 1,
    2 * INLINE,
    MEBIBYTE,
    MEBIBYTE + 1,
    16 * MEBIBYTE,
    40 * MEBIBYTE + 3,
];

fn boundaries() {
    let (here, there) = pipe().unwrap();
    for (from, to) in [(&here, &there), (&there, &here)] {
        for size in SIZES {
            let message = pattern(size as u64, size);
            from.send(&message).unwrap();
            from.send(b"next").unwrap();
            assert_eq!(to.next_size().unwrap(), size);
            let mut buffer = vec![0; size + 1];
            assert_eq!(to.recv(&mut buffer).unwrap(), size);
            assert!(buffer[..size] == message, "{size} bytes arrived changed");
            assert_eq!(buffer[size], 0, "no more than the message was written");
            assert_eq!(to.recv_vec().unwrap(), b"next");
        }
    }
}

fn echo() {
    let (mut child, connection) = Process::spawn_piped(|connection: Connection| {
        loop {
            match connection.recv_vec() {
                Ok(message) => connection.send(&message).unwrap(),
                Err(error) => return i32::from(error != Error::Disconnected),
            }
        }
    })
    .unwrap();
    for size in SIZES {
        let message = pattern(size as u64, size);
        connection.send(&message).unwrap();
        assert!(connection.recv_vec().unwrap() == message);
    }
    drop(connection);
    assert_eq!(child.join().unwrap(), ExitStatus::Exited(0));
}

fn empty_message() {
    let (here, there) = pipe().unwrap();
    for _ in 0..3 {
        here.send(&[]).unwrap();
    }
    drop(here);
    for _ in 0..3 {
        assert!(there.poll(Duration::ZERO).unwrap());
        assert_eq!(there.recv(&mut []), Ok(0));
    }
    assert_eq!(there.recv(&mut []), Err(Error::Disconnected));
    assert_eq!(there.recv_vec(), Err(Error::Disconnected));
}

fn one_way() {
    let (receiver, sender) = pipe_one_way().unwrap();
    sender.send(b"there").unwrap();
    assert_eq!(receiver.recv_vec().unwrap(), b"there");
    assert_eq!(receiver.send(b"back"), Err(Error::NotPermitted));
    assert_eq!(receiver.send_fd(&receiver), Err(Error::NotPermitted));
    assert_eq!(sender.recv(&mut [0; 9]), Err(Error::NotPermitted));
    assert_eq!(sender.try_recv(&mut [0; 9]), Err(Error::NotPermitted));
    assert_eq!(sender.next_size(), Err(Error::NotPermitted));
    assert_eq!(sender.poll(Duration::ZERO), Err(Error::NotPermitted));
    assert_eq!(sender.recv_fd().unwrap_err(), Error::NotPermitted);
    // It is told that nobody receives any more.
    assert_eq!(wait_any_timeout(&[&sender], Duration::ZERO), Err(Error::WouldBlock));
    drop(receiver);
    assert_eq!(wait_any(&[&sender]), Ok(vec![0]));
    assert_eq!(sender.send(b"there"), Err(Error::Disconnected));
}

fn too_small() {
    let (here, there) = pipe().unwrap();
    for size in [1, 100, INLINE, INLINE + 1, MEBIBYTE] {
        let message = pattern(size as u64, size);
        here.send(&message).unwrap();
        let mut buffer = vec![7; size];
        assert_eq!(there.recv(&mut buffer[..size - 1]), Err(Error::MessageSize));
        assert_eq!(there.try_recv(&mut []), Err(Error::MessageSize));
        assert_eq!(there.recv_timeout(&mut buffer[..size / 2], MOMENT), Err(Error::MessageSize));
        assert!(buffer.iter().all(|&byte| byte == 7), "the buffer is as it was");
        assert_eq!(there.next_size().unwrap(), size);
        assert_eq!(there.recv(&mut buffer).unwrap(), size);
        assert!(buffer == message);
        assert_eq!(there.try_recv(&mut buffer), Err(Error::WouldBlock));
    }
}

/// Sends until there is no room.
fn fill(connection: &Connection, message: &[u8]) -> usize {
    let mut sent = 0;
    loop {
        match connection.try_send(message) {
            Ok(()) => sent += 1,
            Err(Error::WouldBlock) => return sent,
            Err(error) => panic!("{error}"),
        }
    }
}

fn time_limits() {
    let (here, there) = pipe().unwrap();
    let mut buffer = [0; 1000];
    assert_eq!(there.try_recv(&mut buffer), Err(Error::WouldBlock));
    assert_eq!(there.recv_timeout(&mut buffer, Duration::ZERO), Err(Error::WouldBlock));
    assert_eq!(there.recv_timeout(&mut buffer, Duration::from_nanos(1)), Err(Error::TimedOut));
    let started = Instant::now();
    assert_eq!(there.recv_timeout(&mut buffer, MOMENT), Err(Error::TimedOut));
    assert_eq!(there.recv_vec_timeout(MOMENT), Err(Error::TimedOut));
    assert_eq!(there.recv_fd_timeout(MOMENT).unwrap_err(), Error::TimedOut);
    assert!(started.elapsed() >= 3 * MOMENT);
    let sent = fill(&here, &[1; 1000]);
    assert!(sent > 0);
    for message in [&[2; 1000][..], &[2; INLINE], &[2; MEBIBYTE]] {
        assert_eq!(here.send_timeout(message, Duration::ZERO), Err(Error::WouldBlock));
        assert_eq!(here.send_timeout(message, Duration::from_nanos(1)), Err(Error::TimedOut));
        let started = Instant::now();
        assert_eq!(here.send_timeout(message, MOMENT), Err(Error::TimedOut));
        assert!(started.elapsed() >= MOMENT);
    }
    assert_eq!(here.send_fd_timeout(&there, Duration::ZERO), Err(Error::WouldBlock));
    for _ in 0..sent {
        assert_eq!(there.recv_timeout(&mut buffer, Duration::MAX), Ok(1000));
        assert_eq!(buffer, [1; 1000]);
    }
    assert_eq!(there.try_recv(&mut buffer), Err(Error::WouldBlock), "nothing more was sent");
    here.send_timeout(&[3], Duration::MAX).unwrap();
    here.try_send(&[4]).unwrap();
    assert_eq!(there.recv_timeout(&mut buffer, Duration::from_nanos(1)), Ok(1));
    assert_eq!(there.try_recv(&mut buffer), Ok(1));
    assert_eq!(buffer[0], 4);
}

fn full() {
    const MESSAGES: u32 = 300;
    for size in [1, 1000, INLINE, INLINE + 1, 200_000] {
        let (mut child, connection) = Process::spawn_piped(move |connection: Connection| {
            std::thread::sleep(MOMENT);
            for index in 0..MESSAGES {
                let message = connection.recv_vec().unwrap();
                assert!(message.len() == size && message.iter().all(|&byte| byte == index as u8));
            }
        })
        .unwrap();
        for index in 0..MESSAGES {
            connection.send(&vec![index as u8; size]).unwrap();
        }
        assert!(child.join().unwrap().success(), "{size}");
    }
}

fn bounded_memory() {
    let (here, there) = pipe().unwrap();
    let sent = fill(&here, &pattern(1, 4 * MEBIBYTE));
    assert!((1..=16).contains(&sent), "{sent} large messages are under way");
    for _ in 0..sent {
        assert_eq!(there.recv_vec().unwrap().len(), 4 * MEBIBYTE);
    }
}

/// Writer, number, size, and bytes that follow from these.
fn stamped(writer: u64, number: u64, size: usize) -> Vec<u8> {
    let mut message = writer.to_le_bytes().to_vec();
    message.extend_from_slice(&number.to_le_bytes());
    message.extend_from_slice(&pattern(writer << 32 | number, size));
    message
}

/// Whose it is and which.
fn check_stamped(message: &[u8]) -> (u64, u64) {
    let word = |at: usize| u64::from_le_bytes(message[at..at + 8].try_into().unwrap());
    let (writer, number) = (word(0), word(8));
    assert!(message == stamped(writer, number, message.len() - 16), "torn");
    (writer, number)
}

fn random_size(random: &mut Random) -> usize {
    match random.below(100) {
        0 => random.below(300_000) as usize,
        1..20 => random.below(70_000) as usize,
        _ => random.below(2_000) as usize,
    }
}

fn several_writers() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 1000;
    let (receiver, sender) = pipe_one_way().unwrap();
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            Process::spawn(|| {
                let mut random = Random(writer + 1);
                for number in 0..EACH {
                    sender.send(&stamped(writer, number, random_size(&mut random))).unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    drop(sender);
    let mut next = [0; WRITERS as usize];
    while let Ok(message) = receiver.recv_vec() {
        let (writer, number) = check_stamped(&message);
        assert_eq!(number, next[writer as usize], "in the order of its writer");
        next[writer as usize] += 1;
    }
    assert_eq!(next, [EACH; WRITERS as usize]);
    assert_eq!(receiver.recv_vec(), Err(Error::Disconnected));
    writers.iter_mut().for_each(|writer| assert!(writer.join().unwrap().success()));
}

fn killed_senders() {
    let mut random = Random(7);
    let (mut received, mut cut_short) = (0, 0);
    for round in 0..200u64 {
        let size = if round % 2 == 0 { 300_000 } else { 3 * MEBIBYTE };
        let (mut child, connection) = Process::spawn_piped(move |connection: Connection| {
            let messages: Vec<_> = (0..3).map(|number| stamped(round, number, size)).collect();
            connection.send(b"ready").unwrap();
            for message in &messages {
                connection.send(message).unwrap();
            }
            loop {
                std::thread::sleep(MOMENT);
            }
        })
        .unwrap();
        assert_eq!(connection.recv_vec().unwrap(), b"ready");
        let until = Instant::now() + Duration::from_micros(random.below(3000));
        while Instant::now() < until {}
        child.kill().unwrap();
        let mut next = 0;
        while let Ok(message) = connection.recv_vec() {
            assert_eq!(message.len(), size + 16);
            assert_eq!(check_stamped(&message), (round, next));
            next += 1;
        }
        assert_eq!(connection.recv_vec(), Err(Error::Disconnected));
        received += next;
        cut_short += u64::from(next < 3);
        assert_eq!(child.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
    }
    assert!(received > 0 && cut_short > 0, "{received} messages, {cut_short} senders cut short");
}

fn killed_receivers() {
    const MESSAGES: u64 = 4000;
    let seen = Shared::slice_with(MESSAGES as usize, |_| AtomicU32::new(0)).unwrap();
    let (receiver, sender) = pipe_one_way().unwrap();
    let receive_all = || {
        while let Ok(message) = receiver.recv_vec() {
            let (_, number) = check_stamped(&message);
            seen[number as usize].fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut writer = Process::spawn(|| {
        for number in 0..MESSAGES {
            sender.send(&stamped(0, number, if number % 4 == 0 { 100_000 } else { 500 })).unwrap();
        }
    })
    .unwrap();
    drop(sender);
    let mut random = Random(3);
    let mut killed = 0;
    let mut victims: Vec<_> = (0..2).map(|_| Process::spawn(receive_all).unwrap()).collect();
    while writer.is_alive() {
        let until = Instant::now() + Duration::from_micros(random.below(2000));
        while Instant::now() < until {}
        let index = random.below(2) as usize;
        let _ = victims[index].kill();
        victims[index].join().unwrap();
        killed += 1;
        victims[index] = Process::spawn(receive_all).unwrap();
    }
    // The rest, with those that live.
    receive_all();
    assert!(writer.join().unwrap().success());
    victims.iter_mut().for_each(|victim| assert!(victim.join().unwrap().success()));
    let times: Vec<_> = seen.iter().map(|times| times.load(Ordering::Relaxed)).collect();
    assert!(times.iter().all(|&times| times <= 1), "none was received twice");
    let lost = times.iter().filter(|&&times| times == 0).count();
    assert!(killed > 3, "only {killed} were killed");
    assert!(lost <= killed, "{lost} of {MESSAGES} lost by {killed} deaths");
}

fn shared_end() {
    const MESSAGES: u64 = 3000;
    let sum = Shared::new(AtomicU64::new(0)).unwrap();
    let (receiver, sender) = pipe_one_way().unwrap();
    let mut sender = Some(sender);
    let mut receivers: Vec<_> = (0..4)
        .map(|_| {
            Process::spawn(|| {
                // This process's copy, which would keep the end from coming.
                drop(sender.take());
                loop {
                    let mut buffer = vec![0; 20_000];
                    match receiver.recv(&mut buffer) {
                        Ok(size) => {
                            let (_, number) = check_stamped(&buffer[..size]);
                            sum.fetch_add(number, Ordering::Relaxed);
                        }
                        // Too large: taken with more room by whoever is next, or by another receiver meanwhile.
                        Err(Error::MessageSize) => {
                            if let Ok(message) = receiver.recv_vec() {
                                let (_, number) = check_stamped(&message);
                                sum.fetch_add(number, Ordering::Relaxed);
                            }
                        }
                        Err(error) => return i32::from(error != Error::Disconnected),
                    }
                }
            })
            .unwrap()
        })
        .collect();
    drop(receiver);
    let sender = sender.unwrap();
    let mut random = Random(5);
    for number in 1..=MESSAGES {
        sender.send(&stamped(0, number, random.below(30_000) as usize)).unwrap();
    }
    drop(sender);
    receivers.iter_mut().for_each(|receiver| assert!(receiver.join().unwrap().success()));
    assert_eq!(sum.load(Ordering::Relaxed), MESSAGES * (MESSAGES + 1) / 2);
}

fn pending_then_end() {
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

fn no_sigpipe() {
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

fn killed_peer() {
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
fn until_the_end(connection: Connection) -> i32 {
    i32::from(connection.recv_vec() != Err(Error::Disconnected))
}

fn siblings() {
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

fn pool_in_between() {
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

fn captured_end() {
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

fn spawning_threads() {
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

fn beside_threads() {
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

fn plain_fork() {
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

fn is_close_on_exec(fd: i32) -> bool {
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC != 0
}

fn descriptors() {
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

fn no_descriptor_left() {
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

fn file_size_limit() {
    let lower = libc::rlimit { rlim_cur: 100_000, rlim_max: 100_000 };
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &lower) }, 0);
    let (here, there) = pipe().unwrap();
    assert_eq!(here.send(&[1; MEBIBYTE]), Err(Error::OutOfSpace));
    here.send(&[1; 100_000]).unwrap();
    assert_eq!(there.recv_vec().unwrap(), [1; 100_000]);
}

fn polling() {
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

fn waiting() {
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

fn foreign_packets() {
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

fn read_and_write() {
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

fn interrupted() {
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

fn many_ends() {
    // More than a page of the list holds.
    let limit = libc::rlimit { rlim_cur: 4000, rlim_max: 4000 };
    // SAFETY: a valid limit; where it cannot be raised this is a smaller test.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
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
    assert!(children.len() > 400);
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

fn no_leaks() {
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
