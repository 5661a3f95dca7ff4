//! Pieces of chunks: what a worker leaves to others of a chunk that takes long, while they have nothing to do.
//!
//! A piece is a chunk of its own, with a word after those of the chunks, and a place that says at which item it begins. It ends where the next
//! piece of the same chunk begins, or with the chunk; so does what comes before it. Hence one exchange, of the piece's word from
//! unused to free, both ends the part that it is cut from and lets others at the piece; until then nothing has happened. Only who has a part in
//! hand cuts it: once it is done, so are its ends known. Pieces are used in order, and none twice in a job: one that is cut from another
//! stands behind it.

use core::ops::Range;

use super::control::{Fields, Shared};
use super::word::{ChunkWord, Stage};
use crate::sys::atomic::{AtomicU64, Ordering};

/// Pieces that a job has room for, for each worker and at least.
const PIECES_PER_WORKER: usize = 16;
const LEAST_PIECES: usize = 64;

/// How many pieces a job may be cut into, besides its chunks.
pub(super) fn count_for(items: usize, chunks: usize, workers: usize) -> usize {
    let most = if workers > 1 { LEAST_PIECES + PIECES_PER_WORKER * workers } else { 0 };
    (items - chunks).min(most)
}

impl Shared {
    /// At which items the pieces of a job begin.
    ///
    /// # Safety
    /// As [`Shared::words`].
    unsafe fn cuts(&self, fields: &Fields) -> &[AtomicU64] {
        // SAFETY: as for the words.
        unsafe { core::slice::from_raw_parts(self.arena(fields.cuts).cast(), fields.pieces as usize) }
    }

    /// How many pieces of a job may be in use, from the first one on.
    pub(super) fn pieces_used(&self, index: usize, fields: &Fields) -> u32 {
        // Acquire is for those who look again and again; else the number comes with the word of the part that was cut.
        self.job(index).pieces_used.load(Ordering::Acquire).min(fields.pieces)
    }

    /// Where the pieces of a job begin that have been cut off, with the numbers of their words.
    ///
    /// # Safety
    /// As [`Shared::words`].
    unsafe fn pieces(&self, index: usize, fields: &Fields) -> impl Iterator<Item = (u32, usize)> {
        // SAFETY: by contract.
        let (words, cuts) = unsafe { (self.words(fields), self.cuts(fields)) };
        (0..self.pieces_used(index, fields)).filter_map(move |piece| {
            // Acquire: the place was written before.
            let word = ChunkWord(words[(fields.chunks + piece) as usize].load(Ordering::Acquire));
            let at = cuts[piece as usize].load(Ordering::Relaxed) as usize;
            word.is_in_use().then_some((fields.chunks + piece, at))
        })
    }

    /// The first item of a chunk, or of a piece that is in use.
    ///
    /// # Safety
    /// As [`Shared::words`].
    pub(super) unsafe fn first_item(&self, fields: &Fields, chunk: u32) -> usize {
        match chunk.checked_sub(fields.chunks) {
            None => fields.chunk(chunk).start,
            // SAFETY: by contract.
            Some(piece) => unsafe { self.cuts(fields) }
                .get(piece as usize)
                .map_or(fields.count, |at| (at.load(Ordering::Relaxed) as usize).min(fields.count)),
        }
    }

    /// The items of a chunk, or of a piece, without what has been cut off.
    ///
    /// # Safety
    /// As [`Shared::words`].
    pub(super) unsafe fn items(&self, index: usize, fields: &Fields, chunk: u32) -> Range<usize> {
        if self.pieces_used(index, fields) == 0 {
            return fields.chunk(chunk);
        }
        // SAFETY: by contract.
        let start = unsafe { self.first_item(fields, chunk) };
        let whole = fields.chunk((start / fields.chunk_size) as u32);
        // SAFETY: by contract.
        start..unsafe { self.end_of(index, fields, start, whole.end) }.max(start)
    }

    /// Where the chunk or piece ends that begins with item `start`, of a chunk that ends at `end`.
    ///
    /// # Safety
    /// As [`Shared::words`].
    pub(super) unsafe fn end_of(&self, index: usize, fields: &Fields, start: usize, end: usize) -> usize {
        // SAFETY: by contract.
        let pieces = unsafe { self.pieces(index, fields) };
        pieces.map(|(_, at)| at).filter(|&at| at > start).fold(end, usize::min)
    }

