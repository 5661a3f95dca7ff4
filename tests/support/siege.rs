//! A stranger who writes into shared memory while others use it, and some of them die.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forq::{Error, ExitStatus, Process, Shared};

use crate::support::{Random, count_panics, send};

const USERS: usize = 4;
/// What waits last, at most.
pub(crate) const PATIENCE: Duration = Duration::from_micros(100);
/// Behind the room that a call is given.
pub(crate) const CANARY: u8 = 0xC5;
/// Whoever does not come out of a call for so long never will.
const STALL: Duration = Duration::from_secs(20);

forq::shareable! {
    /// What users and host tell each other.
    pub(crate) struct Watch {
        progress: [AtomicU64; USERS],
        /// Calls that went well, and that did not.
        good: AtomicU64,
        failed: AtomicU64,
        stop: AtomicU32,
    }
}

impl Watch {
    fn new() -> Shared<Self> {
        let zero = || AtomicU64::new(0);
        let progress = std::array::from_fn(|_| zero());
        Shared::new(Self { progress, good: zero(), failed: zero(), stop: AtomicU32::new(0) }).unwrap()
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }

    /// Takes note of a call that has come back. `expected`: whether an error is one that it may give.
    pub(crate) fn note(&self, user: usize, result: Result<(), Error>, expected: impl Fn(Error) -> bool) {
        let count = match result {
            Ok(()) => &self.good,
            Err(error) if expected(error) => &self.failed,
            Err(other) => panic!("not an error that it may give: {other:?}"),
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.progress[user].fetch_add(1, Ordering::Relaxed);
    }
}

/// Some who use something, in processes of their own, a few of whom are killed and replaced, and a stranger who is told their process
/// ids and writes. Nobody may crash or not come back, for `FORQ_SECONDS` a third each (3 unless given).
pub(crate) fn besiege(
    seed: u64,
    mut user: impl FnMut(&Watch, usize, Random),
    stranger: impl FnOnce(&Watch, &[u32], Random),
) {
    let seconds: u64 = std::env::var("FORQ_SECONDS").ok().and_then(|value| value.parse().ok()).unwrap_or(3);
    let watch = Watch::new();
    let panics = count_panics();
    let mut random = Random(0x9E37_79B9_7F4A_7C15 + seed);
    let mut spawn = |index: usize, random: &mut Random| {
        let seed = Random(random.below(1 << 31) | 1);
        Process::spawn(|| user(&watch, index, seed)).unwrap()
    };
    let mut users: Vec<_> = (0..USERS).map(|index| spawn(index, &mut random)).collect();
    let pids: Vec<_> = users.iter().map(Process::pid).chain([1, std::process::id()]).collect();
    let mut stranger = Process::spawn(|| stranger(&watch, &pids, Random(seed + 1))).unwrap();
    let end = Instant::now() + Duration::from_millis(1000 * seconds / 3);
    let mut seen = [(u64::MAX, Instant::now()); USERS];
    let mut kills = 0;
    let counts = || (watch.good.load(Ordering::Relaxed), watch.failed.load(Ordering::Relaxed));
    // On a loaded machine until enough was called; for no longer than a case may take.
    let enough = || counts().0 > 100 && counts().1 > 100;
    while Instant::now() < end || !enough() {
        std::thread::sleep(Duration::from_millis(1 + random.below(10)));
        for (index, seen) in seen.iter_mut().enumerate() {
            let progress = watch.progress[index].load(Ordering::Relaxed);
            if progress != seen.0 {
                *seen = (progress, Instant::now());
            }
            assert!(seen.1.elapsed() < STALL, "user {index} does not come out of a call");
            let ended = users[index].try_join().unwrap();
            assert_eq!(ended, None, "user {index} has crashed");
        }
        // Some die in the middle of it.
        if random.below(8) == 0 {
            let index = random.below(USERS as u64) as usize;
            send(users[index].pid(), libc::SIGKILL);
            let end = users[index].join().unwrap();
            assert_eq!(end, ExitStatus::Signaled(libc::SIGKILL), "user {index} has crashed");
            users[index] = spawn(index, &mut random);
            kills += 1;
        }
    }
    watch.stop.store(1, Ordering::Relaxed);
    for process in users.iter_mut().chain([&mut stranger]) {
        assert_eq!(process.join_timeout(STALL).unwrap(), ExitStatus::Exited(0));
    }
    assert_eq!(panics.load(Ordering::Relaxed), 0, "a user panicked");
    let (good, failed) = counts();
    println!("     {good} calls went well, {failed} failed, {kills} kills");
}
