//! Who has put what, and who has got it, through a queue or a channel: in shared memory, so that it outlives whoever writes it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::failure::{Checked, Failure};

/// What goes through: who put it and its number, then twice the same in disguise.
pub(super) type Message = [u64; 3];

/// Who takes part: the victim, the host of the trial, then sleepers and fresh processes.
pub(super) const VICTIM: usize = 0;
pub(super) const HOST: usize = 1;
pub(super) const FIRST_SLEEPER: usize = 2;
pub(super) const FIRST_FRESH: usize = 8;
const ALL: usize = 12;
/// Messages that one may get.
const ROOM: usize = 40;

forq::shareable! {
    /// What one has done.
    pub(crate) struct Page {
        /// Puts begun, and those that have returned well.
        begun: AtomicU32,
        finished: AtomicU32,
        got: AtomicU32,
        /// How its visit ended; 0: not yet.
        outcome: AtomicU32,
        messages: [AtomicU64; ROOM],
    }
}

forq::shareable! {
    /// What all have done.
    pub(crate) struct Ledger {
        pages: [Page; ALL],
    }
}

fn message(who: usize, number: u32) -> Message {
    let word = (who as u64) << 32 | u64::from(number);
    [word, !word, word.wrapping_mul(0x9e37_79b9_7f4a_7c15)]
}

/// A message is recorded as its first word; a torn one as this.
const TORN: u64 = u64::MAX;

impl Ledger {
    pub(super) fn new() -> Self {
        let page = || Page {
            begun: AtomicU32::new(0),
            finished: AtomicU32::new(0),
            got: AtomicU32::new(0),
            outcome: AtomicU32::new(0),
            messages: [const { AtomicU64::new(0) }; ROOM],
        };
        Self { pages: std::array::from_fn(|_| page()) }
    }

    /// The next message that one puts, which counts as begun.
    pub(super) fn begin(&self, who: usize) -> Message {
        message(who, self.pages[who].begun.fetch_add(1, Ordering::Relaxed))
    }

    /// So many of those that were begun are put; the others were refused.
    pub(super) fn finish(&self, who: usize, count: usize) {
        let page = &self.pages[who];
        let finished = page.finished.load(Ordering::Relaxed) + count as u32;
        page.finished.store(finished, Ordering::Relaxed);
        page.begun.store(finished, Ordering::Relaxed);
    }

    pub(super) fn record(&self, who: usize, message: Message) {
        let page = &self.pages[who];
        let whole = message[1] == !message[0] && message[2] == message[0].wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let at = page.got.load(Ordering::Relaxed);
        page.messages[at as usize].store(if whole { message[0] } else { TORN }, Ordering::Relaxed);
        page.got.store(at + 1, Ordering::Relaxed);
    }

    /// How a visit ended.
    pub(super) fn outcome(&self, who: usize) -> &AtomicU32 {
        &self.pages[who].outcome
    }

    pub(super) fn got(&self, who: usize) -> usize {
        self.pages[who].got.load(Ordering::Relaxed) as usize
    }

    fn messages(&self, who: usize) -> Vec<u64> {
        let page = &self.pages[who];
        page.messages[..self.got(who)].iter().map(|word| word.load(Ordering::Relaxed)).collect()
    }

    /// What the victim has done.
    pub(super) fn progress(&self) -> [u32; 3] {
        let page = &self.pages[VICTIM];
        [&page.begun, &page.finished, &page.got].map(|count| count.load(Ordering::Relaxed))
    }

    /// Messages that have been received, and those that are gone although their put returned. Nothing is left to get; the host got
    /// its messages from `drained_from` on after all others had theirs.
    pub(super) fn close(&self, drained_from: usize) -> Checked<(u64, u64)> {
        let mut received = [const { Vec::new() }; ALL];
        let (early, late) = (self.messages(HOST), self.messages(HOST).split_off(drained_from));
        let mut logs: Vec<Vec<u64>> =
            (0..ALL).filter(|&who| who != HOST).map(|who| self.messages(who)).collect();
        logs.insert(0, early[..drained_from].to_vec());
        logs.push(late);
        let mut newest_before = [None; ALL];
        let last = logs.len() - 1;
        for (index, log) in logs.iter().enumerate() {
            let mut newest = if index == last { newest_before } else { [None; ALL] };
            for &word in log {
                let (who, number) = ((word >> 32) as usize, word as u32);
                if word == TORN || who >= ALL || number >= self.pages[who].begun.load(Ordering::Relaxed) {
                    return Err(Failure::Account(format!("a message that nobody put: {word:#x}")));
                }
                if newest[who].is_some_and(|newest| newest >= number) {
                    return Err(Failure::Account(format!(
                        "out of order or twice, from {who}: {number} after {newest:?}"
                    )));
                }
                newest[who] = Some(number);
                newest_before[who] = newest_before[who].max(Some(number));
                received[who].push(number);
            }
        }
        let (mut count, mut missing) = (0, 0);
        for (who, numbers) in received.iter_mut().enumerate() {
            numbers.sort_unstable();
            count += numbers.len() as u64;
            if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(Failure::Account(format!("a message twice, from {who}: {numbers:?}")));
            }
            let finished = self.pages[who].finished.load(Ordering::Relaxed);
            missing += (0..finished).filter(|number| !numbers.contains(number)).count() as u64;
            // Of those that the victim was killed over, the first have arrived.
            let more = numbers.iter().filter(|&&number| number >= finished);
            if more.enumerate().any(|(at, &number)| number != finished + at as u32) {
                return Err(Failure::Account(format!("a gap in what {who} put: {numbers:?}")));
            }
        }
        Ok((count, missing))
    }
}
