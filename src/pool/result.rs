//! The result of a job that nobody waits for yet. It lives in private memory of the host, in the place of its job slot,
//! so that it needs no heap, and outlives the pool.

use core::ptr::NonNull;
use core::time::Duration;

use super::collect::Collection;
use super::control::{JOBS, outcome};
use super::descriptors::note;
use super::flight::Ticket;
use super::host::Host;
use super::job::{Job, Sink, Tally};
use super::status::TaskStatus;
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicI32, AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::fd::{self, Fd};
use crate::sys::socket;

/// A job in flight that is held by a handle.
pub(crate) struct Flight {
    host: NonNull<Host>,
    ticket: Ticket,
    is_apply: bool,
    /// The kind of status that the items get which were not done, once it is known that there are some; 0 before.
    rest: AtomicU32,
    rest_code: AtomicI32,
    /// Not 0: the pool ended before all was done.
    lost: AtomicU32,
    /// Readable when the result is ready; 0: not asked for.
    descriptor: AtomicI32,
}

/// What is known of a result from the beginning.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "capi"), allow(dead_code, reason = "asked for by the C face"))]
pub(crate) struct Shape {
    /// How many items it has.
    pub(crate) count: usize,
    /// Bytes of the output of each.
    pub(crate) output_size: usize,
    /// Whether it is that of an apply.
    pub(crate) is_apply: bool,
}

/// Bytes of the places of all.
pub(super) const PLACES: usize = JOBS * size_of::<Flight>();

impl Host {
    /// Hands out a job, and returns at once.
    ///
    /// # Safety
    /// As [`Host::run`], but for the sink; `this` must be from [`Host::start`].
    pub(crate) unsafe fn submit(this: NonNull<Self>, job: &Job) -> Result<NonNull<Flight>> {
        // SAFETY: by contract.
        let host = unsafe { this.as_ref() };
        host.enter(|host| {
            // SAFETY: by contract.
            let ticket = unsafe { host.launch(job, true, Deadline::FOREVER, |_| ()) }?;
            host.hold();
            let flight = Flight {
                host: this,
                ticket,
                is_apply: job.is_apply,
                rest: AtomicU32::new(0),
                rest_code: AtomicI32::new(0),
                lost: AtomicU32::new(0),
                descriptor: AtomicI32::new(0),
            };
            let place = host.place(ticket.index);
            // SAFETY: the slot is held by this result alone, and its place with it.
            unsafe { place.write(flight) };
            Ok(place)
        })
    }
}

impl Flight {
    fn host(&self) -> &Host {
        // SAFETY: each result keeps the host's memory.
        unsafe { self.host.as_ref() }
    }

    /// What is known of it before it is ready.
    pub(crate) fn shape(&self) -> Shape {
        let fields = &self.ticket.fields;
        Shape { count: fields.count, output_size: fields.output_size, is_apply: self.is_apply }
    }