    /// The piece that begins with this item.
    ///
    /// # Safety
    /// As [`Shared::words`].
    pub(super) unsafe fn piece_at(&self, index: usize, fields: &Fields, item: usize) -> Option<u32> {
        // SAFETY: by contract.
        unsafe { self.pieces(index, fields) }.find(|&(_, at)| at == item).map(|(piece, _)| piece)
    }

    /// Whether all of a job is done.
    ///
    /// # Safety
    /// As [`Shared::words`].
    pub(super) unsafe fn is_all_done(&self, index: usize, generation: u32, fields: &Fields) -> bool {
        // SAFETY: by contract.
        let (chunks, pieces) = unsafe { self.words(fields) }.split_at(fields.chunks as usize);
        let is_done = |word: &AtomicU64| {
            let word = ChunkWord(word.load(Ordering::Acquire));
            word.is_of(generation) && (word.stage() == Stage::Done || !word.is_in_use())
        };
        let used = self.pieces_used(index, fields) as usize;
        // First what is mostly not done yet: the last pieces, the last chunks. Then the pieces again, in order: who has seen a part done finds
        // all that was cut from it.
        pieces[..used].iter().rev().all(is_done)
            && chunks.iter().rev().all(is_done)
            && (0..fields.pieces)
                .take_while(|&piece| piece < self.pieces_used(index, fields))
                .all(|piece| is_done(&pieces[piece as usize]))
    }

    /// Whether there may be something to claim.
    ///
    /// # Safety
    /// As [`Shared::words`].
    pub(super) unsafe fn is_open(&self, index: usize, generation: u32, fields: &Fields) -> bool {
        let used = self.pieces_used(index, fields);
        // SAFETY: by contract.
        let pieces = &unsafe { self.words(fields) }[fields.chunks as usize..][..used as usize];
        self.job(index).has_chunks(fields)
            || pieces.iter().any(|word| ChunkWord(word.load(Ordering::Acquire)).is_free_of(generation))
    }

    /// Cuts a piece off that begins with item `at`, for whoever has nothing to do; false: there is no room for more, or the job is cancelled.
    ///
    /// # Safety
    /// As [`Shared::words`]; the caller must have in hand what it is cut from, and be before that item. `dirty`: its items have statuses.
    pub(super) unsafe fn cut_off(
        &self,
        index: usize,
        generation: u32,
        fields: &Fields,
        at: usize,
        dirty: bool,
    ) -> bool {
        let job = self.job(index);
        if self.pieces_used(index, fields) == fields.pieces {
            return false;
        }
        let piece = job.pieces_used.fetch_add(1, Ordering::Relaxed);
        // SAFETY: by contract.
        let (words, cuts) = unsafe { (self.words(fields), self.cuts(fields)) };
        let Some(cut) = cuts.get(piece as usize) else { return false };
        if !cfg!(forq_fault = "late_place") {
            cut.store(at as u64, Ordering::Relaxed);
        }
        // Before: who takes the piece says again that nothing is left.
        job.all_claimed.store(0, Ordering::Relaxed);
        let (unused, free) =
            (ChunkWord::unused(generation), ChunkWord::new(generation, Stage::Free, dirty, 0, 0));
        if !Self::exchange(&words[(fields.chunks + piece) as usize], unused, free) {
            return false;
        }
        // Should we die here, the supervisor does the same.
        self.control().open.insert(index);
        self.announce_work(1);
        if cfg!(forq_fault = "late_place") {
            cut.store(at as u64, Ordering::Relaxed);
        }
        true
    }

