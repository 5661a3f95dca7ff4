//! Rows of the search for deadlocks, and what must hold after the death of one that searched: no alarm where
//! there is no circle, and one where there is. Only with the real bounds: the search begins after a sleep.

use std::time::Duration;

use forq::LockError;

use super::super::failure::{Checked, Failure};
use super::super::stage::{Outcome as Entry, enter};
use super::super::system::{self, Change, WATCHDOG};
use super::plan::{Bound, Plan, nothing, plan};
use super::scene::{Kind, Outcome, Scene};
use super::trial::Trial;

/// Longer than a waiter sleeps before it searches.
const PAST_FIRST_WALK: Duration = Duration::from_millis(120);
/// Longer than it sleeps between two searches.
const PAST_NEXT_WALK: Duration = Duration::from_millis(300);

/// The holder of the second lock wants the first, and has left word of it when this returns.
fn close(scene: &Scene) -> i64 {
    system::give(&scene.cue, 1);
    std::thread::sleep(PAST_FIRST_WALK);
    0
}

/// It goes.
fn release(scene: &Scene) -> i64 {
    system::give(&scene.cue, 2);
    0
}

/// As [`release`], when it is time to search again: so the victim does, whether it is stepped or runs at full speed.
fn release_after_a_while(scene: &Scene) -> i64 {
    std::thread::sleep(PAST_NEXT_WALK);
    release(scene)
}

fn lock_both(scene: &Scene) -> bool {
    let (one, first) = enter(scene.circle[0].lock(), true);
    let (other, second) = enter(scene.circle[1].lock(), true);
    drop(second);
    drop(first);
    (one, other) == (Entry::Clean, Entry::Clean)
}

fn run_into_circle(scene: &Scene) -> bool {
    let (one, first) = enter(scene.circle[0].lock(), true);
    let is_told = matches!(scene.circle[1].lock(), Err(LockError::Deadlock));
    drop(first);
    one == Entry::Clean && is_told
}

pub(super) fn rows() -> Vec<Plan> {
    let with_holder = |operation, act| {
        let row = Plan { bound: Bound::Only, ..plan(operation, Kind::Circle, act) };
        row.ahead(1).called("holder of the other lock")
    };
    let search = with_holder("deadlock: lock a, wait for b, search, lock b", lock_both);
    vec![
        // It sleeps, searches, searches again as it would sleep again, and has b.
        Plan { interlude: Some((2, release_after_a_while)), ..search.woken_by(&[nothing]) },
        with_holder("deadlock: lock a, wait for b, found in a circle", run_into_circle).woken_by(&[close]),
    ]
}

impl Scene {
    /// One of two: holds one lock, and on its cue wants the other. 0: got it; 1: was told that it never will.
    fn meet(&self, index: usize) -> i32 {
        let Some(held) = self.section(self.circle[index].lock()) else { return 2 };
        system::give(&self.ready[index], 1);
        system::await_cue(&self.go[index], 6 * WATCHDOG);
        let code = match self.circle[1 - index].lock() {
            Err(LockError::Deadlock) => 1,
            result => self.section(result).map_or(3, |_| 0),
        };
        drop(held);
        code
    }
}

/// Two that meet. Killed when dropped.
struct Pair([i32; 2]);

impl Drop for Pair {
    fn drop(&mut self) {
        for pid in self.0.into_iter().filter(|&pid| pid != 0) {
            system::kill_and_reap(pid);
        }
    }
}

impl Trial<'_> {
    /// The holder gets what it wants; then two others lock in a circle, and one of them is told.
    pub(super) fn circles_are_told(&mut self) -> Checked {
        if self.scene.cue.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            release(&self.scene);
        }
        self.all_end("the locks are free")?;
        if self.outcomes() != [Outcome::Done(0)] {
            return Err(Failure::Account("a false alarm, or no lock".into()));
        }
        let mut pair = Pair([0; 2]);
        for index in 0..2 {
            let scene = &self.scene;
            pair.0[index] = system::fork(|| scene.meet(index));
            if system::await_cue(&scene.ready[index], WATCHDOG).is_none() {
                return Err(Failure::SleptOn(format!("a fresh process; {}", scene.locks()[1 + index])));
            }
        }
        system::give(&self.scene.go[0], 1);
        std::thread::sleep(PAST_FIRST_WALK);
        if system::look(pair.0[0]).is_some() {
            pair.0[0] = 0;
            return Err(Failure::Account("a false alarm where there is no circle".into()));
        }
        system::give(&self.scene.go[1], 1);
        let mut told = 0;
        for pid in &mut pair.0 {
            match system::wait(*pid) {
                Some(Change::Exited(code @ 0..=1)) => told += code,
                Some(other) => return Err(Failure::Account(format!("one of a circle ended by {other:?}"))),
                None => return Err(Failure::SleptOn("a circle is not found".into())),
            }
            *pid = 0;
        }
        let (heard, news) = (self.scene.told() - self.remains.told, self.remains.news);
        if told != 1 {
            return Err(Failure::Account(format!("{told} of a circle of two were told")));
        }
        if heard != u32::from(news[1]) + u32::from(news[2]) {
            return Err(Failure::Told(format!("{heard} were told of a death, to be told: {news:?}")));
        }
        Ok(())
    }
}
