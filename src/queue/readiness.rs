//! A descriptor that is readable while there may be messages, for event loops. It costs nothing while nobody has asked for one.
//!
//! Each process that asks gets a [bell] of its own, under a number that stands in the queue's header with a bit for each bell. When
//! such a process finds the queue empty it *settles*: it silences its bell and marks the producers' side `ARMED`. The next producer sees the
//! mark, since its short path compares the whole word, and rings all bells *before* it publishes: killed in between, it has rung for
//! nothing, which does no harm. A bell is silenced only if no producer was at it meanwhile: the mark is set by comparing with what the side's word was
//! before; and whoever has silenced its bell looks once more whether there are messages.

use super::ring::Ring;
use super::role::{Consumer, Producer, Role};
#[cfg(any(feature = "std", feature = "capi"))]
use crate::error::Error;
use crate::error::Result;
use crate::sys::atomic::{AtomicI32, Ordering};
use crate::sys::bell;
#[cfg(any(feature = "std", feature = "capi"))]
use crate::sys::bell::Name;
use crate::sys::fd::Fd;

/// Bells that a queue may have: bits of a word.
#[cfg(any(feature = "std", feature = "capi"))]
const MOST: u8 = 32;

/// This process's bell, if it has asked for one. A forked child shares its parent's.
pub(crate) struct Readiness(AtomicI32);

impl Readiness {
    pub(crate) const fn none() -> Self {
        Self(AtomicI32::new(-1))
    }

    fn get(&self) -> Option<i32> {
        // Acquire pairs with the Release in `descriptor`.
        Some(self.0.load(Ordering::Acquire)).filter(|raw| *raw >= 0)
    }

    #[cfg(any(feature = "std", feature = "capi"))]
    /// The descriptor, made at the first call. `OutOfSpace`: too many processes have one.
    pub(crate) fn descriptor(&self, ring: &Ring) -> Result<i32> {
        if let Some(raw) = self.get() {
            return Ok(raw);
        }
        let made = ring.add_bell()?;
        let raw = made.raw();
        match self.0.compare_exchange(-1, raw, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                let _ = made.into_raw();
                self.settle(ring);
                Ok(raw)
            }
            // Another thread was first.
            Err(first) => Ok(first),
        }
    }

    /// What a consumer does that has found nothing.
    #[cold]
    pub(crate) fn settle(&self, ring: &Ring) {
        let Some(raw) = self.get() else { return };
        // SAFETY: ours, and not closed before this ends: it stays borrowed.
        let bell = core::mem::ManuallyDrop::new(unsafe { Fd::from_raw(raw) });
        if !ring.arm(|| bell::silence(&bell)) || ring.is_ready::<Consumer>() || ring.is_closed() {
            // Readable again. Without a descriptor to ring by, producers have the same trouble, and tell.
            let _ = ring.ring_bells();
        }
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        if let Some(raw) = self.get() {
            // SAFETY: ours, used no more.
            drop(unsafe { Fd::from_raw(raw) });
        }
    }
}

impl Ring {
    #[cfg(any(feature = "std", feature = "capi"))]
    fn add_bell(&self) -> Result<Fd> {
        let header = self.header();
        let fresh = bell::object_number();
        let object = match header.object.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(object) => object,
        };
        for index in 0..MOST {
            match bell::make(Name { object, index }) {
                Ok(made) => {
                    header.bells.fetch_or(1 << index, Ordering::AcqRel);
                    return Ok(made);
                }
                Err(Error::AlreadyExists) => {}
                Err(other) => return Err(other),
            }
        }
        Err(Error::OutOfSpace)
    }

    /// Rings all bells. An error: none was rung.
    pub(super) fn ring_bells(&self) -> Result<()> {
        let header = self.header();
        match header.bells.load(Ordering::Acquire) {
            0 => Ok(()),
            bits => bell::ring(header.object.load(Ordering::Relaxed), bits),
        }
    }

    /// Marks that producers must ring, and silences a bell before; false: a producer is or was at it, so that there may be something.
    fn arm(&self, silence: impl FnOnce()) -> bool {
        let side = Producer::own(self.header());
        let state = side.load_acquire();
        state.is_free() && {
            silence();
            side.change(state, state.armed()).is_ok()
        }
    }

    /// What a producer does that has the turn and finds the mark, before it publishes.
    pub(super) fn tell_bells(&self) -> Result<()> {
        let side = Producer::own(self.header());
        if side.load().is_armed() {
            self.ring_bells()?;
            side.disarm();
        }
        Ok(())
    }
}
