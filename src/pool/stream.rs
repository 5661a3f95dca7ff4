//! A stream: items put one by one, results taken one by one, in their order or as they come, with a bound on what is between.
//!
//! To the workers it is a job whose chunks are slots of one item each, filled again and again. The host says in a ring in
//! which order slots were filled, since without an order of results any slot may be the next to be free.

use core::ptr::NonNull;

use super::control::request;
use super::flight::Ticket;
use super::host::Host;
use super::job::{Job, Layout};
use super::status::{RETRY, TaskStatus};
use super::word::{ChunkWord, Stage};
use crate::error::{Error, Result};
use crate::sync::mutex::Mutex;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::cpu;
use crate::sys::futex::{self, Wake};
use crate::sys::map::{self, Mapping};

/// How often a thread yields before it sleeps.
const YIELDS: u32 = 8;
const NONE: u32 = u32::MAX;

/// A stream in the host's hands: in a mapping of its own, so that it needs no heap.
pub(crate) struct Channel {
    host: NonNull<Host>,
    ticket: Ticket,
    ordered: bool,
    books: Mutex<Filled>,
}

/// Which slots hold what: private to the host.
struct Filled {
    /// For each slot, the number of the item in it, and the next free slot while it is free.
    items: Mapping,
    /// Slot of each item that is under way, by the item's number modulo the ring: only if results are wanted in order.
    free: u32,
    /// Items that were put, and taken.
    put: u64,
    taken: u64,
    /// Where the next result is looked for.
    look: u32,
    finished: bool,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Place {
    item: u64,
    /// While it is free, the next free one; else itself.
    next_free: u32,
    /// Of the place at an item's number modulo their count: the item's slot.
    slot: u32,
}

impl Filled {
    fn new(slots: usize, ring: u32) -> Result<Self> {
        let items = Mapping::private(ring as usize * size_of::<Place>())?;
        let mut filled = Self { items, free: 0, put: 0, taken: 0, look: 0, finished: false };
        let places = filled.places(ring as usize);
        for (slot, place) in places.iter_mut().enumerate().take(slots) {
            place.next_free = if slot + 1 < slots { slot as u32 + 1 } else { NONE };
        }
        Ok(filled)
    }

    fn places(&mut self, ring: usize) -> &mut [Place] {
        // SAFETY: room for so many; all bytes zero are a place.
        unsafe { core::slice::from_raw_parts_mut(self.items.start().cast().as_ptr(), ring) }
    }
}

/// A result that was taken.
#[cfg_attr(not(feature = "capi"), allow(dead_code, reason = "asked for by the C face"))]
pub(crate) struct Taken {
    pub(crate) index: u64,
    pub(crate) status: TaskStatus,
    pub(crate) error: Option<super::TaskError>,
}

impl Host {
    /// Opens a stream: of the job the inputs are not used, the count is the window.
    ///
    /// # Safety
    /// As [`Host::run`]; `this` must be from [`Host::start`].
    pub(crate) unsafe fn open_stream(
        this: NonNull<Self>,
        job: &Job,
        ordered: bool,
    ) -> Result<NonNull<Channel>> {
        // SAFETY: by contract.
        let host = unsafe { this.as_ref() };
        host.enter(|host| {
            if job.count == 0 || !job.inputs.is_null() {
                return Err(Error::InvalidArgument);
            }
            host.check(job)?;
            let layout = Layout::of_stream(job)?;
            let filled = Filled::new(job.count, layout.fields.ring)?;
            let place = Mapping::private(size_of::<Channel>())?;
            let ticket = host.reserve(layout, true, Deadline::FOREVER)?;
            // SAFETY: by contract; just reserved. All slots are empty: a cancelled chunk is nobody's.
            unsafe {
                host.prepare(job, &ticket);
                for word in host.shared.words(&ticket.fields) {
                    let empty = ChunkWord::untouched(ticket.generation).with_stage(Stage::Cancelled);
                    word.store(empty.0, Ordering::Relaxed);
                }
                host.publish(&ticket);
            }
            host.hold();
            let place = place.leak().cast::<Channel>();
            // SAFETY: large enough and page-aligned.
            unsafe { place.write(Channel { host: this, ticket, ordered, books: Mutex::new(filled) }) };
            Ok(place)
        })
    }
}

impl Channel {
    fn host(&self) -> &Host {
        // SAFETY: each stream keeps the host's memory.
        unsafe { self.host.as_ref() }
    }

    #[cfg(feature = "capi")]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.ticket.fields.input_size, self.ticket.fields.output_size)
    }

