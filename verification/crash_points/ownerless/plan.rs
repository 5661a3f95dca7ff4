//! Operations in contexts: the rows of the table.

use std::time::Duration;

use forq::Error;

use super::scene::{Kind, Scene};
use super::{circle, condvar, unowned};

/// Past before the victim, stepped, comes to the futex call; a short sleep when it is not.
pub(super) const SOON: Duration = Duration::from_micros(100);

/// When a third process does something in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Between {
    /// Between the victim's last instruction and its death.
    BeforeDeath,
    /// Between the death and the first step of whoever was woken.
    AfterDeath,
}

/// What a third process does, and how many permits it gives (or takes: negative) by it.
pub(super) type Deed = fn(&Scene) -> i64;

/// What the bound on sleeps is for in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// Nothing: whoever is to be woken is woken at once.
    Nothing,
    /// After some kills a wake-up is left to it: so the row is run with the real bound too.
    Needed,
    /// The operation itself begins when it passes: the row is run with the real bound only.
    Only,
}

/// One row.
#[derive(Clone, Copy)]
pub(in super::super) struct Plan {
    pub(in super::super) operation: &'static str,
    pub(in super::super) context: &'static str,
    pub(super) kind: Kind,
    /// How the victim finds the object, without sleepers.
    pub(super) prepare: Deed,
    /// What the victim does; true: it went as it must when it is not killed.
    pub(super) act: fn(&Scene) -> bool,
    /// Permits that the victim gives, or takes (negative), if it comes so far.
    pub(super) permits: i64,
    /// The victim sleeps, until the first is done; then again, until the second is ..
    pub(super) wakers: &'static [Deed],
    pub(super) bound: Bound,
    /// The victim's thread is not known to the library yet.
    pub(super) first_use: bool,
    pub(super) sleepers: usize,
    /// They come when the victim sleeps, not before it begins.
    pub(super) behind: bool,
    /// What is done before the victim's so-manieth futex call.
    pub(super) interlude: Option<(usize, Deed)>,
    /// With the real bound: also killed while it holds the mutex, so that its death must be told in time.
    pub(super) until_told: bool,
    /// What is done when so many have come.
    pub(super) turn: Option<(usize, Deed)>,
    /// Waiters of the condition variable that died before.
    pub(super) dead: u64,
    pub(super) between: Option<(Between, Deed)>,
    /// Parties of the barrier besides sleepers and victim.
    pub(super) missing: u32,
}

impl Plan {
    /// Whether the victim must be dead before a sleeper's bound passes: with the real bound, where it is only needed.
    pub(super) fn is_urgent(&self) -> bool {
        !cfg!(forq_long_sleeps) && self.bound == Bound::Needed
    }

    pub(super) fn parties(&self) -> u32 {
        self.sleepers as u32 + 1 + self.missing
    }

    pub(super) const fn ahead(self, sleepers: usize) -> Self {
        let context = ["alone", "sleeper", "two sleepers", "three sleepers", "four sleepers"][sleepers];
        Self { sleepers, context, ..self }
    }

    pub(super) const fn behind(self, sleepers: usize) -> Self {
        let context = ["alone", "sleeper behind", "two sleepers behind"][sleepers];
        Self { sleepers, behind: true, context, ..self }
    }

    pub(super) const fn then(self, when: Between, deed: Deed, context: &'static str) -> Self {
        Self { between: Some((when, deed)), context, ..self }
    }

    pub(super) const fn woken_by(self, wakers: &'static [Deed]) -> Self {
        Self { wakers, ..self }
    }

    /// Wake-ups may be left to the bound.
    pub(super) const fn bounded(self) -> Self {
        Self { bound: Bound::Needed, ..self }
    }

    pub(super) const fn called(self, context: &'static str) -> Self {
        Self { context, ..self }
    }
}

pub(super) const fn plan(operation: &'static str, kind: Kind, act: fn(&Scene) -> bool) -> Plan {
    Plan {
        operation,
        context: "alone",
        kind,
        prepare: nothing,
        act,
        permits: 0,
        wakers: &[],
        bound: Bound::Nothing,
        first_use: false,
        sleepers: 0,
        behind: false,
        interlude: None,
        until_told: false,
        turn: None,
        dead: 0,
        between: None,
        missing: 0,
    }
}

