//! What channels promise to Rust programs: order, capacity, sizes, time, closing, places in the ring.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{__byte_channel_in_lap as byte_channel_in_lap, __channel_in_lap as channel_in_lap};
use forq::{ByteReceiver, ByteSender, Error, Process, Receiver, Sender, Shared};
use forq::{byte_channel, channel};
use support::{eventually, is_asleep, note_wake, resources};

const MOMENT: Duration = Duration::from_millis(20);

fn main() {
    support::run(&[
        ("what_cannot_be_is_refused_at_once", refused_arguments),
        ("the_capacity_is_exact_and_a_value_that_finds_no_room_comes_back", exact_capacity),
        ("values_come_out_in_order_in_rings_of_any_size_also_where_laps_wrap", order),
        ("a_ring_of_a_million_passes_its_laps", a_million),
        ("messages_of_all_sizes_keep_their_bytes_and_their_sizes", sizes),
        ("an_empty_message_is_a_message", empty_message),
        ("a_message_that_does_not_fit_stays", too_small),
        ("slots_are_aligned_for_what_fits_in_them", alignment),
        ("a_message_written_in_place_is_read_in_place", in_place),
        ("a_slot_or_a_message_that_is_dropped_changes_nothing", dropped),
        ("time_limits_end_calls_and_not_too_early", time_limits),
        ("who_sleeps_for_a_message_is_woken_by_a_put", consumer_woken),
        ("who_sleeps_for_room_is_woken_by_a_get", producer_woken),
        ("without_waiting_no_system_call_is_made", no_system_call),
        ("a_closed_channel_gives_what_is_left_then_says_so", closed),
        ("closing_wakes_who_sleeps_on_either_side", close_wakes),
        ("a_put_that_returned_before_a_close_is_got_and_one_that_failed_is_not", close_races),
        ("a_signal_ends_a_wait_only_if_the_thread_asked_for_it", interrupted),
        ("two_threads_of_a_process_may_be_the_two_sides", threads),
        ("the_ends_may_go_from_thread_to_thread", moved_ends),
        ("channels_leave_nothing_behind", no_leaks),
    ]);
}

fn falls_asleep(process: &Process) {
    eventually("it sleeps", || is_asleep(process.pid()));
}

fn join(mut process: Process) {
    assert!(process.join().unwrap().success());
}

fn refused_arguments() {
    let refused = |capacity, size| byte_channel(capacity, size).err() == Some(Error::InvalidArgument);
    assert!(refused(0, 8) && refused(8, 0) && refused(0, 0));
    assert!(refused(usize::MAX, 8) && refused(8, usize::MAX) && refused(1 << 32, 1));
    assert!(refused(u32::MAX as usize, usize::MAX / 2) && refused(2, isize::MAX as usize));
    assert_eq!(channel::<u64>(0).err(), Some(Error::InvalidArgument));
    assert_eq!(channel::<[u64; 0]>(8).err(), Some(Error::InvalidArgument));
    assert_eq!(byte_channel(1 << 31, 1 << 31).err(), Some(Error::OutOfMemory));
    assert!(byte_channel(1, 1).is_ok());
}

fn exact_capacity() {
    for capacity in [1, 2, 3, 6, 1000] {
        let (mut sender, mut receiver) = channel::<u64>(capacity).unwrap();
        assert_eq!((sender.capacity(), receiver.capacity()), (capacity, capacity));
        let (mut put, mut got) = (0, 0);
        for round in 0..2 * capacity as u64 + 1 {
            while sender.len() < capacity {
                sender.try_put(put).unwrap();
                put += 1;
            }
            let refused = sender.try_put(put).unwrap_err();
            assert_eq!((refused.error, refused.message), (Error::WouldBlock, put));
            let refused = sender.put_timeout(put, Duration::from_micros(10)).unwrap_err();
            assert_eq!((refused.error, refused.message), (Error::TimedOut, put));
            for _ in 0..=round % capacity as u64 {
                assert_eq!(receiver.try_get(), Ok(got));
                got += 1;
            }
            assert_eq!(receiver.len() as u64, put - got);
        }
        while got < put {
            assert_eq!(receiver.get(), Ok(got));
            got += 1;
        }
        assert!(sender.is_empty() && receiver.is_empty());
        assert_eq!(receiver.try_get(), Err(Error::WouldBlock));
    }
}