    fn filled<R>(&self, with: impl FnOnce(&mut Filled) -> Result<R>) -> Result<R> {
        match self.books.lock() {
            Ok(mut filled) => with(&mut filled),
            Err(error) => with(&mut *error.into_guard()?),
        }
    }

    /// Tries until it does not have to wait any more, or the deadline passes.
    fn wait_for<R>(
        &self,
        host: &Host,
        deadline: Deadline,
        mut attempt: impl FnMut(&mut Filled, bool) -> Result<Option<R>>,
    ) -> Result<R> {
        let job = host.shared.job(self.ticket.index);
        let (mut yields, mut sleeps) = (0, 0);
        loop {
            let seen = job.completed.load(Ordering::SeqCst);
            let ended = host.has_ended(sleeps > 0);
            if let Some(done) = self.filled(|filled| attempt(filled, ended))? {
                return Ok(done);
            }
            if deadline.is_now() {
                return Err(Error::WouldBlock);
            }
            if yields < YIELDS {
                yields += 1;
                cpu::yield_now();
                continue;
            }
            sleeps += 1;
            // SeqCst: see `Job::wake`.
            job.sleepers.fetch_add(1, Ordering::SeqCst);
            let wake = if job.completed.load(Ordering::SeqCst) == seen {
                // SAFETY: the job slots are mapped.
                unsafe { futex::wait(job.completed.as_ptr(), seen, deadline, 0) }
            } else {
                Wake::Woken
            };
            job.sleepers.fetch_sub(1, Ordering::Relaxed);
            match wake {
                Wake::TimedOut => return Err(Error::TimedOut),
                Wake::Interrupted => return Err(Error::Interrupted),
                Wake::Woken | Wake::Bound => {}
            }
        }
    }

    /// Threads that wait for room or for a result look again.
    fn changed(&self, host: &Host) {
        let job = host.shared.job(self.ticket.index);
        job.completed.fetch_add(1, Ordering::SeqCst);
        job.wake();
    }

    /// Gives the workers an item, when there is room in the window.
    ///
    /// # Safety
    /// The input must be as large as the stream's.
    pub(crate) unsafe fn put(&self, input: *const u8, deadline: Deadline) -> Result<()> {
        self.host().enter(|host| {
            self.wait_for(host, deadline, |filled, ended| {
                if filled.finished || host.request() != request::RUN {
                    return Err(Error::Closed);
                }
                if ended {
                    return Err(Error::ChildLost);
                }
                if filled.free == NONE {
                    return Ok(None);
                }
                // SAFETY: by contract; the slot is free.
                unsafe { self.fill(host, filled, input) }.map(Some)
            })
        })
    }

    /// # Safety
    /// As [`Channel::put`]; there must be a free slot.
    unsafe fn fill(&self, host: &Host, filled: &mut Filled, input: *const u8) -> Result<()> {
        let Ticket { index, generation, fields, .. } = &self.ticket;
        let (shared, job) = (&host.shared, host.shared.job(*index));
        let ring = fields.ring as usize;
        let (slot, number) = (filled.free, filled.put);
        let place = &mut filled.places(ring)[slot as usize];
        let next_free = place.next_free;
        place.item = number;
        filled.places(ring)[number as usize & (ring - 1)].slot = slot;
        // SAFETY: the slot is free: no worker has it. The caller's input by contract.
        unsafe {
            if fields.input_size > 0 {
                let to = shared.arena(fields.inputs + slot as usize * fields.input_size);
                input.copy_to_nonoverlapping(to, fields.input_size);
            }
            shared.order(fields)[number as usize & (ring - 1)].store(slot, Ordering::Relaxed);
        }
        // Release, as the tail: who claims it sees the input.
        let word = &host.words(&self.ticket)[slot as usize];
        word.store(ChunkWord::untouched(*generation).0, Ordering::Release);
        job.tail.store((number as u32).wrapping_add(1), Ordering::SeqCst);
        shared.control().open.insert(*index);
        // SeqCst: workers that see no open job when the pool is closed leave. Then the item is taken back, unless one has it.
        if shared.control().request.load(Ordering::SeqCst) != request::RUN {
            let untouched = ChunkWord::untouched(*generation);
            if super::control::Shared::exchange(word, untouched, untouched.with_stage(Stage::Cancelled)) {
                return Err(Error::Closed);
            }
        }
        filled.free = next_free;
        filled.put += 1;
        shared.announce_work(1);
        Ok(())
    }

    /// No more items: the end comes after the last result.
    pub(crate) fn finish(&self) -> Result<()> {
        self.host().enter(|host| {
            self.filled(|filled| {
                filled.finished = true;
                Ok(())
            })?;
            self.changed(host);
            Ok(())
        })
    }

