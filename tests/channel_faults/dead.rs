//! A side whose process has died or left, and who comes after it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{__channel_in_lap as channel_in_lap, byte_channel, channel};
use forq::{Error, Process, Receiver, Sender, Shared};

use super::GRACE;
use super::common::{falls_asleep, join, kill};
use crate::support::{eventually, is_stopped, send};

/// A child that puts some and then does nothing until it is killed.
fn idle_producer(sender: &mut Sender<u64>, count: u64) -> Process {
    let child = Process::spawn(|| {
        (0..count).for_each(|number| sender.put(number).unwrap());
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    })
    .unwrap();
    eventually("all are put", || sender.len() as u64 == count);
    child
}

pub(super) fn dead_producer() {
    let (mut sender, mut receiver) = channel::<u64>(10).unwrap();
    let child = idle_producer(&mut sender, 3);
    assert_eq!(receiver.get(), Ok(0));
    kill(child);
    assert_eq!([receiver.get(), receiver.get_timeout(GRACE)], [Ok(1), Ok(2)]);
    let started = Instant::now();
    assert_eq!(receiver.get(), Err(Error::Disconnected));
    assert!(started.elapsed() >= GRACE);
    assert_eq!([receiver.try_get(), receiver.get()], [Err(Error::Disconnected); 2]);
    // Who asks only shortly is told as well.
    assert_eq!(receiver.get_timeout(GRACE / 10), Err(Error::Disconnected));
    // Each wait gives a successor its time; which on a loaded machine may come after that.
    eventually("a successor comes in time", || {
        let late = Process::spawn(|| {
            std::thread::sleep(GRACE / 3);
            sender.put(3).unwrap();
        })
        .unwrap();
        let got = receiver.get();
        join(late);
        if got.is_err() {
            assert_eq!([got, receiver.get()], [Err(Error::Disconnected), Ok(3)]);
        }
        got == Ok(3)
    });
    // One who sleeps while it happens.
    let (mut sender, mut receiver) = channel::<u64>(10).unwrap();
    let child = idle_producer(&mut sender, 1);
    let sleeper = Process::spawn(|| {
        assert_eq!([receiver.get(), receiver.get()], [Ok(0), Err(Error::Disconnected)]);
    })
    .unwrap();
    falls_asleep(&sleeper);
    kill(child);
    join(sleeper);
    // Another one makes it whole again.
    sender.put(7).unwrap();
    assert_eq!([receiver.get(), receiver.try_get()], [Ok(7), Err(Error::WouldBlock)]);
}

pub(super) fn dead_consumer() {
    let (mut sender, mut receiver) = channel::<u64>(3).unwrap();
    let child = Process::spawn(|| assert_eq!(receiver.get(), Ok(0))).unwrap();
    sender.put(0).unwrap();
    join(child);
    (1..=3).for_each(|number| sender.put(number).unwrap());
    let refused = sender.put(4).unwrap_err();
    assert_eq!((refused.error, refused.message), (Error::Disconnected, 4));
    assert_eq!(sender.try_put(4).unwrap_err().error, Error::Disconnected);
    (1..=3).for_each(|number| assert_eq!(receiver.get(), Ok(number)));
    sender.put(4).unwrap();
    assert_eq!(receiver.get(), Ok(4));
}

