//! What a queue tells of itself, its tasks, and its closing.

use super::ring::Ring;
use super::role::{Consumer, Producer, Role};
use super::slot::{Stage, counted_since};
use super::statistics::QueueStatistics;
use crate::error::Result;
use crate::sync::names::{self, ObjectKind};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use crate::sys::futex;

impl Ring {
    /// Messages that one side had let pass at one moment during the call, those included that are not counted yet.
    fn passed<R: Role>(&self) -> u64 {
        let side = R::own(self.header());
        let mut count = 0;
        // Others may pass a whole lap between the two looks; again and again only where a stranger writes.
        for _ in 0..100 {
            // Before the position, which is written first: so it lags at worst.
            let high = side.high.load(Ordering::Acquire);
            let Ok((position, _, stage)) = self.look::<R>() else { break };
            count = position.count(high, self.geometry.capacity);
            match stage {
                Stage::Passed => return count.wrapping_add(1),
                Stage::Broken => {}
                Stage::Ready | Stage::Waiting => break,
            }
        }
        count
    }

    /// Messages that were put, since the counts began.
    pub(crate) fn put_count(&self) -> u64 {
        self.passed::<Producer>()
    }

    /// How many messages there are: 0 to the capacity.
    pub(crate) fn len(&self) -> usize {
        // Consumers are behind producers: asked first, they cannot be ahead.
        let taken = self.passed::<Consumer>();
        let put = self.passed::<Producer>();
        usize::try_from(counted_since(taken, put)).unwrap_or(0).min(self.capacity())
    }

    pub(crate) fn statistics(&self) -> QueueStatistics {
        let header = self.header();
        let first = header.first.load(Ordering::Relaxed);
        let got = counted_since(first, self.passed::<Consumer>());
        QueueStatistics {
            put: counted_since(first, self.passed::<Producer>()),
            got,
            lost: header.consumers.lost.load(Ordering::Relaxed),
            full_waits: header.producers.waits.load(Ordering::Relaxed),
            empty_waits: header.consumers.waits.load(Ordering::Relaxed),
        }
    }

    /// Gives it a name, for tools to show.
    pub(crate) fn set_name(&self, name: &[u8]) -> Result<()> {
        names::set(ObjectKind::Queue, core::ptr::from_ref(self.header()).addr(), name)
    }

    /// Marks one of the messages that were taken as done.
    pub(crate) fn task_done(&self) -> Result<()> {
        self.header().tasks.mark(|| self.put_count())
    }

    /// Waits until every message put has been marked done.
    pub(crate) fn join(&self, deadline: Deadline) -> Result<()> {
        self.header().tasks.join(|| self.put_count(), deadline)
    }

    /// No more puts; wakes all. One step, of which each that it wakes does the rest, should this process die before it has.
    pub(crate) fn close(&self) {
        let header = self.header();
        let closed = &raw const header.closed as *const u32;
        // SAFETY: a futex of our own, mapped while the ring is used.
        if !unsafe { futex::set_bit_0_and_wake_all(closed) } {
            header.closed.store(1, Ordering::Release);
            futex::wake(closed, i32::MAX);
        }
        self.help_close();
        // For those that cannot sleep on several words.
        header.producers.wake_all();
        header.consumers.wake_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.header().producers.load().is_closed()
    }
}