    /// Waits until it is ready: `ChildLost` if it is so only because the pool has ended.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<()> {
        self.host().enter(|host| {
            self.wait_inside(host, deadline)?;
            if self.lost.load(Ordering::Relaxed) == 0 { Ok(()) } else { Err(Error::ChildLost) }
        })
    }

    fn wait_inside(&self, host: &Host, deadline: Deadline) -> Result<()> {
        match host.await_completed(&self.ticket, deadline, || false) {
            // One that only asks learns of the pool's end too.
            Err(Error::ChildLost) => {}
            Err(Error::WouldBlock) if host.outcome() != outcome::RUNNING || self.is_told_by_death(host) => {}
            other => return other,
        }
        if !host.is_completed(&self.ticket) {
            self.end_with(host.seal(&self.ticket));
            // Before it is complete: who finds it so finds this too.
            self.lost.store(1, Ordering::Relaxed);
            self.complete(host);
        }
        Ok(())
    }

    /// Whether it is ready.
    pub(crate) fn is_ready(&self) -> Result<bool> {
        match self.host().enter(|host| self.wait_inside(host, Deadline::NOW)) {
            Ok(()) => Ok(true),
            Err(Error::WouldBlock) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether its descriptor is readable since the supervisor is dying: a process closes its descriptors before it is known to have ended.
    /// Then it waits for that moment, so that what is readable is ready.
    fn is_told_by_death(&self, host: &Host) -> bool {
        const A_DEATH: Duration = Duration::from_secs(1);
        let descriptor = self.descriptor.load(Ordering::Acquire);
        let is_readable = descriptor != 0 && fd::poll([descriptor], Deadline::NOW) == Ok([true]);
        is_readable
            && !host.is_completed(&self.ticket)
            && host.supervisor_ends_before(Deadline::after(A_DEATH))
    }

    /// What the items get that were not done: the first to say so decides.
    fn end_with(&self, rest: TaskStatus) {
        self.rest_code.store(rest.code, Ordering::Relaxed);
        let _ = self.rest.compare_exchange(0, rest.kind, Ordering::Release, Ordering::Relaxed);
    }

    fn rest(&self) -> TaskStatus {
        match self.rest.load(Ordering::Acquire) {
            0 => TaskStatus::CANCELLED,
            kind if kind == TaskStatus::CANCELLED.kind => TaskStatus::CANCELLED,
            kind => TaskStatus { kind, code: self.rest_code.load(Ordering::Relaxed) },
        }
    }

    /// The host's own end of a job.
    fn complete(&self, host: &Host) {
        let job = host.shared.job(self.ticket.index);
        job.completed.store(self.ticket.generation, Ordering::SeqCst);
        job.wake();
        if job.watched.load(Ordering::SeqCst) != 0 && host.outcome() == outcome::RUNNING {
            host.command();
        }
    }

    /// Waits for the results, and copies them out: as often as wanted.
    ///
    /// # Safety
    /// The sink must have room for all.
    pub(crate) unsafe fn get(&self, sink: &mut Sink<'_>, deadline: Deadline) -> Result<Tally> {
        self.host().enter(|host| {
            self.wait_inside(host, deadline)?;
            // SAFETY: by contract; it is ready, so all chunks have their last word.
            Ok(unsafe { host.collect(sink, &self.ticket, self.rest(), Collection::default()) })
        })
    }

    /// Stops what has not ended; `Busy` if all had.
    pub(crate) fn cancel(&self) -> Result<()> {
        self.host().enter(|host| {
            if self.wait_inside(host, Deadline::NOW) != Err(Error::WouldBlock) {
                return Err(Error::Busy);
            }
            let (stopped, rest) = host.cancel(&self.ticket);
            if !stopped {
                // The last chunk was done at this moment.
                return Err(Error::Busy);
            }
            self.end_with(rest);
            self.complete(host);
            Ok(())
        })
    }

    /// A descriptor that is readable once the result is ready; the same each time.
    pub(crate) fn descriptor(&self) -> Result<i32> {
        self.host().enter(|host| {
            let before = self.descriptor.load(Ordering::Acquire);
            if before != 0 {
                return Ok(before);
            }
            let (ours, theirs) = socket::pair()?;
            let job = host.shared.job(self.ticket.index);
            // SeqCst: either who completes the job sees this, or the supervisor, which looks next, that it is completed.
            job.watched.store(1, Ordering::SeqCst);
            if self.wait_inside(host, Deadline::NOW) == Err(Error::WouldBlock) {
                match self.hand_over(host, &theirs) {
                    // The supervisor is gone: our copy is closed, and the end is readable.
                    Ok(()) | Err(Error::Disconnected) => {}
                    Err(error) => return Err(error),
                }
            }
            drop(theirs);
            let ours = ours.into_raw();
            match self.descriptor.compare_exchange(0, ours, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => Ok(ours),
                Err(first) => {
                    // SAFETY: just made, and known to nobody.
                    drop(unsafe { Fd::from_raw(ours) });
                    Ok(first)
                }
            }
        })
    }

    fn hand_over(&self, host: &Host, descriptor: &Fd) -> Result<()> {
        let Some(results) = host.results() else { return Err(Error::Disconnected) };
        let note = note(self.ticket.index, self.ticket.generation);
        loop {
            match socket::send(results, &note, &[], Some(descriptor.raw())) {
                Err(Error::WouldBlock) => {
                    fd::poll_room(results, Deadline::after_nanos(100_000_000))?;
                }
                other => return other,
            }
        }
    }

    /// Lets go: what is not ready goes on, and is dropped when it is. In a forked child nothing is done.
    ///
    /// # Safety
    /// `this` must be from [`Host::submit`], and not be used again.
    pub(crate) unsafe fn free(this: NonNull<Self>) {
        // SAFETY: by contract.
        let flight = unsafe { this.as_ref() };
        let (host, ticket) = (flight.host, flight.ticket);
        let descriptor = flight.descriptor.load(Ordering::Acquire);
        let freed = flight.host().enter(|host| {
            if descriptor != 0 {
                // SAFETY: ours since it was made.
                drop(unsafe { Fd::from_raw(descriptor) });
            }
            if host.is_completed(&ticket) {
                host.withdraw(&ticket);
            } else {
                host.books(|books| books.orphan(ticket.index, ticket.generation))?;
            }
            Ok(())
        });
        if freed.is_ok() {
            // SAFETY: this result held it.
            unsafe { Host::release(host) };
        }
    }
}
