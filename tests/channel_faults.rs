//! What channels promise about deaths, stops, forks, and memory that others write to.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{__channel_in_lap as channel_in_lap, byte_channel, channel};
use forq::{ByteReceiver, ByteSender, Error, Process, Receiver, Sender, Shared};
use support::{Random, eventually, is_asleep, is_stopped, send};

/// So long who waits for a dead process's successor waits for it.
const GRACE: Duration = Duration::from_millis(500);

fn main() {
    support::run(&[
        ("who_waits_for_a_dead_producer_is_told_after_what_is_left", dead_producer),
        ("who_waits_for_a_dead_consumer_is_told_and_the_messages_stay", dead_consumer),
        ("a_successor_that_comes_in_time_is_not_noticed", successor),
        ("an_end_that_was_dropped_where_it_was_used_is_gone", dropped_end),
        ("a_process_that_only_has_copies_is_nobody", mere_copies),
        ("a_producer_killed_inside_a_message_leaves_nothing_of_it", killed_in_place),
        ("a_second_process_on_a_side_is_refused_while_the_first_is_in_a_call", refused_second),
        ("a_side_goes_from_process_to_process_between_calls", handed_over),
        ("what_was_lent_to_a_parent_is_nothing_in_its_child", lent_and_forked),
        ("a_stopped_process_stops_only_itself", stopped),
        ("two_processes_that_keep_putting_each_other_to_sleep_lose_no_wake_up", ping_pong),
        ("where_the_kernel_refuses_barriers_nobody_is_forgotten", refused_barriers),
        ("a_storm_of_kills_hangs_nobody_and_every_account_closes", storm),
        ("whatever_others_write_there_is_an_error_and_no_crash", hostile),
        ("any_bytes_left_there_are_an_error_or_a_message", garbage),
    ]);
}

fn falls_asleep(process: &Process) {
    eventually("it sleeps", || is_asleep(process.pid()));
}

fn join(mut process: Process) {
    assert!(process.join().unwrap().success());
}

fn kill(mut process: Process) {
    process.kill().unwrap();
    process.join().unwrap();
}

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

