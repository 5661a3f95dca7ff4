//! The semaphore.

use forq::{Error, Semaphore};

use super::*;

struct Room {
    permits: Semaphore,
    /// What whoever has the one permit may touch.
    value: UnsafeCell<u32>,
}

// SAFETY: the value is used by who has the permit, or loom says that it is not.
unsafe impl Sync for Room {}

fn room(permits: u32) -> Arc<Room> {
    Arc::new(Room { permits: Semaphore::new(permits), value: UnsafeCell::new(0) })
}

fn use_it(room: &Room) {
    // SAFETY: as above.
    room.value.with_mut(|value| unsafe { *value += 1 });
}

fn take_use_give(room: &Room) {
    let permit = room.permits.permit().unwrap();
    use_it(room);
    drop(permit);
}

fn used(room: &Room) -> u32 {
    let permit = room.permits.try_permit().unwrap();
    // SAFETY: as above.
    let used = room.value.with(|value| unsafe { *value });
    drop(permit);
    used
}

#[test]
fn two_threads_share_one_permit() {
    model_of_two(|| {
        let room = room(1);
        let other = spawn(&room, take_use_give);
        take_use_give(&room);
        other.join().unwrap();
        assert_eq!(used(&room), 2);
    });
}

#[test]
fn three_threads_share_one_permit() {
    model(|| {
        let room = room(1);
        let others = [spawn(&room, take_use_give), spawn(&room, take_use_give)];
        take_use_give(&room);
        join(others);
        assert_eq!(used(&room), 3);
    });
}

#[test]
fn a_release_of_two_wakes_both() {
    model(|| {
        let room = room(0);
        let waiters = [(); 2].map(|()| spawn(&room, |room| std::mem::forget(room.permits.permit().unwrap())));
        room.permits.release(2).unwrap();
        join(waiters);
        assert_eq!(room.permits.value(), 0);
    });
}

#[test]
fn who_gives_up_takes_no_permit_along() {
    model(|| {
        let room = room(0);
        let impatient = spawn(&room, |room| match room.permits.permit_timeout(A_WHILE) {
            Ok(permit) => drop(permit),
            Err(error) => assert_eq!(error, Error::TimedOut),
        });
        let patient = spawn(&room, |room| drop(room.permits.permit().unwrap()));
        room.permits.release(1).unwrap();
        join([impatient, patient]);
        assert_eq!(room.permits.value(), 1);
    });
}