/// A child that puts the numbers below `count`.
fn producer(sender: &mut Sender<u64>, count: u64) -> Process {
    Process::spawn(|| (0..count).for_each(|number| sender.put(number).unwrap())).unwrap()
}

fn order() {
    for capacity in [1, 2, 3, 1000] {
        // As a number the position is its lap times 2^32: near the end of 64 bits, too.
        for lap in [0, u32::MAX - 8, u32::MAX] {
            let (mut sender, mut receiver) = channel_in_lap::<u64>(capacity, lap).unwrap();
            let count = 20 * capacity as u64 + 500;
            let child = producer(&mut sender, count);
            for number in 0..count {
                assert_eq!(receiver.get(), Ok(number), "{capacity} {lap}");
            }
            join(child);
            assert!(receiver.is_empty());
        }
    }
}

fn a_million() {
    const CAPACITY: usize = 1 << 20;
    let (mut sender, mut receiver) = channel_in_lap::<u64>(CAPACITY, u32::MAX).unwrap();
    for number in 0..CAPACITY as u64 {
        sender.try_put(number).unwrap();
    }
    assert_eq!(sender.try_put(0).unwrap_err().error, Error::WouldBlock);
    assert_eq!(receiver.len(), CAPACITY);
    for number in 0..CAPACITY as u64 {
        assert_eq!(receiver.try_get(), Ok(number));
    }
    let child = producer(&mut sender, 3 * CAPACITY as u64);
    // The child takes the side over, since we are in no call.
    assert!((0..3 * CAPACITY as u64).all(|number| receiver.get() == Ok(number)));
    join(child);
}

/// Bytes that tell their message and their place.
fn pattern(number: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + number * 13 + (at >> 8)) as u8).collect()
}

fn sizes() {
    const SIZES: [usize; 7] = [0, 1, 7, 8, 64, 4096, 1 << 20];
    for largest in SIZES.into_iter().filter(|&size| size > 0) {
        let (mut sender, mut receiver) = byte_channel_in_lap(3, largest, u32::MAX - 1).unwrap();
        assert_eq!((sender.message_size(), receiver.message_size()), (largest, largest));
        assert_eq!(sender.put(&vec![0; largest + 1]), Err(Error::MessageSize));
        let fitting: Vec<usize> = SIZES
            .into_iter()
            .chain([2, 3, 5, 15, 16, 17, 255, 256])
            .filter(|&size| size <= largest)
            .collect();
        let child = Process::spawn(|| {
            for (number, &size) in fitting.iter().cycle().take(3 * fitting.len()).enumerate() {
                sender.put(&pattern(number, size)).unwrap();
            }
        })
        .unwrap();
        let mut buffer = vec![0; largest];
        for (number, &size) in fitting.iter().cycle().take(3 * fitting.len()).enumerate() {
            assert_eq!(receiver.get(&mut buffer), Ok(size));
            assert!(buffer[..size] == pattern(number, size), "{number} of {size} in {largest}");
        }
        join(child);
    }
}

fn empty_message() {
    let (mut sender, mut receiver) = byte_channel(2, 4).unwrap();
    sender.put(&[]).unwrap();
    sender.put(&[1]).unwrap();
    let message = receiver.peek().unwrap();
    assert_eq!((message.is_empty(), message.len()), (true, 0));
    drop(message);
    assert_eq!(receiver.get(&mut []), Ok(0));
    assert_eq!(receiver.get(&mut [0; 4]), Ok(1));
}

fn too_small() {
    for size in [10, 300] {
        let (mut sender, mut receiver) = byte_channel(2, size).unwrap();
        sender.put(&pattern(1, size)).unwrap();
        let mut buffer = vec![0; size];
        assert_eq!(receiver.get(&mut buffer[..size - 1]), Err(Error::MessageSize));
        assert_eq!(receiver.try_get(&mut []), Err(Error::MessageSize));
        assert_eq!(receiver.peek().unwrap().len(), size);
        assert_eq!(receiver.get(&mut buffer), Ok(size));
        assert_eq!(buffer, pattern(1, size));
        assert_eq!(receiver.try_get(&mut buffer), Err(Error::WouldBlock));
    }
}

