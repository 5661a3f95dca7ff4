//! Rows of the condition variable: its operations in contexts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use forq::Condvar;
use forq::ffi::mutex::{forq_mutex_lock, forq_mutex_trylock, forq_mutex_unlock};

use super::super::stage::{Outcome, enter};
use super::super::system;
use super::plan::{Between, Bound, Plan, SOON, plan};
use super::scene::{Kind, Scene};
use super::sleepers::Sleepers;

/// How many it lets return.
fn grant(scene: &Scene, notify: fn(&Condvar)) -> i64 {
    let before = scene.count().waiting;
    notify(&scene.condvar);
    before - scene.count().waiting
}

fn one(scene: &Scene) -> i64 {
    grant(scene, Condvar::notify_one)
}

fn two(scene: &Scene) -> i64 {
    grant(scene, |condvar| condvar.notify(2))
}

fn all(scene: &Scene) -> i64 {
    grant(scene, Condvar::notify_all)
}

/// Takes the mutex, if it is free, until [`unlock`] or the aftermath.
fn lock(scene: &Scene) -> i64 {
    // SAFETY: a mutex in shared memory, which stays mapped while it is locked.
    let result = unsafe { forq_mutex_trylock(scene.monitor()) };
    if result == -libc::EOWNERDEAD {
        // Its section repairs; so the lock is given back, marked, and taken by who goes through one.
        unlock(scene);
        drop(scene.section(scene.monitor.try_lock()));
        // SAFETY: as above.
        unsafe { forq_mutex_trylock(scene.monitor()) };
    }
    0
}

pub(super) fn unlock(scene: &Scene) -> i64 {
    // SAFETY: a mutex in shared memory; refused if this thread does not hold it.
    unsafe { forq_mutex_unlock(scene.monitor()) };
    0
}

fn one_inside(scene: &Scene) -> i64 {
    lock(scene);
    one(scene)
}

fn all_inside(scene: &Scene) -> i64 {
    lock(scene);
    all(scene)
}

/// A process goes in and changes half of the value; it stays until [`holder_dies`].
fn doomed_goes_in(scene: &Scene) -> i64 {
    let pid = system::fork(|| {
        let Ok(mut guard) = scene.monitor.lock() else { return 1 };
        guard[0] += 1;
        system::give(&scene.cue, 1);
        std::thread::sleep(6 * system::WATCHDOG);
        1
    });
    scene.holder.store(pid as u32, Ordering::Relaxed);
    system::await_cue(&scene.cue, system::WATCHDOG);
    0
}

fn doomed_goes_in_and_notifies(scene: &Scene) -> i64 {
    doomed_goes_in(scene);
    one(scene)
}

/// How many died.
pub(super) fn holder_dies(scene: &Scene) -> i64 {
    let pid = scene.holder.swap(0, Ordering::Relaxed);
    i64::from(pid != 0 && system::kill_and_reap(pid as i32))
}

fn kill_holder(scene: &Scene) -> i64 {
    holder_dies(scene);
    0
}

fn comes_and_dies(scene: &Scene) -> i64 {
    doomed_goes_in(scene);
    kill_holder(scene)
}

/// A waiter dies asleep.
fn one_died(scene: &Scene) -> i64 {
    let mut dead = Sleepers::default();
    dead.come(scene, Kind::Condvar, false).expect("a waiter");
    0
}

/// Of two waiters one was notified and the other died: it is counted as one that comes before all later ones.
fn an_elder_died(scene: &Scene) -> i64 {
    let mut both = Sleepers::default();
    for _ in 0..2 {
        both.come(scene, Kind::Condvar, false).expect("a waiter");
    }
    scene.condvar.notify_one();
    assert!(both.until(|both| both.ended() == 1).expect("two waiters"), "one is notified");
    both.settle().expect("the other sleeps");
    0
}

/// Goes in, waits once, goes out.
fn wait(scene: &Scene) -> bool {
    let (_, guard) = enter(scene.monitor.lock(), true);
    let Some(guard) = guard else { return false };
    let (outcome, guard) = enter(scene.condvar.wait(guard), true);
    drop(guard);
    outcome == Outcome::Clean
}