pub(super) fn nothing(_: &Scene) -> i64 {
    0
}

fn give_one(scene: &Scene) -> i64 {
    scene.semaphore.release(1).map_or(0, |()| 1)
}

fn give_two(scene: &Scene) -> i64 {
    scene.semaphore.release(2).map_or(0, |()| 2)
}

fn give_three(scene: &Scene) -> i64 {
    scene.semaphore.release(3).map_or(0, |()| 3)
}

fn take_one(scene: &Scene) -> i64 {
    scene.semaphore.try_acquire().map_or(0, |()| -1)
}

fn give_up(scene: &Scene) -> i64 {
    scene.semaphore.acquire_timeout(SOON).map_or(0, |()| -1)
}

fn set(scene: &Scene) -> i64 {
    scene.event.set();
    0
}

fn set_and_clear(scene: &Scene) -> i64 {
    scene.event.set();
    scene.event.clear();
    0
}

fn clear(scene: &Scene) -> i64 {
    scene.event.clear();
    0
}

fn reset(scene: &Scene) -> i64 {
    scene.barrier.reset();
    0
}

fn abort(scene: &Scene) -> i64 {
    scene.barrier.abort();
    0
}

fn come_last(scene: &Scene) -> i64 {
    let _ = scene.barrier.try_wait();
    0
}

/// All rows of this build, in the order of the table.
pub(in super::super) fn all() -> Vec<Plan> {
    let not_here = if cfg!(forq_long_sleeps) { Bound::Only } else { Bound::Nothing };
    let all = [semaphores(), events(), barriers(), condvar::rows(), unowned::rows(), circle::rows()];
    all.concat().into_iter().filter(|plan| plan.bound != not_here).collect()
}

fn semaphores() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    use Kind::Semaphore;
    const TAKES_BEFORE: &str = "sleeper, another takes before the death";
    const TAKES_AFTER: &str = "sleeper, another takes after the death";
    const GIVES_BEFORE: &str = "sleeper, another gives before the death";
    const GIVES_AFTER: &str = "sleeper, another gives after the death";

    let free = Plan {
        prepare: give_two,
        permits: -1,
        ..plan("semaphore: acquire", Semaphore, |scene| scene.semaphore.acquire().is_ok())
    };
    let wait = Plan {
        permits: -1,
        ..plan("semaphore: wait, acquire", Semaphore, |scene| scene.semaphore.acquire().is_ok())
    };
    let one = wait.woken_by(&[give_one]);
    let time_out = Plan {
        permits: -1,
        ..plan("semaphore: acquire_timeout, gives up", Semaphore, |scene| {
            scene.semaphore.acquire_timeout(SOON) == Err(Error::TimedOut)
        })
    };
    let release = Plan {
        permits: 1,
        ..plan("semaphore: release 1", Semaphore, |scene| scene.semaphore.release(1).is_ok())
    };
    let three = Plan {
        permits: 3,
        ..plan("semaphore: release 3", Semaphore, |scene| scene.semaphore.release(3).is_ok())
    };
    let first = Plan { operation: "semaphore: first release of a process", first_use: true, ..release };
    vec![
        free,
        one,
        one.behind(1),
        one.behind(1).then(BeforeDeath, take_one, "sleeper behind, another takes before the death"),
        one.behind(1).then(AfterDeath, take_one, "sleeper behind, another takes after the death"),
        one.behind(1).then(BeforeDeath, give_one, "sleeper behind, another gives before the death"),
        wait.woken_by(&[give_three]).behind(2),
        wait.woken_by(&[give_two]).ahead(1),
        time_out,
        time_out.ahead(1),
        time_out.ahead(1).then(BeforeDeath, give_one, GIVES_BEFORE),
        time_out.ahead(1).then(AfterDeath, give_one, GIVES_AFTER),
        release,
        release.ahead(1),
        release.ahead(1).then(BeforeDeath, take_one, TAKES_BEFORE),
        release.ahead(1).then(AfterDeath, take_one, TAKES_AFTER),
        release.ahead(1).then(BeforeDeath, give_one, GIVES_BEFORE),
        release.ahead(1).then(BeforeDeath, give_up, "sleeper, another gives up or takes before the death"),
        release.ahead(2),
        release.ahead(2).then(BeforeDeath, take_one, "two sleepers, another takes before the death"),
        release.ahead(2).then(AfterDeath, take_one, "two sleepers, another takes after the death"),
        three.ahead(3),
        three.ahead(3).then(BeforeDeath, take_one, "three sleepers, another takes before the death"),
        first,
        first.ahead(1),
    ]
}

