//! What the host knows of the arena and the job slots: in private memory, under one lock.

use super::arena::Arena;
use super::control::{JOBS, Shared, arena};
use super::extents::Extent;
use super::set::Set;
use crate::error::{Error, Result};
use crate::sys::atomic::Ordering;
use crate::sys::map::Mapping;

/// Slots that are looked at when one is wanted: so many at a time, in turn, that they are freed faster than used.
const LOOKS: usize = 4;
const NONE: u32 = u32::MAX;

/// How a job slot is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum State {
    Free = 0,
    /// By a thread that waits for the job.
    Live,
    /// By a result or a stream.
    Held,
    /// By a job whose result nobody wants any more.
    Orphan,
    /// Given up, but a worker may still touch it.
    Limbo,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Slot {
    state: State,
    generation: u32,
    extent: Extent,
    /// The next one in the queue of those to be looked at.
    next: u32,
}

pub(crate) struct Books {
    arena: Arena,
    slots: Mapping,
    /// Slots below `used` that are free.
    free: Mapping,
    used: usize,
    /// Where the next slot is looked for: the slots' order is about that of their jobs, and workers go by it.
    next: usize,
    /// Slots that are not free.
    taken: usize,
    /// Orphans, and slots in limbo: the first to be looked at, and the last.
    first: u32,
    last: u32,
    queued: usize,
    live: usize,
    /// How often the supervisor had given the arena's pages back when this was last looked at.
    trimmed: u64,
    /// Pages have been made present, and the supervisor, which gives them back later, may sleep without a clock: who takes
    /// this back must wake it.
    pub(super) wants_tidying: bool,
}

/// What came of a try to get a slot.
pub(super) enum Reserved {
    Slot(usize, Extent),
    /// Others will leave some.
    Later,
}

impl Books {
    pub(super) fn new(arena: Arena) -> Result<Self> {
        Ok(Self {
            arena,
            slots: Mapping::private(JOBS * size_of::<Slot>())?,
            free: Mapping::private(size_of::<Set>())?,
            used: 0,
            next: 0,
            taken: 0,
            first: NONE,
            last: NONE,
            queued: 0,
            live: 0,
            trimmed: 0,
            wants_tidying: false,
        })
    }

    fn slot(&mut self, index: usize) -> &mut Slot {
        assert!(index < JOBS, "no such job slot");
        // SAFETY: within the mapping; all bytes zero are a free slot.
        unsafe { &mut *self.slots.start().cast::<Slot>().as_ptr().add(index) }
    }

    fn free_slots(&self) -> &Set {
        // SAFETY: all bytes zero are an empty set.
        unsafe { self.free.start().cast::<Set>().as_ref() }
    }

    /// A slot, and an extent of `size` bytes of which the first `needed` are present. `held`: not for a thread that waits.
    pub(super) fn reserve(
        &mut self,
        shared: &Shared,
        size: usize,
        needed: usize,
        held: bool,
        patient: bool,
    ) -> Result<Reserved> {
        self.sweep(shared, LOOKS);
        if !self.enter_arena(shared) {
            return Ok(Reserved::Later);
        }
        let mut reserved = self.try_reserve(shared, size, needed, held)?;
        if reserved.is_none() && self.queued > 0 {
            self.sweep(shared, self.queued);
            if !self.enter_arena(shared) {
                return Ok(Reserved::Later);
            }
            reserved = self.try_reserve(shared, size, needed, held)?;
        }
        match reserved {
            Some((index, extent)) => Ok(Reserved::Slot(index, extent)),
            // Results are kept until they are freed, perhaps by the very thread that asks: not waited for.
            None if self.live > 0 || (self.queued > 0 && patient) => Ok(Reserved::Later),
            None => Err(Error::OutOfMemory),
        }
    }

