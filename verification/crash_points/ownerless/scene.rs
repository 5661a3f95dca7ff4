//! What the participants of one trial share.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use forq::ffi::mutex::{
    FORQ_MUTEX_ANY_RELEASE, forq_mutex, forq_mutex_init, forq_mutex_lock, forq_mutex_unlock,
};
use forq::{Barrier, Condvar, Error, Event, LockResult, Mutex, MutexGuard, Semaphore, Shared};

use super::super::stage::{self, Value, Word};
use super::super::system;

forq::shareable! {
    /// The objects under test, and what sleepers found.
    pub(crate) struct Scene {
        pub(super) semaphore: Semaphore,
        pub(super) event: Event,
        pub(super) barrier: Barrier,
        pub(super) condvar: Condvar,
        /// A lock without owner, of the C face.
        unowned: [AtomicU64; 16],
        /// The mutex of the condition variable.
        pub(super) monitor: Mutex<Value>,
        pub(super) circle: [Mutex<Value>; 2],
        /// Sections that all but the victim have finished, in any of the three.
        sections: AtomicU32,
        /// How often others than the victim were told of a death.
        told: AtomicU32,
        /// What one who holds a lock is to do next, and who it is.
        pub(super) cue: AtomicU32,
        pub(super) holder: AtomicU32,
        /// Of two that meet in a circle: it has the first lock; it may want the second.
        pub(super) ready: [AtomicU32; 2],
        pub(super) go: [AtomicU32; 2],
        /// Of each sleeper: 0 not yet, else an [`Outcome`].
        outcomes: [AtomicU32; 5],
        warm_up: Mutex<u64>,
    }
}

/// What is waited on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Semaphore,
    Event,
    Barrier,
    Condvar,
    Unowned,
    Circle,
}

/// The state of the condition variable, decoded by the table in `src/sync/condvar/state.rs`, not by the library's code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    /// Counted, and not granted a return.
    pub(super) waiting: i64,
    /// So many of `old` are granted a return, and have not claimed it.
    pub(super) credits: i64,
    pub(super) generation: u64,
    /// Counted of the generation before.
    pub(super) old: i64,
}

/// How a sleeper's wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should; a party's number.
    Done(u32),
    Broken,
    Failed,
}

impl Scene {
    pub(super) fn new(parties: u32) -> Shared<Self> {
        let scene = Shared::new(Self {
            condvar: Condvar::new(),
            unowned: [const { AtomicU64::new(0) }; 16],
            monitor: Mutex::new([0; 2]),
            circle: [const { Mutex::new([0; 2]) }; 2],
            sections: AtomicU32::new(0),
            told: AtomicU32::new(0),
            cue: AtomicU32::new(0),
            holder: AtomicU32::new(0),
            ready: [const { AtomicU32::new(0) }; 2],
            go: [const { AtomicU32::new(0) }; 2],
            semaphore: Semaphore::new(0),
            event: Event::new(),
            barrier: Barrier::new(parties.max(1)),
            outcomes: [const { AtomicU32::new(0) }; 5],
            warm_up: Mutex::new(0),
        })
        .expect("memory for a scene");
        // SAFETY: a place for it, which nobody uses yet.
        let made = unsafe { forq_mutex_init(scene.unowned(), FORQ_MUTEX_ANY_RELEASE) };
        assert_eq!(made, 0, "a lock without owner");
        scene
    }

    /// The lock without owner.
    pub(super) fn unowned(&self) -> *mut forq_mutex {
        self.unowned.as_ptr().cast_mut().cast()
    }

    /// The monitor's mutex, for the C face: the lock comes first in it.
    pub(super) fn monitor(&self) -> *mut forq_mutex {
        (&raw const self.monitor).cast_mut().cast()
    }

