//! What the participants of one case share: the locks under test, cues, and accounts.

use std::mem::size_of_val;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use forq::ffi::mutex::{FORQ_MUTEX_RECURSIVE, forq_mutex_init, forq_mutex_lock};
use forq::{LockError, LockResult, Mutex, ReentrantMutex, Shared};

/// What a lock guards: a section adds one to the first number, then to the second.
pub(super) type Value = [u64; 2];

/// Locks on the stage.
pub(super) const LOCKS: usize = 2;

/// Who takes part, by slot. A slot is used by one process at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Holder,
    Sleeper,
    SecondSleeper,
    ThirdSleeper,
    Barger,
    Checker,
    Extra,
}

forq::shareable! {
    /// What one participant and the harness tell each other.
    pub(crate) struct Notes {
        /// How its `lock` ended: an [`Outcome`]; 0: not yet.
        outcome: AtomicU32,
        /// It may leave the section.
        go: AtomicU32,
        /// Who it is.
        pid: AtomicU32,
    }
}

forq::shareable! {
    /// The shared memory of a case.
    pub(crate) struct Stage {
        locks: [Mutex<Value>; LOCKS],
        /// Sections that participants other than the victim have finished.
        sections: [AtomicU64; LOCKS],
        notes: [Notes; 7],
        /// For victims to warm what is cached per thread.
        warm_up: Mutex<u64>,
    }
}

/// How a participant came to the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Clean = 1,
    Told = 2,
    Leaked = 3,
    TimedOut = 4,
    Failed = 5,
    /// Not told of a death, yet the value is half changed.
    Torn = 6,
}

impl Outcome {
    pub(super) fn of(code: u32) -> Self {
        [Self::Clean, Self::Told, Self::Leaked, Self::TimedOut, Self::Torn]
            .into_iter()
            .find(|&outcome| outcome as u32 == code)
            .unwrap_or(Self::Failed)
    }
}

impl Stage {
    pub(super) fn new() -> Shared<Self> {
        let notes = || Notes { outcome: AtomicU32::new(0), go: AtomicU32::new(0), pid: AtomicU32::new(0) };
        Shared::new(Self {
            locks: [const { Mutex::new([0; 2]) }; LOCKS],
            sections: [const { AtomicU64::new(0) }; LOCKS],
            notes: std::array::from_fn(|_| notes()),
            warm_up: Mutex::new(0),
        })
        .expect("memory for a stage")
    }

    pub(super) fn lock(&self, index: usize) -> &Mutex<Value> {
        &self.locks[index]
    }

    /// Makes the first lock one that its holder may lock again. Before anybody uses it.
    pub(super) fn make_recursive(&self) {
        // SAFETY: a lock's 128 bytes come first in a mutex; nobody uses it yet.
        let made =
            unsafe { forq_mutex_init((&raw const self.locks[0]).cast_mut().cast(), FORQ_MUTEX_RECURSIVE) };
        assert_eq!(made, 0, "a recursive lock");
    }

    /// The first lock, if it was made recursive. Its value may be changed through it by who holds it.
    pub(super) fn recursive(&self) -> &ReentrantMutex<[AtomicU64; 2]> {
        // SAFETY: both kinds are a lock's 128 bytes and then the value: two numbers in either.
        unsafe { &*(&raw const self.locks[0]).cast() }
    }

    /// Its holder locks it again, if it may; there is no guard of that.
    pub(super) fn lock_again(&self) {
        if !self.word(0).is_special() {
            return;
        }
        // SAFETY: as above.
        unsafe { forq_mutex_lock((&raw const self.locks[0]).cast_mut().cast()) };
    }

    /// Takes and leaves a lock of no meaning, so that what the library caches per thread is there.
    pub(super) fn warm_up(&self) {
        *self.warm_up.lock().expect("a lock of one's own") += 1;
    }

    pub(super) fn outcome(&self, slot: Slot) -> &AtomicU32 {
        &self.notes[slot as usize].outcome
    }

    pub(super) fn go(&self, slot: Slot) -> &AtomicU32 {
        &self.notes[slot as usize].go
    }

    /// Empties a slot for its next user.
    pub(super) fn clear(&self, slot: Slot) {
        self.outcome(slot).store(0, Ordering::Relaxed);
        self.go(slot).store(0, Ordering::Relaxed);
    }

    pub(super) fn sections(&self, index: usize) -> u64 {
        self.sections[index].load(Ordering::Relaxed)
    }

    pub(super) fn count_section(&self, index: usize) {
        self.sections[index].fetch_add(1, Ordering::Relaxed);
    }

    /// The state word, read from the shared mapping as anybody could.
    pub(super) fn word(&self, index: usize) -> Word {
        Word::of(&self.locks[index])
    }

    /// Where sleepers on this lock sleep.
    pub(super) fn futex(&self, index: usize) -> usize {
        (&raw const self.locks[index]).addr() + FUTEX_BYTE
    }

    /// What a lock guards, read without the lock: only while nobody runs who could change it.
    pub(super) fn value(&self, index: usize) -> Value {
        let mutex = &raw const self.locks[index];
        let end = mutex.addr() + size_of_val(&self.locks[index]);
        // The value follows the lock's 128 bytes.
        let value = mutex.cast::<u8>().wrapping_add(RAW_SIZE).cast::<Value>();
        assert!(value.addr() + size_of::<Value>() <= end, "the value is inside the mutex");
        // SAFETY: inside the mapped mutex, aligned to 64; plain numbers.
        unsafe { value.read_volatile() }
    }

