//! A queue's descriptor: readable while there may be messages, whoever puts them.

mod support;

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forq::{ByteQueue, Error, Process, Queue, Semaphore, Shared};

fn is_readable(queue: &Queue<u64>, within: Duration) -> bool {
    let fd = queue.readiness().expect("descriptors are to be had");
    forq::wait_any_timeout(&[&fd], within) == Ok(vec![0])
}

const AT_ONCE: Duration = Duration::ZERO;
/// Far above what it takes.
const SOON: Duration = Duration::from_secs(30);

fn queue() -> Queue<u64> {
    Queue::new(8).expect("shared memory")
}

fn it_is_readable_from_the_first_message_until_a_get_finds_none() {
    let queue = queue();
    assert!(!is_readable(&queue, AT_ONCE));
    for round in 0..3 {
        queue.put(round).unwrap();
        queue.put(round).unwrap();
        assert!(is_readable(&queue, AT_ONCE));
        assert_eq!(queue.get(), Ok(round));
        assert!(is_readable(&queue, AT_ONCE), "one is left");
        assert_eq!(queue.get(), Ok(round));
        assert_eq!(queue.try_get(), Err(Error::WouldBlock));
        assert!(!is_readable(&queue, AT_ONCE));
    }
    let batch = [1, 2, 3];
    assert_eq!(queue.put_many(&batch), Ok(3));
    assert!(is_readable(&queue, AT_ONCE));
}

fn what_was_there_before_it_was_asked_for_counts() {
    let queue = queue();
    queue.put(1).unwrap();
    assert!(is_readable(&queue, AT_ONCE));
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.get_timeout(Duration::from_millis(1)), Err(Error::TimedOut));
    assert!(!is_readable(&queue, AT_ONCE));
}

fn a_process_that_was_there_before_makes_it_readable() {
    let queue = queue();
    let go = Shared::new(Semaphore::new(0)).unwrap();
    let mut producer = Process::spawn(|| {
        for number in 0..100 {
            go.acquire().unwrap();
            queue.put(number).unwrap();
        }
    })
    .unwrap();
    for number in 0..100 {
        assert!(!is_readable(&queue, AT_ONCE));
        go.release(1).unwrap();
        assert!(is_readable(&queue, SOON));
        support::eventually("the message", || queue.try_get() == Ok(number));
        assert_eq!(queue.try_get(), Err(Error::WouldBlock));
    }
    assert!(producer.join().unwrap().success());
}

fn closing_makes_it_readable_for_good() {
    let queue = queue();
    assert!(!is_readable(&queue, AT_ONCE));
    queue.close();
    for _ in 0..3 {
        assert!(is_readable(&queue, AT_ONCE));
        assert_eq!(queue.try_get(), Err(Error::Closed));
    }
}

fn each_process_has_its_own_and_a_forked_one_its_parents() {
    let queue = queue();
    let own = queue.readiness().unwrap().as_raw_fd();
    assert_eq!(queue.readiness().unwrap().as_raw_fd(), own, "made once");
    let other = self::queue();
    let seen = Shared::new(AtomicU64::new(0)).unwrap();
    let mut child = Process::spawn(|| {
        // One that the parent has, and one that it has not.
        assert_eq!(queue.readiness().unwrap().as_raw_fd(), own);
        assert!(!is_readable(&other, AT_ONCE));
        seen.store(1, Ordering::Release);
        assert!(is_readable(&queue, SOON) && is_readable(&other, SOON));
        support::eventually("the message", || other.try_get() == Ok(7));
    })
    .unwrap();
    assert!(!is_readable(&other, AT_ONCE));
    support::eventually("the child is there", || seen.load(Ordering::Acquire) == 1);
    queue.put(1).unwrap();
    other.put(7).unwrap();
    assert!(is_readable(&queue, AT_ONCE) && is_readable(&other, AT_ONCE));
    assert!(child.join().unwrap().success());
}

fn several_wait_in_one_call_and_only_those_with_messages_are_named() {
    let queues = [queue(), queue(), queue()];
    let fds = queues.each_ref().map(|queue| queue.readiness().unwrap());
    let of: Vec<&dyn AsFd> = fds.iter().map(|fd| fd as &dyn AsFd).collect();
    assert_eq!(forq::wait_any_timeout(&of, AT_ONCE), Err(Error::WouldBlock));
    queues[1].put(1).unwrap();
    assert_eq!(forq::wait_any(&of), Ok(vec![1]));
}

fn nobody_that_polls_misses_a_message_of_producers_that_are_killed() {
    // Producers are killed at random; the one consumer only ever gets after it was told that there is something. Whatever is
    // in the queue at the end of a round has been told.
    let queue = queue();
    let mut random = support::Random(0x5eed_1234);
    for _ in 0..300 {
        let mut producer = Process::spawn(|| {
            for number in 0.. {
                let _ = queue.try_put(number);
                std::hint::spin_loop();
            }
        })
        .unwrap();
        let lives = Duration::from_nanos(random.below(400_000));
        let until = std::time::Instant::now() + lives;
        while std::time::Instant::now() < until {
            if is_readable(&queue, AT_ONCE) {
                let _ = queue.try_get();
            }
        }
        producer.kill().unwrap();
        producer.join().unwrap();
        while is_readable(&queue, AT_ONCE) {
            let _ = queue.try_get();
        }
        assert_eq!(queue.len(), 0, "a message that nobody was told of");
    }
}

fn a_thousand_of_them_leave_no_descriptor_behind() {
    let before = support::resources();
    for _ in 0..1000 {
        let queue = ByteQueue::new(4, 8).unwrap();
        queue.readiness().unwrap();
        queue.put(b"x").unwrap();
    }
    assert_eq!(support::resources(), before);
}

fn main() {
    support::run(&[
        (
            "it_is_readable_from_the_first_message_until_a_get_finds_none",
            it_is_readable_from_the_first_message_until_a_get_finds_none,
        ),
        ("what_was_there_before_it_was_asked_for_counts", what_was_there_before_it_was_asked_for_counts),
        (
            "a_process_that_was_there_before_makes_it_readable",
            a_process_that_was_there_before_makes_it_readable,
        ),
        ("closing_makes_it_readable_for_good", closing_makes_it_readable_for_good),
        (
            "each_process_has_its_own_and_a_forked_one_its_parents",
            each_process_has_its_own_and_a_forked_one_its_parents,
        ),
        (
            "several_wait_in_one_call_and_only_those_with_messages_are_named",
            several_wait_in_one_call_and_only_those_with_messages_are_named,
        ),
        (
            "nobody_that_polls_misses_a_message_of_producers_that_are_killed",
            nobody_that_polls_misses_a_message_of_producers_that_are_killed,
        ),
        ("a_thousand_of_them_leave_no_descriptor_behind", a_thousand_of_them_leave_no_descriptor_behind),
    ]);
}