    /// Whether some worker sleeps.
    pub(super) fn has_idle_worker(&self) -> bool {
        // Relaxed: only a hint.
        let words = self.workers.div_ceil(64);
        self.control().idle.0[..words].iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::Memory;
    use super::super::job::{Job, Layout};
    use super::*;
    use crate::sys::map::Mapping;

    const COUNT: usize = 1000;
    const CHUNK: usize = 300;
    const WORKERS: usize = 2;
    const GENERATION: u32 = 1;

    unsafe fn nothing(_: &mut super::super::run::Run<'_>) {}

    fn job() -> (Memory, Mapping, Shared, Fields) {
        let memory = Memory::new(WORKERS).unwrap();
        let arena = Mapping::reserved(1 << 20).unwrap();
        // SAFETY: both are returned, and outlive it.
        let shared = unsafe { Shared::new(&memory, &arena, WORKERS) };
        let job = Job {
            runner: nothing,
            task: 0,
            context: core::ptr::null(),
            context_size: 0,
            inputs: core::ptr::null(),
            input_size: 0,
            count: COUNT,
            output_size: 0,
            chunk_size: CHUNK,
            has_statuses: false,
            has_messages: false,
            pure: false,
            is_apply: false,
        };
        let fields = Layout::of(&job, WORKERS).unwrap().at(0);
        // SAFETY: this test's own memory.
        let (chunks, pieces) = unsafe { shared.words(&fields) }.split_at(fields.chunks as usize);
        chunks.iter().for_each(|word| word.store(ChunkWord::untouched(GENERATION).0, Ordering::Relaxed));
        pieces.iter().for_each(|word| word.store(ChunkWord::unused(GENERATION).0, Ordering::Relaxed));
        (memory, arena, shared, fields)
    }

    /// The parts one after the other: their words' numbers and items.
    fn parts(shared: &Shared, fields: &Fields) -> Vec<(u32, Range<usize>)> {
        let (mut at, mut parts) = (0, Vec::new());
        while at < COUNT {
            let part = if at % CHUNK == 0 {
                (at / CHUNK) as u32
            } else {
                // SAFETY: this test's own memory.
                let piece = unsafe { shared.piece_at(0, fields, at) };
                piece.expect("all but a chunk's first begin a piece")
            };
            // SAFETY: as above.
            let items = unsafe { shared.items(0, fields, part) };
            assert!(items.start == at && items.end > at);
            at = items.end;
            parts.push((part, items));
        }
        parts
    }

    #[test]
    fn parts_cover_all_items_once_however_they_are_cut() {
        let (_memory, _arena, shared, fields) = job();
        assert_eq!((fields.chunks, fields.pieces), (4, 96));
        let set = |part: u32, stage| {
            // SAFETY: this test's own memory.
            let word = &unsafe { shared.words(&fields) }[part as usize];
            word.store(ChunkWord::new(GENERATION, stage, false, 0, 0).0, Ordering::Relaxed);
        };
        // SAFETY: as above.
        let is_all_done = || unsafe { shared.is_all_done(0, GENERATION, &fields) };
        // SAFETY: as above.
        let is_open = || unsafe { shared.is_open(0, GENERATION, &fields) };
        assert_eq!(parts(&shared, &fields), [(0, 0..300), (1, 300..600), (2, 600..900), (3, 900..1000)]);
        // A place that was written, by one who died before the exchange, is none.
        shared.job(0).pieces_used.store(1, Ordering::Relaxed);
        // SAFETY: as above.
        let cuts = unsafe { shared.cuts(&fields) };
        cuts[0].store(450, Ordering::Relaxed);
        assert_eq!(parts(&shared, &fields).len(), 4);
        (0..4).for_each(|chunk| set(chunk, Stage::Done));
        assert!(is_all_done() && !is_open());
        let mut seed = 7u64;
        let mut cut = 0;
        loop {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let all = parts(&shared, &fields);
            let (_, items) = &all[(seed >> 33) as usize % all.len()];
            if items.len() < 2 {
                continue;
            }
            let at = items.end - items.len() / 2;
            // SAFETY: as above.
            if !unsafe { shared.cut_off(0, GENERATION, &fields, at, false) } {
                break;
            }
            cut += 1;
            assert!(parts(&shared, &fields).iter().any(|(_, items)| items.start == at));
            assert!(is_open() && !is_all_done(), "the new piece is free");
            set(fields.chunks + cut, Stage::Done);
            assert!(!is_open() && is_all_done());
        }
        assert_eq!(cut, 95, "all but the one that was lost");
        assert_eq!(parts(&shared, &fields).len(), 4 + 95);
    }

    #[test]
    fn a_job_that_is_cancelled_is_not_cut() {
        let (_memory, _arena, shared, fields) = job();
        // SAFETY: this test's own memory.
        for word in unsafe { shared.words(&fields) } {
            let stage = ChunkWord(word.load(Ordering::Relaxed)).stage();
            let next = if stage == Stage::Unused { Stage::Void } else { Stage::Done };
            word.store(ChunkWord::new(GENERATION, next, false, 0, 0).0, Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe {
            assert!(!shared.cut_off(0, GENERATION, &fields, 250, false));
            assert!(shared.is_all_done(0, GENERATION, &fields));
        }
        assert_eq!(parts(&shared, &fields).len(), 4);
    }
}