    fn try_reserve(
        &mut self,
        shared: &Shared,
        size: usize,
        needed: usize,
        held: bool,
    ) -> Result<Option<(usize, Extent)>> {
        let Some(index) = self.find_slot() else { return Ok(None) };
        let Some(extent) = self.arena.allocate(size)? else { return Ok(None) };
        match self.arena.populate(extent.offset, needed) {
            Ok(new) => {
                if new && shared.control().has_pages.swap(1, Ordering::SeqCst) == 0 {
                    self.wants_tidying = true;
                }
            }
            Err(error) => {
                self.release(shared, extent);
                return Err(error);
            }
        }
        if index == self.used {
            self.used += 1;
            shared.control().slots_used.store(self.used as u32, Ordering::Release);
        } else {
            self.free_slots().remove(index);
        }
        (self.next, self.taken) = (index + 1, self.taken + 1);
        self.live += usize::from(!held);
        let slot = self.slot(index);
        slot.state = if held { State::Held } else { State::Live };
        slot.extent = extent;
        Ok(Some((index, extent)))
    }

    /// A free slot: the next in turn, over as many slots as keep the order of jobs and stay in the caches.
    fn find_slot(&mut self) -> Option<usize> {
        const LEAST: usize = 16;
        let around = (2 * self.taken).next_power_of_two().clamp(LEAST, JOBS);
        if self.next >= around {
            self.next = 0;
        }
        let unused = (self.used < JOBS).then_some(self.used);
        let freed = self.free_slots().next_from(self.next);
        let within = |index: &usize| *index < around;
        freed.filter(within).or(unused.filter(within)).or_else(|| self.free_slots().next(0)).or(unused)
    }

    /// Before an extent is taken: nobody gives pages back from now on. False: the supervisor is just doing it.
    fn enter_arena(&mut self, shared: &Shared) -> bool {
        let control = shared.control();
        let now = control.arena.load(Ordering::Relaxed);
        if now & arena::STATE == arena::USED {
            return true;
        }
        let idle = now & !arena::STATE;
        // Acquire: pairs with the supervisor's release when it has given pages back.
        let entered = control
            .arena
            .compare_exchange(idle, idle | arena::USED, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        let trimmed = control.trimmed.load(Ordering::Acquire);
        if entered && trimmed != self.trimmed {
            self.trimmed = trimmed;
            self.arena.forget_present();
        }
        entered
    }

    fn release(&mut self, shared: &Shared, extent: Extent) {
        if self.arena.free(extent) {
            let word = &shared.control().arena;
            let now = word.load(Ordering::Relaxed);
            word.store((now & !arena::STATE) + arena::TURN, Ordering::Release);
        }
    }

    /// The job's thread, result or stream is done with it: free as soon as no worker can touch it.
    pub(super) fn give_up(&mut self, shared: &Shared, index: usize, generation: u32) {
        self.live -= usize::from(self.slot(index).state == State::Live);
        let slot = self.slot(index);
        (slot.state, slot.generation) = (State::Limbo, generation);
        if !self.free_if_untouched(shared, index) {
            self.enqueue(index as u32);
        }
    }

    /// Nobody wants the result any more; the job goes on.
    pub(super) fn orphan(&mut self, index: usize, generation: u32) {
        let slot = self.slot(index);
        (slot.state, slot.generation) = (State::Orphan, generation);
        self.enqueue(index as u32);
    }

    fn free_if_untouched(&mut self, shared: &Shared, index: usize) -> bool {
        let Slot { generation, extent, .. } = *self.slot(index);
        if shared.is_named(index, generation) {
            return false;
        }
        self.slot(index).state = State::Free;
        self.taken -= 1;
        self.free_slots().insert(index);
        self.release(shared, extent);
        true
    }

    fn enqueue(&mut self, index: u32) {
        self.slot(index as usize).next = NONE;
        match core::mem::replace(&mut self.last, index) {
            NONE => self.first = index,
            last => self.slot(last as usize).next = index,
        }
        self.queued += 1;
    }

    /// Looks at so many slots of the queue, and frees what no worker can touch any more.
    fn sweep(&mut self, shared: &Shared, looks: usize) {
        for _ in 0..looks.min(self.queued) {
            let index = self.first;
            let Slot { state, generation, next, .. } = *self.slot(index as usize);
            self.first = next;
            if next == NONE {
                self.last = NONE;
            }
            self.queued -= 1;
            if state == State::Orphan {
                let job = shared.job(index as usize);
                if job.completed.load(Ordering::Acquire) != generation {
                    self.enqueue(index);
                    continue;
                }
                shared.end_job(index as usize, generation);
                self.slot(index as usize).state = State::Limbo;
            }
            if !self.free_if_untouched(shared, index as usize) {
                self.enqueue(index);
            }
        }
    }
}
