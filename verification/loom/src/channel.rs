//! The channel: what a slot holds is handed over by positions alone; nobody sleeps beside a message; a close loses none.
//!
//! The slots' bytes are in memory that loom does not watch; a cell for each stands in for them.

use forq::{ByteReceiver, ByteSender, Error, byte_channel};

use super::*;

/// What stands in the slots.
struct Slots(Vec<UnsafeCell<u8>>);

// SAFETY: a cell is used by whose slot it is, or loom says that it is not.
unsafe impl Sync for Slots {}

impl Slots {
    fn at(&self, number: u8) -> &UnsafeCell<u8> {
        &self.0[number as usize % self.0.len()]
    }
}

/// Puts so many messages, in place.
fn produce(mut sender: ByteSender, slots: &Slots, messages: u8) {
    for number in 0..messages {
        let mut slot = sender.reserve().unwrap();
        slot.write(0, &[number]).unwrap();
        // SAFETY: as above.
        slots.at(number).with_mut(|cell| unsafe { *cell = number });
        slot.commit(1).unwrap();
    }
}

fn consume(mut receiver: ByteReceiver, slots: &Slots, messages: u8) {
    for number in 0..messages {
        let message = receiver.peek().unwrap();
        let mut byte = [0];
        message.read(0, &mut byte).unwrap();
        assert_eq!(byte, [number]);
        // SAFETY: as above.
        assert_eq!(slots.at(number).with(|cell| unsafe { *cell }), number);
        message.release();
    }
}

fn pass(capacity: usize, messages: u8) {
    let (sender, receiver) = byte_channel(capacity, 1).unwrap();
    let slots = Arc::new(Slots((0..capacity).map(|_| UnsafeCell::new(0)).collect()));
    let other = spawn(&slots, move |slots| produce(sender, slots, messages));
    consume(receiver, &slots, messages);
    other.join().unwrap();
}

#[test]
fn a_ring_of_one_slot_passes_two_messages() {
    model(|| pass(1, 2));
}

#[test]
fn a_ring_of_two_slots_passes_three_messages() {
    model(|| pass(2, 3));
}

/// The consumer gets until it is told that the channel is closed; how many messages.
fn drain(receiver: &mut ByteReceiver) -> u32 {
    let mut got = 0;
    loop {
        match receiver.get(&mut [0]) {
            Ok(_) => got += 1,
            Err(error) => break assert_eq!(error, Error::Closed),
        }
    }
    assert_eq!(receiver.get(&mut [0]), Err(Error::Closed));
    got
}

#[test]
fn a_producer_that_closes_wakes_the_consumer_which_gets_what_is_left() {
    model_of_two(|| {
        let (mut sender, mut receiver) = byte_channel(1, 1).unwrap();
        let putting = thread::spawn(move || {
            sender.put(&[0]).unwrap();
            sender.close();
        });
        assert_eq!(drain(&mut receiver), 1);
        putting.join().unwrap();
    });
}

/// Whoever decides about the put that is under way, both go by it.
#[test]
fn a_put_that_races_with_a_close_is_got_or_fails() {
    model(|| {
        let (mut sender, mut receiver) = byte_channel(1, 1).unwrap();
        let putting = thread::spawn(move || match sender.put(&[0]) {
            Ok(()) => 1,
            Err(error) => {
                assert_eq!(error, Error::Closed);
                0
            }
        });
        // SAFETY: closing takes a shared reference, and the receiver outlives the thread, which is joined below.
        let closes: &'static ByteReceiver = unsafe { &*std::ptr::from_ref(&receiver) };
        let closing = thread::spawn(move || closes.close());
        let got = drain(&mut receiver);
        closing.join().unwrap();
        assert_eq!(putting.join().unwrap(), got, "put and got");
    });
}

#[test]
fn a_close_wakes_a_producer_that_waits_for_room() {
    model_of_two(|| {
        let (mut sender, receiver) = byte_channel(1, 1).unwrap();
        sender.put(&[0]).unwrap();
        let putting = thread::spawn(move || assert_eq!(sender.put(&[1]), Err(Error::Closed)));
        receiver.close();
        putting.join().unwrap();
    });
}