    /// The next result; `Closed` at the end.
    ///
    /// # Safety
    /// The output must have room for one, or be null: then it is not wanted.
    pub(crate) unsafe fn next(&self, output: *mut u8, deadline: Deadline) -> Result<Taken> {
        self.host().enter(|host| {
            let taken = self.wait_for(host, deadline, |filled, ended| {
                if filled.taken == filled.put {
                    let over = filled.finished || host.request() != request::RUN;
                    return match (over, ended) {
                        (true, _) => Err(Error::Closed),
                        (false, true) => Err(Error::ChildLost),
                        (false, false) => Ok(None),
                    };
                }
                let Some(slot) = self.find(host, filled, ended) else { return Ok(None) };
                // SAFETY: by contract; its item has ended.
                Ok(Some(unsafe { self.take(host, filled, slot, output, ended) }))
            })?;
            self.changed(host);
            Ok(taken)
        })
    }

    /// A slot whose item has ended, or any that is under way if the pool has.
    fn find(&self, host: &Host, filled: &mut Filled, ended: bool) -> Option<u32> {
        let fields = &self.ticket.fields;
        let ring = fields.ring as usize;
        let words = host.words(&self.ticket);
        let is_done = |slot: u32| {
            let stage = ChunkWord(words[slot as usize].load(Ordering::Acquire)).stage();
            stage == Stage::Done || (ended && stage != Stage::Cancelled)
        };
        if self.ordered {
            let number = filled.taken;
            let slot = filled.places(ring)[number as usize & (ring - 1)].slot;
            return is_done(slot).then_some(slot);
        }
        // About in the order in which they were put.
        let slots = fields.chunks;
        let found = (filled.look..slots).chain(0..filled.look.min(slots)).find(|&slot| is_done(slot))?;
        filled.look = found + 1;
        Some(found)
    }

    /// # Safety
    /// As [`Channel::next`]; the slot's item must have ended, or the pool.
    unsafe fn take(
        &self,
        host: &Host,
        filled: &mut Filled,
        slot: u32,
        output: *mut u8,
        ended: bool,
    ) -> Taken {
        let fields = &self.ticket.fields;
        let word = &host.words(&self.ticket)[slot as usize];
        let empty = ChunkWord::untouched(self.ticket.generation).with_stage(Stage::Cancelled);
        let seen = if ended {
            // A worker that still runs cannot commit any more.
            ChunkWord(word.swap(empty.0, Ordering::AcqRel))
        } else {
            ChunkWord(word.load(Ordering::Acquire))
        };
        let item = slot as usize;
        let status = match seen.stage() {
            Stage::Done if seen.is_dirty() => {
                // SAFETY: written by the slot's worker or the supervisor.
                let written = unsafe { host.shared.status(fields, item).read() };
                if written.kind == RETRY { host.fate() } else { written }
            }
            Stage::Done => TaskStatus::OK,
            _ => host.fate(),
        };
        let written = status.is_ok() || (status.kind == super::status::FAILED && fields.task != 0);
        if written && !output.is_null() && fields.output_size > 0 {
            let from = host.shared.arena(fields.outputs + item * fields.output_size);
            // SAFETY: by contract.
            unsafe { from.copy_to_nonoverlapping(output, fields.output_size) };
        }
        let error = host.error_of(&self.ticket, item, status);
        word.store(empty.0, Ordering::Release);
        let free = filled.free;
        let place = &mut filled.places(fields.ring as usize)[item];
        place.next_free = free;
        let index = place.item;
        filled.free = slot;
        filled.taken += 1;
        Taken { index, status, error }
    }

    /// Ends the stream: what nobody has begun is not run. In a forked child nothing is done but to its own copy.
    ///
    /// # Safety
    /// `this` must be from [`Host::open_stream`], and not be used again.
    pub(crate) unsafe fn free(this: NonNull<Self>) {
        // SAFETY: by contract.
        let channel = unsafe { this.as_ref() };
        let (host, ticket) = (channel.host, channel.ticket);
        let freed = channel.host().enter(|host| {
            for word in host.words(&ticket) {
                let seen = ChunkWord(word.load(Ordering::Acquire));
                if seen.stage() == Stage::Free {
                    super::control::Shared::exchange(word, seen, seen.with_stage(Stage::Cancelled));
                }
            }
            host.withdraw(&ticket);
            Ok(())
        });
        // SAFETY: ours, and not used again.
        unsafe {
            this.drop_in_place();
            let _ = map::unmap(this.as_ptr().cast(), size_of::<Self>());
            if freed.is_ok() {
                Host::release(host);
            }
        }
    }
}

static_assertions::const_assert!(size_of::<AtomicU32>() == size_of::<u32>());