    /// All words of the locks: whatever the death of a participant can depend on, but its robust list.
    pub(super) fn words(&self) -> [u64; size_of::<[Mutex<Value>; LOCKS]>() / 8] {
        let first = (&raw const self.locks).cast::<u64>();
        // SAFETY: mapped and aligned, plain numbers. Volatile, since other processes change them.
        std::array::from_fn(|at| unsafe { first.add(at).read_volatile() })
    }

    /// How far into the stage an address points.
    pub(super) fn distance(&self, address: u64) -> Option<u64> {
        let start = std::ptr::from_ref(self).addr() as u64;
        address.checked_sub(start).filter(|&distance| distance < size_of::<Self>() as u64)
    }

    /// Notes who has a slot.
    pub(super) fn cast(&self, slot: Slot, pid: i32) {
        self.notes[slot as usize].pid.store(pid as u32, Ordering::Relaxed);
    }

    /// The slot of a process; 0 is no process.
    pub(super) fn slot_of(&self, pid: u32) -> Option<usize> {
        self.notes.iter().position(|notes| pid != 0 && notes.pid.load(Ordering::Relaxed) == pid)
    }
}

/// The size of the lock itself, frozen by the library.
const RAW_SIZE: usize = 128;
const FUTEX_BYTE: usize = if cfg!(target_env = "musl") { 4 } else { 0 };

/// The state word, decoded by the table in `src/sync/state.rs`, not by the library's code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word(u64);

impl Word {
    pub(super) fn of<T>(mutex: &Mutex<T>) -> Self {
        let state = (&raw const *mutex).cast_mut().cast();
        // SAFETY: mapped, aligned; a mutex begins with its state word, which is always accessed atomically.
        Self::load(unsafe { AtomicU64::from_ptr(state) })
    }

    pub(super) fn load(state: &AtomicU64) -> Self {
        Self(state.load(Ordering::Relaxed))
    }

    /// Whether the next to take it must be told of a death.
    pub(super) fn has_news(self) -> bool {
        self.futex() >> 30 & 1 != 0 || self.own() >> 30 & 1 != 0
    }

    fn futex(self) -> u32 {
        (self.0 >> (8 * FUTEX_BYTE)) as u32
    }

    fn own(self) -> u32 {
        (self.0 >> (32 - 8 * FUTEX_BYTE)) as u32
    }

    pub(super) fn tid(self) -> i32 {
        (self.futex() & 0x3fff_ffff) as i32
    }

    pub(super) fn is_free(self) -> bool {
        self.tid() == 0
    }

    pub(super) fn announced(self) -> u32 {
        self.own() & 0x7_ffff
    }

    fn is_special(self) -> bool {
        self.own() >> 19 & 1 != 0
    }

    pub(super) fn epoch(self) -> u32 {
        self.own() >> 20 & 0x3ff
    }

    fn has_waiters(self) -> bool {
        self.futex() >> 31 != 0
    }

    /// Free, nothing to repair, and as many waiters announced as `announced` (dead ones).
    pub(super) fn is_at_rest(self, announced: u32) -> bool {
        let plain = self.futex() & 0x7fff_ffff == 0 && self.own() >> 30 == 0;
        plain && self.announced() == announced && !self.has_waiters()
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{futex {:08x}, ours {:08x}}}", self.futex(), self.own())
    }
}

/// What every participant does inside. The value is half changed in between.
#[inline(always)]
pub(super) fn section(value: &mut Value) {
    let value: *mut u64 = value.as_mut_ptr();
    // SAFETY: the two numbers of the value, borrowed mutably. Volatile, so that there is a between.
    unsafe {
        value.write_volatile(value.read_volatile() + 1);
        value.add(1).write_volatile(value.add(1).read_volatile() + 1);
    }
}

/// Goes in after `lock`, and tells how it came in. A value found half changed is put right if `repair`.
pub(super) fn enter<'a>(
    result: LockResult<'a, Value>,
    repair: bool,
) -> (Outcome, Option<forq::MutexGuard<'a, Value>>) {
    match result {
        Ok(mut guard) if guard[0] == guard[1] => {
            section(&mut guard);
            (Outcome::Clean, Some(guard))
        }
        Ok(guard) => (Outcome::Torn, Some(guard)),
        Err(forq::LockError::OwnerDied(mut guard)) => {
            if repair {
                guard[1] = guard[0];
                guard.mark_consistent();
            }
            section(&mut guard);
            (Outcome::Told, Some(guard))
        }
        Err(forq::LockError::Leaked) => (Outcome::Leaked, None),
        Err(forq::LockError::TimedOut) => (Outcome::TimedOut, None),
        Err(_) => (Outcome::Failed, None),
    }
}

/// As [`enter`], twice: locks again when inside, and tells how the first lock went. Repairs what was left half changed.
/// Both guards are dropped, the inner one first.
pub(super) fn enter_twice(mutex: &ReentrantMutex<[AtomicU64; 2]>) -> Outcome {
    let (outcome, outer) = match mutex.lock() {
        Ok(guard) => (Outcome::Clean, guard),
        Err(LockError::OwnerDied(guard)) => {
            guard[1].store(guard[0].load(Ordering::Relaxed), Ordering::Relaxed);
            guard.mark_consistent();
            (Outcome::Told, guard)
        }
        Err(_) => return Outcome::Failed,
    };
    let Ok(inner) = mutex.lock() else { return Outcome::Failed };
    for number in inner.iter() {
        number.store(number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
    drop(inner);
    drop(outer);
    outcome
}