pub(super) fn successor() {
    let (mut sender, mut receiver) = channel::<u64>(3).unwrap();
    let told = Shared::new(AtomicU64::new(0)).unwrap();
    let getting = Process::spawn(|| {
        for number in 0..40 {
            loop {
                match receiver.get() {
                    Ok(got) => break assert_eq!(got, number),
                    Err(error) => assert_eq!(error, Error::Disconnected),
                }
                told.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .unwrap();
    let (mut is_late, mut before) = (false, Instant::now());
    for number in 0..40 {
        let started = Instant::now();
        let child = Process::spawn(|| {
            sender.put(number).unwrap();
            send(std::process::id(), libc::SIGKILL);
        })
        .unwrap();
        ends(child);
        is_late |= before.elapsed() >= GRACE;
        before = started;
        // Now and then as long as sleeps last.
        std::thread::sleep(Duration::from_millis(if number % 10 == 0 { 120 } else { 1 }));
    }
    join(getting);
    assert!(is_late || told.load(Ordering::Relaxed) == 0, "each successor came in time");
}

/// In whatever way.
fn ends(mut process: Process) {
    process.join().unwrap();
}

pub(super) fn dropped_end() {
    let (mut sender, mut receiver) = channel::<u64>(3).unwrap();
    sender.put(1).unwrap();
    drop(sender);
    assert_eq!([receiver.get(), receiver.get()], [Ok(1), Err(Error::Disconnected)]);
    let (mut sender, mut receiver) = channel::<u64>(1).unwrap();
    sender.put(1).unwrap();
    assert_eq!(receiver.get(), Ok(1));
    sender.put(2).unwrap();
    let putting =
        Process::spawn(|| assert_eq!(sender.put(3).unwrap_err().error, Error::Disconnected)).unwrap();
    falls_asleep(&putting);
    drop(receiver);
    join(putting);
}

pub(super) fn mere_copies() {
    let (mut sender, mut receiver) = channel::<u64>(3).unwrap();
    sender.put(1).unwrap();
    // It has copies of both ends, of which its parent has used one; it leaves by dropping them.
    let copies = (sender, receiver);
    let child = Process::spawn(move || drop(copies)).unwrap();
    join(child);
    let (sender, receiver2) = channel::<u64>(3).unwrap();
    drop(sender);
    receiver = receiver2;
    assert_eq!(receiver.get_timeout(3 * GRACE), Err(Error::TimedOut), "nobody was ever there");
}

pub(super) fn killed_in_place() {
    let (mut sender, mut receiver) = byte_channel(2, 1000).unwrap();
    for round in 0..30 {
        let child = Process::spawn(|| {
            sender.put(b"whole").unwrap();
            let mut slot = sender.reserve().unwrap();
            slot.write(0, &[round; 1000]).unwrap();
            send(std::process::id(), libc::SIGKILL);
        })
        .unwrap();
        ends(child);
        let mut buffer = [0; 1000];
        assert_eq!(receiver.get(&mut buffer), Ok(5));
        assert_eq!(&buffer[..5], b"whole");
        assert_eq!(receiver.try_get(&mut buffer), Err(Error::WouldBlock));
        // Half taken is not taken.
        sender.put(&[round; 300]).unwrap();
        let child = Process::spawn(|| {
            let message = receiver.peek().unwrap();
            assert_eq!(message.len(), 300);
            send(std::process::id(), libc::SIGKILL);
            message.release();
        })
        .unwrap();
        ends(child);
        assert_eq!(receiver.try_get(&mut buffer), Ok(300));
        assert_eq!(buffer[..300], [round; 300]);
    }
}

pub(super) fn refused_second() {
    let (mut sender, mut receiver) = channel::<u64>(1).unwrap();
    sender.put(0).unwrap();
    let putting = Process::spawn(|| sender.put(1).unwrap()).unwrap();
    falls_asleep(&putting);
    for _ in 0..3 {
        let refused = sender.try_put(9).unwrap_err();
        assert_eq!((refused.error, refused.message), (Error::NotPermitted, 9));
        assert_eq!(sender.put(9).unwrap_err().error, Error::NotPermitted);
    }
    assert_eq!(receiver.get(), Ok(0));
    join(putting);
    assert_eq!(receiver.get(), Ok(1));
    let getting = Process::spawn(|| assert_eq!(receiver.get(), Ok(2))).unwrap();
    falls_asleep(&getting);
    assert_eq!(receiver.get(), Err(Error::NotPermitted));
    sender.put(2).unwrap();
    join(getting);
    // In the middle of a message, too; and death ends it.
    let (mut sender, mut receiver) = byte_channel(2, 8).unwrap();
    let holds = Shared::new(AtomicU64::new(0)).unwrap();
    let reserving = Process::spawn(|| {
        let _slot = sender.reserve().unwrap();
        holds.store(1, Ordering::Release);
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    })
    .unwrap();
    eventually("it has reserved", || holds.load(Ordering::Acquire) != 0);
    assert_eq!(sender.put(b"mine"), Err(Error::NotPermitted));
    kill(reserving);
    sender.put(b"mine").unwrap();
    assert_eq!(receiver.get(&mut [0; 8]), Ok(4));
}

pub(super) fn handed_over() {
    let (mut sender, mut receiver) = channel_in_lap::<u64>(5, u32::MAX - 3).unwrap();
    for round in 0..50 {
        // Alternately by children that live on and by us.
        sender.put(3 * round).unwrap();
        let child = Process::spawn(|| {
            sender.put(3 * round + 1).unwrap();
            assert_eq!(receiver.get(), Ok(3 * round));
        })
        .unwrap();
        join(child);
        sender.put(3 * round + 2).unwrap();
        assert_eq!([receiver.get(), receiver.get()], [Ok(3 * round + 1), Ok(3 * round + 2)]);
    }
    // Both live.
    let turn = Shared::new(AtomicU64::new(0)).unwrap();
    let child = Process::spawn(|| {
        for number in 0..100u64 {
            eventually("our turn", || turn.load(Ordering::Acquire) == 2 * number + 1);
            sender.put(2 * number + 1).unwrap();
            turn.store(2 * number + 2, Ordering::Release);
        }
    })
    .unwrap();
    for number in 0..100u64 {
        sender.put(2 * number).unwrap();
        turn.store(2 * number + 1, Ordering::Release);
        eventually("our turn", || turn.load(Ordering::Acquire) == 2 * number + 2);
        assert_eq!([receiver.get(), receiver.get()], [Ok(2 * number), Ok(2 * number + 1)]);
    }
    join(child);
}

pub(super) fn lent_and_forked() {
    let (mut sender, mut receiver) = byte_channel(2, 8).unwrap();
    let mut slot = sender.reserve().unwrap();
    let child = Process::spawn(|| {
        assert_eq!(slot.write(0, b"child"), Err(Error::NotPermitted));
        drop(slot);
    })
    .unwrap();
    join(child);
    let slot = sender.reserve().unwrap();
    let child = Process::spawn(|| assert_eq!(slot.commit(8), Err(Error::InvalidArgument))).unwrap();
    join(child);
    sender.reserve().unwrap().commit(3).unwrap();
    let message = receiver.peek().unwrap();
    let child = Process::spawn(|| message.release()).unwrap();
    join(child);
    assert_eq!(receiver.get(&mut [0; 8]), Ok(3), "released by nobody");
}

pub(super) fn stopped() {
    let (mut sender, mut receiver) = channel::<u64>(5).unwrap();
    let getting =
        Process::spawn(|| (0..1000).for_each(|number| assert_eq!(receiver.get(), Ok(number)))).unwrap();
    falls_asleep(&getting);
    send(getting.pid(), libc::SIGSTOP);
    eventually("it is stopped", || is_stopped(getting.pid()));
    (0..5).for_each(|number| sender.try_put(number).unwrap());
    assert_eq!(sender.try_put(5).unwrap_err().error, Error::WouldBlock);
    // Stopped is not dead.
    assert_eq!(sender.put_timeout(5, 4 * GRACE).unwrap_err().error, Error::TimedOut);
    send(getting.pid(), libc::SIGCONT);
    (5..1000).for_each(|number| sender.put(number).unwrap());
    join(getting);

    let putting = Process::spawn(|| (0..1000).for_each(|number| sender.put(number).unwrap())).unwrap();
    falls_asleep(&putting);
    send(putting.pid(), libc::SIGSTOP);
    eventually("it is stopped", || is_stopped(putting.pid()));
    (0..5).for_each(|number| assert_eq!(receiver.try_get(), Ok(number)));
    assert_eq!(receiver.get_timeout(4 * GRACE), Err(Error::TimedOut));
    send(putting.pid(), libc::SIGCONT);
    (5..1000).for_each(|number| assert_eq!(receiver.get(), Ok(number)));
    join(putting);
}

/// Answers each of so many messages.
fn answer(mut receiver: Receiver<u64>, mut sender: Sender<u64>, count: u64) {
    for number in 0..count {
        assert_eq!(receiver.get(), Ok(number));
        sender.put(number).unwrap();
    }
}

fn ask(sender: &mut Sender<u64>, receiver: &mut Receiver<u64>, count: u64) {
    for number in 0..count {
        if number % 3 == 0 {
            // So that the other one sleeps.
            std::thread::sleep(Duration::from_micros(number % 200));
        }
        sender.put(number).unwrap();
        assert_eq!(receiver.get(), Ok(number));
    }
}

pub(super) fn ping_pong() {
    let (mut sender, receiver) = channel::<u64>(1).unwrap();
    let (back_sender, mut back) = channel::<u64>(1).unwrap();
    let child = Process::spawn(move || answer(receiver, back_sender, 3000)).unwrap();
    // Lost wake-ups, 250 ms each, would bring the watchdog.
    ask(&mut sender, &mut back, 3000);
    join(child);
}

/// From now on the kernel refuses `membarrier` to this process and its children.
fn refuse_barriers() {
    let filter = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        // The number of the call; if it is this one, an error.
        filter(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        filter(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_membarrier as u32),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: a valid program, read by the call.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let set = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program);
        assert_eq!(set, 0, "a filter: {}", std::io::Error::last_os_error());
        assert_eq!(libc::syscall(libc::SYS_membarrier, 0, 0, 0), -1);
    }
}

pub(super) fn refused_barriers() {
    // Refused to one of the two, then to both.
    for _ in 0..2 {
        let (mut sender, receiver) = channel::<u64>(1).unwrap();
        let (back_sender, mut back) = channel::<u64>(1).unwrap();
        let child = Process::spawn(move || {
            refuse_barriers();
            answer(receiver, back_sender, 2000);
        })
        .unwrap();
        ask(&mut sender, &mut back, 2000);
        join(child);
        let (mut sender, mut receiver) = channel::<u64>(3).unwrap();
        let child = Process::spawn(|| {
            refuse_barriers();
            (0..1000).for_each(|number| sender.put(number).unwrap());
            sender.close();
        })
        .unwrap();
        (0..1000).for_each(|number| assert_eq!(receiver.get(), Ok(number)));
        assert_eq!(receiver.get(), Err(Error::Closed));
        join(child);
        refuse_barriers();
    }
}
