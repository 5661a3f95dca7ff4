//! Descriptors that become readable when a result is ready: the host polls one end of a pair of sockets, the supervisor
//! holds the other, and shuts it. Should the supervisor die, its ends are closed with it, so that nobody waits in vain.

use super::control::{JOBS, Shared};
use crate::error::{Error, Result};
use crate::sys::atomic::Ordering;
use crate::sys::fd::Fd;
use crate::sys::map::Mapping;
use crate::sys::socket;

/// What comes with a descriptor: the job slot and its generation.
pub(super) fn note(index: usize, generation: u32) -> [u8; 8] {
    let mut note = [0; 8];
    note[..4].copy_from_slice(&(index as u32).to_ne_bytes());
    note[4..].copy_from_slice(&generation.to_ne_bytes());
    note
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Watch {
    job: u32,
    generation: u32,
    descriptor: i32,
}

/// Those that the supervisor holds.
pub(super) struct Descriptors {
    watches: Option<Mapping>,
    count: usize,
}

impl Descriptors {
    pub(super) fn new() -> Self {
        Self { watches: None, count: 0 }
    }

    fn watches(&mut self) -> &mut [Watch] {
        let Some(mapping) = &self.watches else { return &mut [] };
        // SAFETY: room for one of each job slot, of which the first `count` were written.
        unsafe { core::slice::from_raw_parts_mut(mapping.start().cast().as_ptr(), self.count) }
    }

    /// Takes what the host has sent.
    pub(super) fn receive(&mut self, from: &Fd) {
        let mut note = [0u8; 8];
        loop {
            let seen = match socket::peek(from.raw(), &mut note) {
                Ok(seen) => Some(seen),
                // No more descriptors are to be had: this one is closed, too early rather than never.
                Err(Error::OutOfMemory) => None,
                Err(_) => return,
            };
            if socket::take(from.raw(), &mut note, &mut []).is_err() {
                return;
            }
            let half = |at: usize| u32::from_ne_bytes([note[at], note[at + 1], note[at + 2], note[at + 3]]);
            if let Some(descriptor) = seen.and_then(|seen| seen.descriptor) {
                let (job, generation) = (half(0), half(4));
                // As above if there is no memory.
                let _ = self.add(job, generation, descriptor);
            }
        }
    }

    fn add(&mut self, job: u32, generation: u32, descriptor: Fd) -> Result<()> {
        if self.watches.is_none() {
            self.watches = Some(Mapping::private(JOBS * size_of::<Watch>())?);
        }
        if self.count == JOBS || job as usize >= JOBS {
            return Ok(());
        }
        self.count += 1;
        let last = self.count - 1;
        self.watches()[last] = Watch { job, generation, descriptor: descriptor.into_raw() };
        Ok(())
    }

    /// Shuts those whose job has ended.
    pub(super) fn tell(&mut self, shared: &Shared) {
        let mut at = 0;
        while at < self.count {
            let Watch { job, generation, descriptor } = self.watches()[at];
            let job = shared.job(job as usize);
            let is_ready = job.completed.load(Ordering::SeqCst) == generation
                || job.generation.load(Ordering::SeqCst) != generation;
            if !is_ready {
                at += 1;
                continue;
            }
            // SAFETY: ours since `add`, and not used again.
            let descriptor = unsafe { Fd::from_raw(descriptor) };
            // Also a copy that a fork made meanwhile says then that it is the end.
            socket::shut(descriptor.raw());
            self.count -= 1;
            let last = self.count;
            let mapping = self.watches.as_ref().map(Mapping::start);
            if let Some(start) = mapping {
                // SAFETY: both are within what was written.
                unsafe { start.cast::<Watch>().add(at).write(start.cast::<Watch>().add(last).read()) };
            }
        }
    }

    /// In a fork: its copies are not needed.
    pub(super) fn close_all(&mut self) {
        for at in 0..self.count {
            // SAFETY: the fork's own copy, not used again.
            drop(unsafe { Fd::from_raw(self.watches()[at].descriptor) });
        }
        self.count = 0;
    }
}