fn wait_and_be_told(scene: &Scene) -> bool {
    let (_, guard) = enter(scene.monitor.lock(), true);
    let Some(guard) = guard else { return false };
    let (outcome, guard) = enter(scene.condvar.wait(guard), true);
    drop(guard);
    outcome == Outcome::Told
}

/// Goes in, waits until it is [`open`], goes out.
fn wait_while(scene: &Scene) -> bool {
    let (_, guard) = enter(scene.monitor.lock(), true);
    let Some(guard) = guard else { return false };
    let waited = scene.condvar.wait_while(guard, |_| scene.cue.load(Ordering::Relaxed) == 0);
    let (outcome, guard) = enter(waited, true);
    drop(guard);
    outcome == Outcome::Clean
}

fn open(scene: &Scene) -> i64 {
    scene.cue.store(1, Ordering::Relaxed);
    two(scene)
}

fn give_up(scene: &Scene, time: Duration) -> bool {
    let (_, guard) = enter(scene.monitor.lock(), true);
    let Some(guard) = guard else { return false };
    match scene.condvar.wait_timeout(guard, time) {
        Ok((guard, result)) => {
            drop(guard);
            result.timed_out()
        }
        Err(_) => false,
    }
}

/// A recursive hold, given up whole and taken back whole.
fn wait_with_two_holds(scene: &Scene) -> bool {
    let (mutex, condvar) = (scene.monitor(), (&raw const scene.condvar).cast_mut().cast());
    // SAFETY: both in shared memory, of the C face's layout.
    unsafe {
        forq_mutex_lock(mutex) == 0
            && forq_mutex_lock(mutex) == 0
            && forq::ffi::condvar::forq_condvar_wait(condvar, mutex, -1) == 0
            && forq_mutex_unlock(mutex) == 0
            && forq_mutex_unlock(mutex) == 0
            && forq_mutex_unlock(mutex) == -libc::EPERM
    }
}

fn make_recursive(scene: &Scene) -> i64 {
    // SAFETY: nobody uses it yet.
    let made =
        unsafe { forq::ffi::mutex::forq_mutex_init(scene.monitor(), forq::ffi::mutex::FORQ_MUTEX_RECURSIVE) };
    assert_eq!(made, 0, "a recursive mutex");
    0
}

/// Goes in, notifies, goes out: as it is done usually.
fn notify_inside(scene: &Scene) -> bool {
    let (outcome, guard) = enter(scene.monitor.lock(), true);
    scene.condvar.notify_one();
    drop(guard);
    outcome == Outcome::Clean
}

pub(super) fn rows() -> Vec<Plan> {
    [waits(), notifies()].concat()
}

