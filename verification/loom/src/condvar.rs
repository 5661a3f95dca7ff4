//! The condition variable.

use forq::Condvar;
use loom::sync::mpsc::channel;

use super::*;

struct Room {
    count: Counter,
    condvar: Condvar,
}

fn room() -> Arc<Room> {
    Arc::new(Room { count: counter(), condvar: Condvar::new() })
}

fn wait_for(room: &Room, count: u32) {
    let mut guard = room.count.lock().unwrap();
    while read(&guard) < count {
        guard = room.condvar.wait(guard).unwrap();
    }
}

#[test]
fn a_notify_under_the_mutex_reaches_the_waiter() {
    model_of_two(|| {
        let room = room();
        let waiter = spawn(&room, |room| wait_for(room, 1));
        let guard = room.count.lock().unwrap();
        add(&guard, 1);
        room.condvar.notify_one();
        drop(guard);
        waiter.join().unwrap();
        assert_eq!(room.condvar.waiters(), 0);
    });
}

#[test]
fn a_notify_after_the_mutex_reaches_the_waiter() {
    model_of_two(|| {
        let room = room();
        let waiter = spawn(&room, |room| wait_for(room, 1));
        add(&room.count.lock().unwrap(), 1);
        room.condvar.notify_one();
        waiter.join().unwrap();
    });
}

#[test]
fn a_notify_of_all_reaches_both_waiters() {
    model(|| {
        let room = room();
        let waiters = [(); 2].map(|()| spawn(&room, |room| wait_for(room, 1)));
        add(&room.count.lock().unwrap(), 1);
        room.condvar.notify_all();
        join(waiters);
    });
}

#[test]
fn two_notifies_reach_both_waiters() {
    model(|| {
        let room = room();
        let waiters = [(); 2].map(|()| spawn(&room, |room| wait_for(room, 1)));
        add(&room.count.lock().unwrap(), 1);
        room.condvar.notify_one();
        room.condvar.notify_one();
        join(waiters);
    });
}

/// One notify, handed on: if both returned by it, or none, the count tells, or loom.
#[test]
fn one_notify_reaches_one_of_two_waiters() {
    model(|| {
        let room = room();
        let waiters = [(); 2].map(|()| {
            spawn(&room, |room| {
                let mut guard = room.count.lock().unwrap();
                while read(&guard) == 0 {
                    guard = room.condvar.wait(guard).unwrap();
                    assert!(read(&guard) > 0, "nobody notified it");
                }
                // Handed on under the mutex: the other one waits, or has not come yet.
                room.condvar.notify_one();
            })
        });
        let guard = room.count.lock().unwrap();
        add(&guard, 1);
        room.condvar.notify_one();
        drop(guard);
        join(waiters);
    });
}

#[test]
fn a_late_comer_does_not_take_the_notify_of_who_waits() {
    model(|| {
        let room = room();
        let guard = room.count.lock().unwrap();
        // It gets the mutex when we wait.
        let late = spawn(&room, |room| {
            let guard = room.count.lock().unwrap();
            room.condvar.notify_one();
            let (_guard, result) = room.condvar.wait_timeout(guard, A_WHILE).unwrap();
            assert!(result.timed_out(), "it was ours");
        });
        drop(room.condvar.wait(guard).unwrap());
        late.join().unwrap();
    });
}

#[test]
fn a_time_out_uses_up_no_notify() {
    model(|| {
        let room = room();
        // Counts 1 when it waits, and 16 more when it was notified.
        let impatient = spawn(&room, |room| {
            let guard = room.count.lock().unwrap();
            add(&guard, 1);
            let (guard, result) = room.condvar.wait_timeout(guard, A_WHILE).unwrap();
            if !result.timed_out() {
                add(&guard, 16);
                room.condvar.notify_one();
            }
            result.timed_out()
        });
        let patient = spawn(&room, |room| {
            let mut guard = room.count.lock().unwrap();
            while read(&guard) < 8 {
                guard = room.condvar.wait(guard).unwrap();
            }
        });
        let guard = room.count.lock().unwrap();
        add(&guard, 8);
        room.condvar.notify_one();
        drop(guard);
        patient.join().unwrap();
        impatient.join().unwrap();
    });
}

/// The impatient one, whom nobody has notified, is the elder: the next notify is its own, unless it is just giving up.
#[test]
fn a_time_out_uses_up_no_notify_that_comes_at_that_moment() {
    model_of_many_steps(|| {
        let room = room();
        // Each comes when the one before waits, or is about to and has the mutex.
        let (impatient_waits, impatient_is_there) = channel();
        let (patient_waits, patient_is_there) = channel();
        let impatient = spawn(&room, move |room| {
            let guard = room.count.lock().unwrap();
            impatient_waits.send(()).unwrap();
            let (_guard, result) = room.condvar.wait_timeout(guard, A_WHILE).unwrap();
            if !result.timed_out() {
                room.condvar.notify_one();
            }
        });
        let notifier = spawn(&room, move |room| {
            for _ in 0..2 {
                patient_is_there.recv().unwrap();
                drop(room.count.lock().unwrap());
                room.condvar.notify_one();
            }
        });
        impatient_is_there.recv().unwrap();
        let mut guard = room.count.lock().unwrap();
        for _ in 0..2 {
            patient_waits.send(()).unwrap();
            guard = room.condvar.wait(guard).unwrap();
        }
        drop(guard);
        join([impatient, notifier]);
    });
}