fn alignment() {
    for (size, align) in [(1, 1), (2, 2), (4, 4), (6, 8), (8, 8), (24, 8), (100, 8), (1024, 64), (5000, 64)] {
        let (mut sender, mut receiver) = byte_channel(3, size).unwrap();
        for _ in 0..7 {
            let mut slot = sender.reserve().unwrap();
            assert_eq!((slot.size(), slot.as_mut_ptr().addr() % align), (size, 0));
            slot.commit(size).unwrap();
            receiver.peek().unwrap().release();
        }
    }
}

fn in_place() {
    let (mut sender, mut receiver) = byte_channel(3, 1000).unwrap();
    let child = Process::spawn(|| {
        for number in 0..100 {
            let mut slot = sender.reserve().unwrap();
            let message = pattern(number, 10 * number);
            slot.write(0, &message[..5 * number]).unwrap();
            slot.write(5 * number, &message[5 * number..]).unwrap();
            slot.commit(10 * number).unwrap();
        }
    })
    .unwrap();
    for number in 0..100 {
        let message = receiver.peek().unwrap();
        assert_eq!(message.to_vec(), pattern(number, 10 * number));
        message.release();
    }
    join(child);
    let mut slot = sender.reserve().unwrap();
    assert_eq!(slot.write(1000, &[]), Ok(()));
    assert_eq!(slot.write(999, &[1, 2]), Err(Error::OutOfRange));
    assert_eq!(slot.write(usize::MAX, &[1]), Err(Error::OutOfRange));
    // SAFETY: no process writes there.
    let bytes = unsafe { slot.as_mut_slice() };
    bytes[..3].copy_from_slice(b"abc");
    assert_eq!(slot.commit(1001), Err(Error::MessageSize));
    let mut slot = sender.reserve().unwrap();
    slot.write(1, b"B").unwrap();
    slot.commit(3).unwrap();
    let message = receiver.peek().unwrap();
    // SAFETY: no process writes there.
    assert_eq!(unsafe { message.as_slice() }, b"aBc");
    assert_eq!(message.read(2, &mut [0; 2]), Err(Error::OutOfRange));
}

fn dropped() {
    let (mut sender, mut receiver) = byte_channel(1, 8).unwrap();
    for _ in 0..3 {
        let mut slot = sender.try_reserve().unwrap();
        slot.write(0, b"lost").unwrap();
        drop(slot);
        assert_eq!(receiver.try_peek().err(), Some(Error::WouldBlock));
    }
    sender.put(b"kept").unwrap();
    assert_eq!(sender.try_reserve().err(), Some(Error::WouldBlock));
    assert_eq!(sender.reserve_timeout(MOMENT).err(), Some(Error::TimedOut));
    for _ in 0..3 {
        drop(receiver.peek().unwrap());
        assert_eq!(sender.try_put(b"more"), Err(Error::WouldBlock));
    }
    receiver.peek_timeout(MOMENT).unwrap().release();
    assert_eq!(sender.try_put(b"more"), Ok(()));
    // A guard that is forgotten stays lent, and does not block the side for ever.
    std::mem::forget(receiver.peek().unwrap());
    assert_eq!(receiver.get(&mut [0; 8]), Err(Error::InvalidArgument));
    receiver.peek().unwrap().release();
    std::mem::forget(sender.reserve().unwrap());
    assert_eq!(sender.put(b"more"), Err(Error::InvalidArgument));
    sender.reserve().unwrap().commit(0).unwrap();
    assert_eq!(receiver.get(&mut [0; 8]), Ok(0));
}

fn time_limits() {
    let (mut sender, mut receiver) = channel::<u64>(1).unwrap();
    for wait in [Duration::from_nanos(1), Duration::from_millis(5), Duration::from_millis(600)] {
        let started = Instant::now();
        assert_eq!(receiver.get_timeout(wait), Err(Error::TimedOut));
        assert!(started.elapsed() >= wait);
    }
    assert_eq!(receiver.get_timeout(Duration::ZERO), Err(Error::WouldBlock));
    sender.put_timeout(1, Duration::MAX).unwrap();
    for wait in [Duration::from_nanos(1), Duration::from_millis(5), Duration::from_millis(600)] {
        let started = Instant::now();
        assert_eq!(sender.put_timeout(2, wait).unwrap_err().error, Error::TimedOut);
        assert!(started.elapsed() >= wait);
    }
    assert_eq!(sender.put_timeout(2, Duration::ZERO).unwrap_err().error, Error::WouldBlock);
    assert_eq!(receiver.get_timeout(Duration::MAX), Ok(1));
    let child = Process::spawn(|| assert_eq!(receiver.get_timeout(Duration::MAX), Ok(3))).unwrap();
    falls_asleep(&child);
    sender.put(3).unwrap();
    join(child);
}

