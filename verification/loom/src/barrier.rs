//! The barrier.

use forq::{Barrier, Error};

use super::*;

struct Room {
    barrier: Barrier,
    /// Each party writes its own before it comes, and reads all after.
    values: [UnsafeCell<u32>; 3],
}

// SAFETY: the barrier orders the accesses, or loom says that it does not.
unsafe impl Sync for Room {}

fn room(parties: u32) -> Arc<Room> {
    Arc::new(Room { barrier: Barrier::new(parties), values: [0; 3].map(UnsafeCell::new) })
}

/// Which number it got.
fn come(room: &Room, party: usize, parties: usize) -> u32 {
    // SAFETY: as above.
    room.values[party].with_mut(|value| unsafe { *value += 1 });
    let number = room.barrier.wait().unwrap();
    for value in &room.values[..parties] {
        // SAFETY: as above.
        assert_eq!(value.with(|value| unsafe { *value }), 1);
    }
    number
}

#[test]
fn two_parties_see_what_both_wrote() {
    model_of_two(|| {
        let room = room(2);
        let other = spawn(&room, |room| come(room, 1, 2));
        let numbers = come(&room, 0, 2) + other.join().unwrap();
        assert_eq!(numbers, 1, "0 and 1");
    });
}

#[test]
fn three_parties_see_what_all_wrote() {
    model(|| {
        let room = room(3);
        let others = [1, 2].map(|party| spawn(&room, move |room| come(room, party, 3)));
        let own = come(&room, 0, 3);
        let numbers = others.map(|other| other.join().unwrap()).iter().sum::<u32>() + own;
        assert_eq!(numbers, 3, "0, 1 and 2");
    });
}

#[test]
fn two_parties_meet_twice() {
    model_of_two(|| {
        let room = room(2);
        let twice = |room: &Room| {
            room.barrier.wait().unwrap();
            room.barrier.wait().unwrap();
        };
        let other = spawn(&room, twice);
        twice(&room);
        other.join().unwrap();
        assert_eq!(room.barrier.waiting(), 0);
    });
}

#[test]
fn a_time_out_breaks_it_for_all_or_for_nobody() {
    model(|| {
        let room = room(2);
        let impatient = spawn(&room, |room| room.barrier.wait_timeout(A_WHILE));
        let patient = room.barrier.wait();
        match (impatient.join().unwrap(), patient) {
            (Ok(_), Ok(_)) => assert!(!room.barrier.is_broken()),
            (Err(Error::TimedOut), Err(Error::Broken)) => assert!(room.barrier.is_broken()),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_reset_sends_away_who_waits() {
    model(|| {
        let room = room(2);
        let waiter = spawn(&room, |room| room.barrier.wait_timeout(A_WHILE));
        room.barrier.reset();
        let waited = waiter.join().unwrap();
        // It came before the reset, or after it and alone.
        assert!(matches!(waited, Err(Error::Broken | Error::TimedOut)));
    });
}
