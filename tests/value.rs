//! What values and arrays in shared memory promise.

mod support;

use std::time::Duration;

use forq::{Array, Error, ExitStatus, LockError, Process, Value};
use support::{Random, resources, send};

fn main() {
    support::run(&[
        ("additions_of_four_processes_are_exact", exact),
        ("a_value_under_its_guard_is_one_process's_at_a_time", guarded),
        ("elements_are_read_and_replaced_and_those_past_the_end_refused", elements),
        ("what_has_no_size_or_too_much_is_refused", sizes),
        ("integers_wrap_and_floats_add", numbers),
        ("a_holder_that_dies_is_told_of_until_somebody_repairs", dead_holder),
        ("killed_adders_lose_and_double_nothing", killed_adders),
        ("killed_writers_tear_no_element", killed_writers),
        ("the_holder_of_the_guard_is_told_that_it_would_wait_for_ever", own_guard),
        ("dropping_leaves_nothing_mapped", nothing_left),
    ]);
}

fn kill(mut process: Process) {
    process.kill().unwrap();
    assert_eq!(process.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
}

fn exact() {
    const EACH: i64 = 100_000;
    let (sum, float) = (Value::new(5i64).unwrap(), Value::new(0f64).unwrap());
    let mut children: Vec<Process> = (0..4)
        .map(|_| {
            Process::spawn(|| {
                for _ in 0..EACH {
                    sum.add(3).unwrap();
                    float.add(0.5).unwrap();
                }
            })
            .unwrap()
        })
        .collect();
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
    assert_eq!(sum.get().unwrap(), 5 + 4 * 3 * EACH);
    assert_eq!(float.get().unwrap(), 2.0 * EACH as f64);
}

fn guarded() {
    let pair = Value::new([0u64; 2]).unwrap();
    let mut children: Vec<Process> = (0..3)
        .map(|_| {
            Process::spawn(|| {
                for _ in 0..30_000 {
                    let mut pair = pair.lock().unwrap();
                    assert_eq!(pair[0], pair[1]);
                    pair[0] += 1;
                    pair[1] += 1;
                }
            })
            .unwrap()
        })
        .collect();
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
    assert_eq!(pair.get().unwrap(), [90_000; 2]);
}

fn elements() {
    let array = Array::<[u8; 3]>::from_slice(&[[1, 2, 3], [4, 5, 6]]).unwrap();
    assert_eq!(array.len(), 2);
    let mut child = Process::spawn(|| array.set(1, &[7, 8, 9]).unwrap()).unwrap();
    assert!(child.join().unwrap().success());
    assert_eq!((array.get(0).unwrap(), array.get(1).unwrap()), ([1, 2, 3], [7, 8, 9]));
    for index in [2, 3, usize::MAX] {
        assert_eq!(array.get(index), Err(Error::OutOfRange));
        assert_eq!(array.set(index, &[0; 3]), Err(Error::OutOfRange));
    }
    assert_eq!(*array.lock().unwrap(), [[1, 2, 3], [7, 8, 9]]);
}

fn sizes() {
    assert_eq!(Array::<u64>::new(0).unwrap_err(), Error::InvalidArgument);
    assert_eq!(Array::<[u64; 0]>::new(3).unwrap_err(), Error::InvalidArgument);
    assert_eq!(Value::new([0u64; 0]).unwrap_err(), Error::InvalidArgument);
    for length in [usize::MAX, usize::MAX / 8, usize::MAX / 8 - 64] {
        assert_eq!(Array::<u64>::new(length).unwrap_err(), Error::InvalidArgument);
    }
    assert_eq!(Array::<u64>::new(isize::MAX as usize / 16).unwrap_err(), Error::OutOfMemory);
}

fn numbers() {
    let small = Value::new(250u8).unwrap();
    assert_eq!(small.add(10).unwrap(), 250);
    assert_eq!(small.get().unwrap(), 4);
    let wide = Value::new(i128::MAX).unwrap();
    wide.add(1).unwrap();
    assert_eq!(wide.get().unwrap(), i128::MIN);
    let half = Value::new(0.25f32).unwrap();
    half.add(0.5).unwrap();
    assert_eq!(half.get().unwrap(), 0.75);
}

fn dead_holder() {
    let pair = Value::new([1u32, 1]).unwrap();
    let mut holder = Process::spawn(|| {
        let mut pair = pair.lock().unwrap();
        pair[0] = 2;
        send(std::process::id(), libc::SIGKILL);
    })
    .unwrap();
    assert_eq!(holder.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
    for _ in 0..3 {
        assert_eq!(pair.get(), Err(Error::OwnerDied));
        assert_eq!(pair.set(&[0; 2]), Err(Error::OwnerDied));
    }
    match pair.lock() {
        Err(LockError::OwnerDied(mut guard)) => {
            assert_eq!(*guard, [2, 1]);
            guard[1] = 2;
            guard.mark_consistent();
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pair.get().unwrap(), [2, 2]);
}

/// Each counts itself, so the sum must be theirs; the one addition that a death may hide is allowed for.
fn killed_adders() {
    let sum = Value::new(0u64).unwrap();
    let done = forq::Shared::slice_with(1, |_| std::sync::atomic::AtomicU64::new(0)).unwrap();
    let mut random = Random(7);
    let (mut most, mut told) = (0, 0);
    for _ in 0..300 {
        let adder = Process::spawn(|| {
            loop {
                sum.add(1).unwrap();
                done[0].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        })
        .unwrap();
        std::thread::sleep(Duration::from_micros(200 + random.below(800)));
        kill(adder);
        most += 1;
        // In its first instructions with the lock a call looks like any holder.
        match sum.lock() {
            Ok(_) => {}
            Err(LockError::OwnerDied(guard)) => {
                guard.mark_consistent();
                told += 1;
            }
            Err(other) => panic!("{other}"),
        }
        let (sum, done) = (sum.get().unwrap(), done[0].load(std::sync::atomic::Ordering::Relaxed));
        assert!(done <= sum && sum <= done + most, "{done} additions returned, the sum is {sum}");
    }
    assert!(told < 100, "told of {told} of 300 deaths in which nothing was to repair");
}

fn killed_writers() {
    type Wide = [u64; 100];
    let wide = Array::<Wide>::new(2).unwrap();
    let mut random = Random(11);
    for round in 0..300u64 {
        let writer = Process::spawn(|| {
            for number in round.. {
                wide.set(1, &[number; 100]).unwrap();
            }
        })
        .unwrap();
        std::thread::sleep(Duration::from_micros(200 + random.below(800)));
        kill(writer);
        let seen = match wide.get(1) {
            Err(Error::OwnerDied) => {
                let guard = wide.lock().unwrap_err().into_guard().unwrap();
                guard.mark_consistent();
                guard[1]
            }
            seen => seen.unwrap(),
        };
        assert!(seen.iter().all(|&number| number == seen[0]), "torn");
        assert_eq!(wide.get(0).unwrap(), [0; 100]);
    }
}

fn own_guard() {
    let value = Value::new(1u64).unwrap();
    let guard = value.lock().unwrap();
    assert_eq!(value.get(), Err(Error::Deadlock));
    assert!(matches!(value.try_lock(), Err(LockError::WouldBlock)));
    drop(guard);
    assert_eq!(value.get().unwrap(), 1);
}

fn nothing_left() {
    drop((Value::new(1u8).unwrap(), Array::<u64>::new(10_000).unwrap()));
    let before = resources();
    for _ in 0..100 {
        drop((Value::new(1u8).unwrap(), Array::<u64>::new(10_000).unwrap()));
    }
    assert_eq!(resources(), before);
}