fn consumer_woken() {
    for round in 0..30 {
        let (mut sender, mut receiver) = channel::<u64>(2).unwrap();
        let child = Process::spawn(|| assert_eq!(receiver.get(), Ok(round))).unwrap();
        falls_asleep(&child);
        let started = Instant::now();
        sender.put(round).unwrap();
        join(child);
        note_wake(started);
    }
}

fn producer_woken() {
    for round in 0..30 {
        let (mut sender, mut receiver) = channel::<u64>(2).unwrap();
        sender.put(1).unwrap();
        sender.put(2).unwrap();
        let child = Process::spawn(|| sender.put(round).unwrap()).unwrap();
        falls_asleep(&child);
        let started = Instant::now();
        assert_eq!(receiver.get(), Ok(1));
        join(child);
        note_wake(started);
        assert_eq!([receiver.get(), receiver.get()], [Ok(2), Ok(round)]);
    }
}

fn no_system_call() {
    let (mut sender, mut receiver) = channel::<u64>(8).unwrap();
    let (mut bytes, mut into) = byte_channel(8, 100).unwrap();
    support::allows_no_system_call_after(
        || {
            // The first call of a process takes the side.
            sender.put(0).unwrap();
            receiver.get().unwrap();
            bytes.put(&[]).unwrap();
            into.get(&mut []).unwrap();
            (sender, receiver, bytes, into)
        },
        |(mut sender, mut receiver, mut bytes, mut into)| {
            for number in 0..1000 {
                sender.put(number).unwrap();
                sender.try_put(number).unwrap();
                assert_eq!([receiver.get(), receiver.try_get()], [Ok(number), Ok(number)]);
                bytes.put(&[1; 50]).unwrap();
                bytes.reserve().unwrap().commit(9).unwrap();
                assert_eq!(into.get(&mut [0; 50]), Ok(50));
                into.peek().unwrap().release();
            }
            // Exiting by a destructor would unmap.
            std::mem::forget((sender, receiver, bytes, into));
        },
    );
}

fn closed() {
    let (mut sender, mut receiver) = channel::<u64>(4).unwrap();
    sender.put(1).unwrap();
    sender.put(2).unwrap();
    assert!(!sender.is_closed() && !receiver.is_closed());
    let third = Process::spawn(|| receiver.close()).unwrap();
    join(third);
    assert!(sender.is_closed() && receiver.is_closed());
    for _ in 0..2 {
        sender.close();
        let refused = sender.put(3).unwrap_err();
        assert_eq!((refused.error, refused.message), (Error::Closed, 3));
        assert_eq!(sender.try_put(3).unwrap_err().error, Error::Closed);
    }
    assert_eq!(receiver.len(), 2);
    assert_eq!([receiver.try_get(), receiver.get()], [Ok(1), Ok(2)]);
    for _ in 0..2 {
        assert_eq!(receiver.get(), Err(Error::Closed));
        assert_eq!(receiver.try_get(), Err(Error::Closed));
        assert_eq!(receiver.get_timeout(MOMENT), Err(Error::Closed));
    }
    // In place, and never used before.
    let (mut sender, mut receiver) = byte_channel(2, 8).unwrap();
    let slot = sender.reserve().unwrap();
    receiver.close();
    assert_eq!(slot.commit(8), Err(Error::Closed));
    assert_eq!(sender.reserve().err(), Some(Error::Closed));
    assert_eq!(receiver.peek().err(), Some(Error::Closed));
}

fn close_wakes() {
    for round in 0..20 {
        let (mut sender, mut receiver) = channel::<u64>(1).unwrap();
        let (child, closes) = if round % 2 == 0 {
            (
                Process::spawn(|| assert_eq!(receiver.get(), Err(Error::Closed))).unwrap(),
                &sender as &dyn Closes,
            )
        } else {
            sender.put(1).unwrap();
            let child =
                Process::spawn(|| assert_eq!(sender.put(2).unwrap_err().error, Error::Closed)).unwrap();
            (child, &receiver as &dyn Closes)
        };
        falls_asleep(&child);
        let started = Instant::now();
        closes.close();
        join(child);
        note_wake(started);
    }
}