    /// Whoever has got a lock goes through its section, repairs if it is told of a death, and says so.
    pub(super) fn section<'a>(&self, result: LockResult<'a, Value>) -> Option<MutexGuard<'a, Value>> {
        let (outcome, guard) = stage::enter(result, true);
        match outcome {
            stage::Outcome::Clean => {}
            stage::Outcome::Told => drop(self.told.fetch_add(1, Ordering::Relaxed)),
            _ => return None,
        }
        self.sections.fetch_add(1, Ordering::Relaxed);
        guard
    }

    /// How often others than the victim were told of a death.
    pub(super) fn told(&self) -> u32 {
        self.told.load(Ordering::Relaxed)
    }

    pub(super) fn sections(&self) -> u32 {
        self.sections.load(Ordering::Relaxed)
    }

    /// The state words of the monitor's mutex, and of the two others.
    pub(super) fn locks(&self) -> [Word; 3] {
        [Word::of(&self.monitor), Word::of(&self.circle[0]), Word::of(&self.circle[1])]
    }

    pub(super) fn unowned_state(&self) -> u64 {
        self.unowned[0].load(Ordering::Relaxed)
    }

    /// Whether the lock without owner is locked.
    pub(super) fn is_unowned_locked(&self) -> bool {
        !Word::load(&self.unowned[0]).is_free()
    }

    /// Where sleepers on the condition variable sleep.
    pub(super) fn condvar_word(&self) -> usize {
        (&raw const self.condvar).addr()
    }

    pub(super) fn count(&self) -> Count {
        let state = self.words()[24];
        let part = |shift: u32| (state >> shift & 0x3fff) as i64;
        let (credits, old, young) = (part(0), part(36), part(50));
        Count { waiting: old - credits + young, credits, generation: state >> 14 & 0x3f_ffff, old }
    }

    /// Wakes all who sleep on the condition variable, without having granted them anything: they look, as they do when
    /// the bound on their sleep passes.
    pub(super) fn rouse(&self) {
        // SAFETY: the kernel uses the address as a key.
        unsafe { libc::syscall(libc::SYS_futex, self.condvar_word(), libc::FUTEX_WAKE, i32::MAX) };
    }

    /// What the library caches per thread is there afterwards.
    pub(super) fn warm_up(&self) {
        *self.warm_up.lock().expect("a lock of one's own") += 1;
    }

    /// Waits for ever, and leaves word.
    pub(super) fn visit(&self, kind: Kind, index: usize) -> i32 {
        self.warm_up();
        let result = match kind {
            Kind::Semaphore => self.semaphore.acquire().map(|()| 0),
            Kind::Event => self.event.wait().map(|()| 0),
            Kind::Barrier => self.barrier.wait(),
            Kind::Condvar => self.wait_in_monitor(),
            Kind::Unowned => self.pass_unowned(),
            Kind::Circle => self.hold_second(),
        };
        let code = match result {
            Ok(number) => 10 + number,
            Err(Error::Broken) => 1,
            Err(_) => 2,
        };
        self.outcomes[index].store(code, Ordering::Release);
        0
    }

    /// Goes in, waits for one notify, and goes out.
    fn wait_in_monitor(&self) -> Result<u32, Error> {
        let guard = self.section(self.monitor.lock()).ok_or(Error::Busy)?;
        let guard = self.section(self.condvar.wait(guard)).ok_or(Error::Busy)?;
        drop(guard);
        Ok(0)
    }

    /// Locks and unlocks the lock without owner.
    fn pass_unowned(&self) -> Result<u32, Error> {
        // SAFETY: in shared memory, which stays mapped.
        let results = unsafe { [forq_mutex_lock(self.unowned()), forq_mutex_unlock(self.unowned())] };
        if results == [0, 0] { Ok(0) } else { Err(Error::Busy) }
    }

    /// Holds the second lock of the circle, and on its cue wants the first one too (1), or goes (2).
    fn hold_second(&self) -> Result<u32, Error> {
        let second = self.section(self.circle[1].lock()).ok_or(Error::Busy)?;
        if system::await_cue(&self.cue, 6 * system::WATCHDOG) == Some(1) {
            drop(self.section(self.circle[0].lock()).ok_or(Error::Deadlock)?);
        }
        drop(second);
        Ok(0)
    }

    pub(super) fn outcome(&self, index: usize) -> Outcome {
        match self.outcomes[index].load(Ordering::Acquire) {
            1 => Outcome::Broken,
            0 | 2..10 => Outcome::Failed,
            code => Outcome::Done(code - 10),
        }
    }

    /// All words of the objects: whatever a death can depend on, but the robust list.
    pub(super) fn words(&self) -> [u64; std::mem::offset_of!(Scene, sections) / 8] {
        let first = std::ptr::from_ref(self).cast::<u64>();
        // SAFETY: the objects come first, 64-aligned, plain numbers. Volatile, since other processes change them.
        std::array::from_fn(|at| unsafe { first.add(at).read_volatile() })
    }

    /// Whether the event was ever set: its generation is not the first, or it is set now. Read from the shared
    /// mapping by the table in `src/sync/event.rs`, not by the library's code.
    pub(super) fn was_set(&self) -> bool {
        let state = (&raw const self.event).cast_mut().cast();
        // SAFETY: an event begins with its state, which is always accessed atomically.
        unsafe { AtomicU64::from_ptr(state) }.load(Ordering::Relaxed) as u32 != 0
    }

    /// How far into the scene an address points.
    pub(super) fn distance(&self, address: usize) -> Option<usize> {
        let start = std::ptr::from_ref(self).addr();
        // The kernel is told an address that lies before the word that is meant.
        (address + 64).checked_sub(start).filter(|&distance| distance < size_of::<Self>() + 64)
    }
}
