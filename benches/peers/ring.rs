//! rtrb, the best-known ring between two threads: a yardstick, since it neither sleeps nor crosses processes.

use rtrb::{Consumer, Producer, PushError};

use crate::support::Spin;

/// Puts a value, spinning while there is no room.
#[inline]
pub(crate) fn put<T>(producer: &mut Producer<T>, mut value: T) {
    let mut spin = Spin::new();
    while let Err(PushError::Full(back)) = producer.push(value) {
        value = back;
        spin.wait();
    }
}

/// Gets a value, spinning while there is none.
#[inline]
pub(crate) fn get<T>(consumer: &mut Consumer<T>) -> T {
    let mut spin = Spin::new();
    loop {
        if let Ok(value) = consumer.pop() {
            return value;
        }
        spin.wait();
    }
}
