//! The words by which workers, supervisor and host agree on who does what: packed, changed only as a whole.

/// A chunk's word.
///
/// | bits | part | |
/// |---|---|---|
/// | 0-31 | start | items of the chunk that were done before whoever claimed it began; of a cancelled one, that are done |
/// | 32-43 | worker | who claimed or finished it |
/// | 44 | dirty | its items have statuses in the arena; else those that are done are all OK |
/// | 45-47 | stage | see [`Stage`] |
/// | 48-63 | generation | the job's, its low half: a word of another job is never taken for this one's |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkWord(pub(super) u64);

/// How far a chunk is.
///
/// | stage | changed by | to |
/// |---|---|---|
/// | free | a worker, or the host that cancels | claimed, or cancelled |
/// | claimed | its worker; the supervisor after its death; the host that cancels | done; free, done; condemned |
/// | done | nobody | |
/// | condemned | the supervisor, after the worker's death | cancelled |
/// | cancelled | nobody | |
/// | unused (of a piece) | the worker that cuts it off; the host that cancels | free; void |
/// | void | nobody | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Free,
    Claimed,
    Done,
    Condemned,
    Cancelled,
    /// A [piece](super::piece) that has not been cut off.
    Unused,
    /// A piece that never will be.
    Void,
}

/// Workers of one pool at the most: what the word has room for, less the supervisor's own number.
pub(super) const MAX_WORKERS: usize = (1 << 12) - 2;

impl ChunkWord {
    pub(super) fn new(generation: u32, stage: Stage, dirty: bool, worker: usize, start: u32) -> Self {
        Self(
            u64::from(start)
                | (worker as u64 & 0xfff) << 32
                | u64::from(dirty) << 44
                | (stage as u64) << 45
                | u64::from(generation & 0xffff) << 48,
        )
    }

    /// Nobody has begun it.
    pub(super) fn untouched(generation: u32) -> Self {
        Self::new(generation, Stage::Free, false, 0, 0)
    }

    /// Of a piece: it has not been cut off.
    pub(super) fn unused(generation: u32) -> Self {
        Self::new(generation, Stage::Unused, false, 0, 0)
    }

    /// Whether it has items: of a piece, whether it has been cut off.
    pub(super) fn is_in_use(self) -> bool {
        !matches!(self.stage(), Stage::Unused | Stage::Void)
    }

    pub(super) fn start(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn worker(self) -> usize {
        (self.0 >> 32 & 0xfff) as usize
    }

    pub(super) fn is_dirty(self) -> bool {
        self.0 >> 44 & 1 != 0
    }

    pub(super) fn stage(self) -> Stage {
        match self.0 >> 45 & 7 {
            0 => Stage::Free,
            1 => Stage::Claimed,
            2 => Stage::Done,
            3 => Stage::Condemned,
            4 => Stage::Cancelled,
            5 => Stage::Unused,
            _ => Stage::Void,
        }
    }

    pub(super) fn is_of(self, generation: u32) -> bool {
        self.0 >> 48 == u64::from(generation & 0xffff)
    }

    pub(super) fn is_free_of(self, generation: u32) -> bool {
        self.stage() == Stage::Free && self.is_of(generation)
    }

    pub(super) fn is_claimed_by(self, worker: usize, generation: u32) -> bool {
        self.stage() == Stage::Claimed && self.worker() == worker && self.is_of(generation)
    }

    pub(super) fn is_condemned_of(self, worker: usize, generation: u32) -> bool {
        self.stage() == Stage::Condemned && self.worker() == worker && self.is_of(generation)
    }

    pub(super) fn with_stage(self, stage: Stage) -> Self {
        Self(self.0 & !(7 << 45) | (stage as u64) << 45)
    }

    pub(super) fn claimed_by(self, worker: usize) -> Self {
        Self(self.0 & !(0xfff << 32) | (worker as u64 & 0xfff) << 32).with_stage(Stage::Claimed)
    }
}

/// What a worker may touch: published before it reads a job, so that nobody reuses its memory. 0: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intent(pub(super) u64);

impl Intent {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn new(job: usize, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | (job as u64 + 1))
    }

