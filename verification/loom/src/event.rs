//! The event.

use forq::Event;

use super::*;

struct Room {
    event: Event,
    /// Written before the event is set, read after it was waited for.
    value: UnsafeCell<u32>,
}

// SAFETY: the event orders the two, or loom says that it does not.
unsafe impl Sync for Room {}

fn room() -> Arc<Room> {
    Arc::new(Room { event: Event::new(), value: UnsafeCell::new(0) })
}

fn wait_and_see(room: &Room) {
    room.event.wait().unwrap();
    // SAFETY: as above.
    assert_eq!(room.value.with(|value| unsafe { *value }), 1);
}

fn write_and_set(room: &Room) {
    // SAFETY: as above.
    room.value.with_mut(|value| unsafe { *value = 1 });
    room.event.set();
}

#[test]
fn what_was_written_before_it_was_set_is_seen() {
    model_of_two(|| {
        let room = room();
        let waiter = spawn(&room, wait_and_see);
        write_and_set(&room);
        waiter.join().unwrap();
    });
}

#[test]
fn both_waiters_return() {
    model(|| {
        let room = room();
        let waiters = [spawn(&room, wait_and_see), spawn(&room, wait_and_see)];
        write_and_set(&room);
        join(waiters);
    });
}

#[test]
fn two_set_it_at_once() {
    model(|| {
        let room = room();
        let waiter = spawn(&room, |room| room.event.wait().unwrap());
        let setter = spawn(&room, |room| room.event.set());
        room.event.set();
        join([waiter, setter]);
        assert!(room.event.is_set());
    });
}

/// A waiter that comes after the clear would wait for ever: then it is set again.
#[test]
fn a_clear_at_once_holds_nobody_up_who_waited() {
    model(|| {
        let room = room();
        let waiter = spawn(&room, |room| room.event.wait().unwrap());
        let clearer = spawn(&room, |room| {
            room.event.clear();
            room.event.set();
        });
        room.event.set();
        join([waiter, clearer]);
        assert!(room.event.is_set());
    });
}