fn waits() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    let waiter = |operation, act| Plan { permits: -1, ..plan(operation, Kind::Condvar, act) };

    let by_one = waiter("condvar: wait, notified", wait).woken_by(&[one]);
    let behind = by_one.behind(1).bounded();
    let by_all = waiter("condvar: wait, all are notified", wait).woken_by(&[all]);
    let inside = waiter("condvar: wait, notified by a holder", wait).woken_by(&[one_inside, unlock]);
    let all_in = waiter("condvar: wait, all are notified by a holder", wait).woken_by(&[all_inside, unlock]);
    let told = waiter("condvar: wait, notified by a holder that dies", wait_and_be_told)
        .woken_by(&[doomed_goes_in_and_notifies, kill_holder]);
    let orphaned = Plan {
        bound: Bound::Only,
        ..waiter("condvar: wait, a holder dies", wait_and_be_told).woken_by(&[comes_and_dies])
    };
    let heir = Plan {
        bound: Bound::Only,
        prepare: an_elder_died,
        dead: 1,
        ..waiter("condvar: wait, a notify goes to a dead one", wait).woken_by(&[one])
    };
    let while_ = Plan { permits: -2, ..waiter("condvar: wait_while", wait_while).woken_by(&[one, open]) };
    let time_out = waiter("condvar: wait_timeout, gives up", |scene| give_up(scene, SOON));
    let two_holds = Plan {
        prepare: make_recursive,
        ..waiter("condvar: wait with a mutex locked twice", wait_with_two_holds).woken_by(&[one])
    };
    vec![
        by_one,
        Plan { until_told: true, ..behind },
        behind.then(BeforeDeath, one, "sleeper behind, another notifies before the death"),
        behind.then(AfterDeath, one, "sleeper behind, another notifies after the death"),
        behind.then(BeforeDeath, lock, "sleeper behind, another locks before the death"),
        behind.then(AfterDeath, lock, "sleeper behind, another locks after the death"),
        by_one.behind(2).bounded(),
        by_one.ahead(1).woken_by(&[two]),
        by_all.behind(1),
        inside,
        inside.behind(1).bounded(),
        all_in.behind(1),
        told,
        told.behind(1).bounded(),
        orphaned,
        heir,
        while_,
        while_.behind(1).bounded(),
        time_out,
        time_out.ahead(1),
        time_out.ahead(1).then(BeforeDeath, one, "sleeper, another notifies before the death"),
        time_out.ahead(1).then(AfterDeath, one, "sleeper, another notifies after the death"),
        time_out.ahead(1).then(BeforeDeath, lock, "sleeper, another locks before the death"),
        two_holds.behind(1).bounded(),
    ]
}

fn notifies() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    let notifier = |operation, n, act| Plan { permits: n, ..plan(operation, Kind::Condvar, act) };
    const NOTIFIES_BEFORE: &str = "sleeper, another notifies before the death";
    const NOTIFIES_AFTER: &str = "sleeper, another notifies after the death";
    const LOCKS_BEFORE: &str = "sleeper, another locks before the death";
    const LOCKS_AFTER: &str = "sleeper, another locks after the death";

    let notify_one = notifier("condvar: notify_one", 1, |scene| {
        scene.condvar.notify_one();
        true
    });
    let notify_two = notifier("condvar: notify 2", 2, |scene| {
        scene.condvar.notify(2);
        true
    });
    let notify_all = notifier("condvar: notify_all", i64::MAX, |scene| {
        scene.condvar.notify_all();
        true
    });
    let first = Plan { first_use: true, ..notify_one };
    let inside = notifier("condvar: lock, notify_one, unlock", 1, notify_inside);
    let mut rows = Vec::new();
    for plan in [notify_one, notify_two, notify_all] {
        rows.extend([plan, plan.ahead(1).bounded(), plan.ahead(2).bounded()]);
    }
    rows.extend([
        notify_two.ahead(3).bounded(),
        Plan { turn: Some((2, one)), ..notify_one.ahead(3) }.bounded().called("sleepers of two generations"),
        Plan { turn: Some((2, one)), ..notify_two.ahead(4) }.bounded().called("sleepers of two generations"),
        Plan { prepare: one_died, dead: 1, ..notify_one.ahead(1) }
            .bounded()
            .called("sleeper behind a dead one"),
        Plan { prepare: an_elder_died, dead: 1, ..notify_one.ahead(1) }
            .bounded()
            .called("sleeper of a later generation than a dead one"),
        Plan { operation: "condvar: first notify of a process", ..first }.ahead(1).bounded(),
    ]);
    for plan in [notify_one, notify_all, inside] {
        let sleeper = plan.ahead(1).bounded();
        rows.extend([
            sleeper.then(BeforeDeath, one, NOTIFIES_BEFORE),
            sleeper.then(AfterDeath, one, NOTIFIES_AFTER),
            sleeper.then(BeforeDeath, lock, LOCKS_BEFORE),
            sleeper.then(AfterDeath, lock, LOCKS_AFTER),
        ]);
    }
    let told = Plan { until_told: true, ..inside.ahead(1).bounded() };
    rows.extend([inside, told, inside.ahead(2).bounded()]);
    rows
}