fn events() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    use Kind::Event;
    let set_it = plan("event: set", Event, |scene| {
        scene.event.set();
        true
    });
    let wait = plan("event: wait", Event, |scene| scene.event.wait().is_ok()).woken_by(&[set]);
    let brief = Plan { operation: "event: wait, set and cleared at once", ..wait }.woken_by(&[set_and_clear]);
    let time_out = plan("event: wait_timeout, gives up", Event, |scene| {
        scene.event.wait_timeout(SOON) == Err(Error::TimedOut)
    });
    let clear_it = Plan {
        prepare: set,
        ..plan("event: clear", Event, |scene| {
            scene.event.clear();
            true
        })
    };
    vec![
        set_it,
        set_it.ahead(1),
        set_it.ahead(1).then(BeforeDeath, clear, "sleeper, another clears before the death"),
        set_it.ahead(1).then(AfterDeath, clear, "sleeper, another clears after the death"),
        set_it.ahead(1).then(BeforeDeath, set_and_clear, "sleeper, another sets and clears before the death"),
        set_it.ahead(2),
        Plan { operation: "event: first set of a process", first_use: true, ..set_it }.ahead(1),
        wait,
        wait.behind(1),
        wait.ahead(1).then(BeforeDeath, clear, "sleeper, another clears before the death"),
        brief,
        brief.behind(1),
        time_out,
        time_out.ahead(1),
        time_out.ahead(1).then(
            BeforeDeath,
            set_and_clear,
            "sleeper, another sets and clears before the death",
        ),
        clear_it,
        clear_it.then(BeforeDeath, set, "another sets before the death"),
    ]
}

fn barriers() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    use Kind::Barrier;
    const RESETS_BEFORE: &str = "sleeper, another resets before the death";
    const RESETS_AFTER: &str = "sleeper, another resets after the death";

    let wait = Plan { missing: 1, ..plan("barrier: wait", Barrier, |scene| scene.barrier.wait().is_ok()) }
        .woken_by(&[come_last]);
    let last = plan("barrier: wait, the last to come", Barrier, |scene| scene.barrier.wait().is_ok());
    let time_out = Plan {
        missing: 1,
        ..plan("barrier: wait_timeout, gives up", Barrier, |scene| {
            scene.barrier.wait_timeout(SOON) == Err(Error::TimedOut)
        })
    };
    let aborted = Plan {
        missing: 1,
        ..plan("barrier: abort", Barrier, |scene| {
            scene.barrier.abort();
            true
        })
    };
    let whole = Plan {
        missing: 1,
        ..plan("barrier: reset", Barrier, |scene| {
            scene.barrier.reset();
            true
        })
    };
    let mut rows = vec![
        wait,
        wait.ahead(1),
        wait.ahead(1).then(BeforeDeath, reset, RESETS_BEFORE),
        wait.ahead(1).then(BeforeDeath, abort, "sleeper, another aborts before the death"),
        wait.ahead(1).then(BeforeDeath, come_last, "sleeper, the last one comes before the death"),
        wait.ahead(1).then(AfterDeath, reset, RESETS_AFTER),
        last,
        last.ahead(1),
        last.ahead(2),
        last.ahead(1).then(BeforeDeath, reset, RESETS_BEFORE),
        last.ahead(1).then(BeforeDeath, abort, "sleeper, another aborts before the death"),
        last.ahead(1).then(AfterDeath, reset, RESETS_AFTER),
    ];
    for plan in [time_out, aborted, whole] {
        rows.extend([
            plan,
            plan.ahead(1),
            plan.ahead(2),
            plan.ahead(1).then(BeforeDeath, reset, RESETS_BEFORE),
            plan.ahead(1).then(AfterDeath, reset, RESETS_AFTER),
        ]);
    }
    rows
}