fn dead_producer() {
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
    // Each wait gives a successor its time.
    let late = Process::spawn(|| {
        std::thread::sleep(GRACE / 3);
        sender.put(3).unwrap();
    })
    .unwrap();
    assert_eq!(receiver.get(), Ok(3));
    join(late);
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

fn dead_consumer() {
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

fn successor() {
    let (mut sender, mut receiver) = channel::<u64>(3).unwrap();
    let getting =
        Process::spawn(|| (0..40).for_each(|number| assert_eq!(receiver.get(), Ok(number)))).unwrap();
    for number in 0..40 {
        let child = Process::spawn(|| {
            sender.put(number).unwrap();
            send(std::process::id(), libc::SIGKILL);
        })
        .unwrap();
        ends(child);
        // Now and then as long as sleeps last.
        std::thread::sleep(Duration::from_millis(if number % 10 == 0 { 120 } else { 1 }));
    }
    join(getting);
}

/// In whatever way.
fn ends(mut process: Process) {
    process.join().unwrap();
}

fn dropped_end() {
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

fn mere_copies() {
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

fn killed_in_place() {
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

fn refused_second() {
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

fn handed_over() {
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

fn lent_and_forked() {
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

fn stopped() {
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

fn ping_pong() {
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

fn refused_barriers() {
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

forq::shareable! {
    /// Accounts of a storm.
    struct Accounts {
        /// Of each producer's life: how many puts have returned.
        put: [AtomicU64; 4096],
        /// How many messages consumers have got.
        got: AtomicU64,
        /// The number that each life's next message must have.
        next: [AtomicU64; 4096],
        /// What was found wrong.
        wrong: AtomicU64,
        /// Calls that returned, of either side: somebody moves.
        moves: [AtomicU64; 2],
    }
}

const SIZE: usize = 40;

/// A message: which life, which number, and bytes that follow from these.
fn message(life: u64, number: u64) -> [u64; SIZE / 8] {
    std::array::from_fn(|at| match at {
        0 => life,
        1 => number,
        at => life.wrapping_mul(0x9E37_79B9) ^ number.rotate_left(at as u32),
    })
}

fn put_for_ever(sender: &mut ByteSender, accounts: &Accounts, life: usize) {
    let mut number = 0;
    loop {
        let bytes = message(life as u64, number);
        let bytes = bytemuck::bytes_of(&bytes);
        let put = if number % 2 == 0 {
            sender.put(bytes)
        } else {
            sender.reserve().and_then(|mut slot| slot.write(0, bytes).and_then(|()| slot.commit(SIZE)))
        };
        match put {
            Ok(()) => number += 1,
            // The other one's successor takes its time.
            Err(Error::Disconnected) => continue,
            Err(error) => {
                println!("a put failed: {error}");
                accounts.wrong.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        accounts.put[life].store(number, Ordering::Relaxed);
        accounts.moves[0].fetch_add(1, Ordering::Relaxed);
    }
}

fn get_for_ever(receiver: &mut ByteReceiver, accounts: &Accounts) {
    let mut got = [0u64; SIZE / 8];
    for round in 0.. {
        let size = if round % 2 == 0 {
            receiver.get(bytemuck::bytes_of_mut(&mut got))
        } else {
            receiver.peek().and_then(|message| {
                let size = message.len();
                message.read(0, bytemuck::bytes_of_mut(&mut got))?;
                message.release();
                Ok(size)
            })
        };
        if size == Err(Error::Disconnected) {
            continue;
        }
        // A consumer that is killed here has taken a message that it has not counted.
        let (life, number) = (got[0], got[1]);
        let wanted = accounts.next.get(life as usize).map_or(u64::MAX, |next| next.load(Ordering::Relaxed));
        // One may be missing for each consumer that was killed; none may come twice or torn.
        if size != Ok(SIZE) || got != message(life, number) || number < wanted || number > wanted + 1 {
            println!("got {size:?}, {got:?}; {wanted} was expected");
            accounts.wrong.fetch_add(1, Ordering::Relaxed);
            return;
        }
        accounts.next[life as usize].store(number + 1, Ordering::Relaxed);
        accounts.got.fetch_add(1, Ordering::Relaxed);
        accounts.moves[1].fetch_add(1, Ordering::Relaxed);
    }
}

fn storm() {
    let kills = std::env::var("FORQ_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(600u64);
    let mut random = Random(0x5EED);
    for (capacity, lives) in [(1, kills / 3), (3, kills / 3), (100, kills - 2 * (kills / 3))] {
        for begin in (0..lives).step_by(2000) {
            storm_of(capacity, 2000.min(lives - begin), &mut random);
        }
    }
}

fn storm_of(capacity: usize, kills: u64, random: &mut Random) {
    let accounts = Shared::new(Accounts {
        put: [const { AtomicU64::new(0) }; 4096],
        got: AtomicU64::new(0),
        next: [const { AtomicU64::new(0) }; 4096],
        wrong: AtomicU64::new(0),
        moves: [const { AtomicU64::new(0) }; 2],
    })
    .unwrap();
    let (mut sender, mut receiver) = byte_channel(capacity, SIZE).unwrap();
    let mut life = 0;
    let mut producer = Process::spawn(|| put_for_ever(&mut sender, &accounts, 0)).unwrap();
    let mut consumer = Process::spawn(|| get_for_ever(&mut receiver, &accounts)).unwrap();
    let mut killed_consumers = 0;
    for _ in 0..kills {
        let moves = || accounts.moves.iter().map(|moves| moves.load(Ordering::Relaxed)).sum::<u64>();
        let before = moves();
        eventually("somebody moves", || moves() > before + 2);
        for _ in 0..random.below(2000) {
            std::hint::spin_loop();
        }
        if random.below(2) == 0 {
            kill(producer);
            life += 1;
            producer = Process::spawn(|| put_for_ever(&mut sender, &accounts, life)).unwrap();
        } else {
            kill(consumer);
            killed_consumers += 1;
            consumer = Process::spawn(|| get_for_ever(&mut receiver, &accounts)).unwrap();
        }
    }
    kill(producer);
    eventually("the consumer has what is left", || receiver.is_empty() && is_asleep(consumer.pid()));
    kill(consumer);
    assert_eq!(accounts.wrong.load(Ordering::Relaxed), 0);
    let (mut put, mut seen) = (0, 0);
    for life in 0..=life {
        let (own, next) =
            (accounts.put[life].load(Ordering::Relaxed), accounts.next[life].load(Ordering::Relaxed));
        // The last one of each may have been put although its put did not return.
        put += own + 1;
        seen += next;
        assert!(next <= own + 1, "life {life}: {next} of {own}");
    }
    let got = accounts.got.load(Ordering::Relaxed);
    assert!(got <= seen && seen - got <= killed_consumers, "{got} of {seen}, {killed_consumers} killed");
    assert!(seen <= put && put - seen <= 2 * (life as u64 + 1) + killed_consumers, "{seen} of {put}");
}

/// Writes random words all over the memory for as long as it lives.
fn scribble(memory: *mut [u8], mut random: Random) -> ! {
    let (start, words) = (memory.cast::<u64>(), memory.len() / 8);
    loop {
        // Mostly where the positions, gates and owners are.
        let range = if random.below(4) == 0 { words as u64 } else { 96 };
        let at = random.below(range) as usize;
        let value = match random.below(4) {
            0 => random.below(16),
            1 => random.below(1 << 30) << 32 | random.below(8),
            2 => u64::MAX,
            _ => random.below(1 << 40),
        };
        // SAFETY: inside the mapping; atomically, as all else that is done there.
        unsafe { AtomicU64::from_ptr(start.add(at)) }.store(value, Ordering::Relaxed);
        for _ in 0..random.below(300) {
            std::hint::spin_loop();
        }
    }
}

fn hostile() {
    const TIME: Duration = Duration::from_millis(1);
    let (mut sender, mut receiver) = byte_channel(5, 700).unwrap();
    let (mut values, mut out) = channel::<u64>(5).unwrap();
    let memories = [sender.__memory(), values.__memory()];
    let scribblers: Vec<Process> = memories
        .into_iter()
        .enumerate()
        .map(|(seed, memory)| Process::spawn(move || scribble(memory, Random(seed as u64 + 1))).unwrap())
        .collect();
    let until = Instant::now() + Duration::from_secs(3);
    let putting = Process::spawn(|| {
        let message = [7; 700];
        while Instant::now() < until {
            let _ = sender.put_timeout(&message[..300], TIME);
            let _ = values.put_timeout(1, TIME);
            if let Ok(mut slot) = sender.reserve_timeout(TIME) {
                let _ = slot.write(0, &message).and_then(|()| slot.commit(700));
            }
            let _ = sender.len() + values.len();
        }
        values.close();
        sender.close();
    })
    .unwrap();
    let getting = Process::spawn(|| {
        let mut buffer = [0; 700];
        while Instant::now() < until {
            if let Ok(size) = receiver.get_timeout(&mut buffer, TIME) {
                assert!(size <= 700);
            }
            let _ = out.get_timeout(TIME);
            if let Ok(message) = receiver.peek_timeout(TIME) {
                assert!(message.len() <= 700);
                let _ = message.read(0, &mut buffer[..message.len()]);
                message.release();
            }
        }
    })
    .unwrap();
    join(putting);
    join(getting);
    scribblers.into_iter().for_each(kill);
}

fn garbage() {
    let mut random = Random(0x6A5);
    let values = [0, 1, 5, 6, u64::MAX, u64::MAX - 1, 1 << 31, 1 << 32, 1 << 63, 0x5555_5555_5555_5555];
    for round in 0..3000 {
        let (mut sender, mut receiver) = byte_channel(5, 700).unwrap();
        if round % 2 == 0 {
            sender.put(&[1; 300]).unwrap();
            let _ = receiver.try_get(&mut [0; 700]);
            sender.put(&[1; 300]).unwrap();
        }
        let memory = sender.__memory();
        for _ in 0..=random.below(4) {
            let at = random.below(96) as usize;
            let value = values[random.below(values.len() as u64) as usize];
            // SAFETY: inside the mapping.
            unsafe { AtomicU64::from_ptr(memory.cast::<u64>().add(at)) }.store(value, Ordering::Relaxed);
        }
        let mut buffer = [0; 700];
        let _ = sender.len();
        for _ in 0..8 {
            let _ = sender.put_timeout(&[2; 100], Duration::from_micros(1));
            let _ = receiver.get_timeout(&mut buffer, Duration::from_micros(1));
            let _ = receiver.try_peek().map(|message| message.to_vec());
            let _ = sender.try_reserve().map(|slot| slot.commit(1));
        }
        sender.close();
        let _ = receiver.get_timeout(&mut buffer, Duration::from_micros(1));
        assert!(sender.put(&[]).is_err());
    }
}