/// Either end.
trait Closes {
    fn close(&self);
}

impl Closes for Sender<u64> {
    fn close(&self) {
        Sender::close(self);
    }
}

impl Closes for Receiver<u64> {
    fn close(&self) {
        Receiver::close(self);
    }
}

fn close_races() {
    let count = Shared::new([const { AtomicU64::new(0) }; 2]).unwrap();
    for round in 0..400u64 {
        let (mut sender, mut receiver) = channel::<u64>(1 + round as usize % 3).unwrap();
        count.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        let putting = Process::spawn(|| {
            let mut number = 0;
            while sender.put(number).is_ok() {
                number += 1;
            }
            assert_eq!(sender.put(0).unwrap_err().error, Error::Closed);
            count[0].store(number, Ordering::Relaxed);
        })
        .unwrap();
        let getting = Process::spawn(|| {
            let mut number = 0;
            loop {
                match receiver.get() {
                    Ok(got) => assert_eq!(got, number),
                    Err(error) => break assert_eq!(error, Error::Closed),
                }
                number += 1;
            }
            assert_eq!(receiver.get(), Err(Error::Closed));
            count[1].store(number, Ordering::Relaxed);
        })
        .unwrap();
        std::thread::sleep(Duration::from_micros(300 + 7 * round));
        receiver.close();
        join(putting);
        join(getting);
        let [put, got] = [0, 1].map(|at| count[at].load(Ordering::Relaxed));
        assert_eq!(put, got, "put and got, round {round}");
    }
}

fn interrupted() {
    static RAN: AtomicBool = AtomicBool::new(false);
    extern "C" fn handler(_: i32) {
        RAN.store(true, Ordering::Relaxed);
    }
    let handler: extern "C" fn(i32) = handler;
    // SAFETY: the handler stores a flag.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    for asked in [false, true] {
        let (_sender, mut receiver) = channel::<u64>(1).unwrap();
        let child = Process::spawn(|| {
            forq::set_interruptible(asked);
            let expected = if asked { Error::Interrupted } else { Error::TimedOut };
            let got = receiver.get_timeout(Duration::from_millis(if asked { 60_000 } else { 700 }));
            assert_eq!((got, RAN.load(Ordering::Relaxed)), (Err(expected), true));
        })
        .unwrap();
        falls_asleep(&child);
        support::send(child.pid(), libc::SIGUSR1);
        join(child);
    }
}

fn threads() {
    let (mut sender, mut receiver) = channel::<u64>(7).unwrap();
    let (mut bytes, mut into): (ByteSender, ByteReceiver) = byte_channel(7, 8).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..200_000).for_each(|number| sender.put(number).unwrap()));
        scope.spawn(|| (0..200_000u64).for_each(|number| bytes.put(&number.to_ne_bytes()).unwrap()));
        scope.spawn(|| {
            let mut buffer = [0; 8];
            for number in 0..200_000 {
                into.get(&mut buffer).unwrap();
                assert_eq!(u64::from_ne_bytes(buffer), number);
            }
        });
        assert!((0..200_000).all(|number| receiver.get() == Ok(number)));
    });
}

fn moved_ends() {
    let (mut sender, mut receiver) = channel::<u64>(3).unwrap();
    for number in 0..20 {
        sender = std::thread::spawn(move || {
            sender.put(number).unwrap();
            sender
        })
        .join()
        .unwrap();
        receiver = std::thread::spawn(move || {
            assert_eq!(receiver.get(), Ok(number));
            receiver
        })
        .join()
        .unwrap();
    }
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(move || drop(receiver));
        scope.spawn(|| {
            drop(sender);
            done.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(done.load(Ordering::Relaxed), 1);
}

fn no_leaks() {
    let use_them = || {
        let (mut sender, mut receiver) = channel::<u64>(3).unwrap();
        let (bytes, _into) = byte_channel(1000, 5000).unwrap();
        join(producer(&mut sender, 3));
        assert_eq!(receiver.get(), Ok(0));
        drop(receiver);
        drop(bytes);
    };
    use_them();
    let before = resources();
    (0..50).for_each(|_| use_them());
    assert_eq!(resources(), before);
}