    /// Job slot and generation.
    pub(super) fn get(self) -> Option<(usize, u32)> {
        let job = (self.0 as u32 as usize).checked_sub(1)?;
        (job < super::control::JOBS).then_some((job, (self.0 >> 32) as u32))
    }
}

/// Two numbers of 32 bits that change together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair(pub(super) u64);

/// A worker's place while it has none in the job that its intent names.
pub(super) const NOWHERE: Pair = Pair(u64::MAX);

impl Pair {
    pub(super) fn new(high: u32, low: u32) -> Self {
        Self(u64::from(high) << 32 | u64::from(low))
    }

    pub(super) fn high(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn low(self) -> u32 {
        self.0 as u32
    }
}

/// The item that a worker is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ItemWord(pub(super) u64);

impl ItemWord {
    /// `running`: its function has been entered. `dirty`: the statuses of all items of the chunk before it have been written.
    #[inline]
    pub(super) fn new(index: u64, running: bool, dirty: bool) -> Self {
        Self(index << 2 | u64::from(dirty) << 1 | u64::from(running))
    }

    pub(super) fn index(self) -> u64 {
        self.0 >> 2
    }

    pub(super) fn is_dirty(self) -> bool {
        self.0 & 2 != 0
    }

    pub(super) fn is_running(self) -> bool {
        self.0 & 1 != 0
    }
}

/// The item that a worker is on, where items have a time limit: {number, state}. The number never repeats in a slot, so that
/// nobody is condemned for what was before.
///
/// | state | changed by | to |
/// |---|---|---|
/// | running | its worker; the supervisor when the time is up | over; condemned |
/// | over | the worker | running, with the next number |
/// | condemned | nobody; the worker waits to be killed | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn(pub(super) u64);

impl Turn {
    const RUNNING: u64 = 1;
    const CONDEMNED: u64 = 2;

    /// The next item begins.
    #[inline]
    pub(super) fn next(self) -> Self {
        Self(((self.0 >> 2) + 1) << 2 | Self::RUNNING)
    }

    #[inline]
    pub(super) fn over(self) -> Self {
        Self(self.0 & !3)
    }

    pub(super) fn condemned(self) -> Self {
        Self(self.0 & !3 | Self::CONDEMNED)
    }

    pub(super) fn is_running(self) -> bool {
        self.0 & 3 == Self::RUNNING
    }

    pub(super) fn is_condemned(self) -> bool {
        self.0 & 3 == Self::CONDEMNED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_word_keeps_its_parts_apart() {
        let stages = [Stage::Free, Stage::Claimed, Stage::Done, Stage::Condemned, Stage::Cancelled];
        for stage in stages.into_iter().chain([Stage::Unused, Stage::Void]) {
            let word = ChunkWord::new(0x1_fffe, stage, true, MAX_WORKERS, u32::MAX);
            assert_eq!(word.stage(), stage);
            assert_eq!((word.start(), word.worker(), word.is_dirty()), (u32::MAX, MAX_WORKERS, true));
            assert!(word.is_of(0xfffe) && !word.is_of(0xffff));
            assert_eq!(word.with_stage(Stage::Free).claimed_by(3).worker(), 3);
        }
    }

    #[test]
    fn a_turn_is_never_taken_for_an_earlier_one() {
        let first = Turn(0).next();
        assert!(first.is_running() && !first.over().is_running() && !first.over().is_condemned());
        assert!(first.condemned().is_condemned() && !first.condemned().is_running());
        for last in [first, first.over(), first.condemned()] {
            assert!(last.next().is_running() && last.next() != first);
        }
    }

    #[test]
    fn an_intent_names_a_job_or_nothing() {
        assert_eq!(Intent::NONE.get(), None);
        assert_eq!(Intent::new(0, 0).get(), Some((0, 0)));
        let last = super::super::control::JOBS - 1;
        assert_eq!(Intent::new(last, u32::MAX).get(), Some((last, u32::MAX)));
        assert_eq!(Intent(u64::MAX).get(), None, "any bytes name a job that exists, or nothing");
    }
}
