//! Rows of the lock without owner, which anybody may release, and what must hold after the victim's death: no
//! death is told, and nobody sleeps next to a free lock.

use forq::ffi::mutex::{
    forq_mutex_lock, forq_mutex_owner, forq_mutex_timedlock, forq_mutex_trylock, forq_mutex_unlock,
};

use super::super::failure::{Checked, Failure};
use super::plan::{Between, Plan, plan};
use super::scene::{Kind, Scene};
use super::trial::Trial;

// SAFETY of all calls here: a lock in shared memory, which stays mapped.

fn take(scene: &Scene) -> i64 {
    // SAFETY: as above.
    unsafe { forq_mutex_trylock(scene.unowned()) };
    0
}

fn free(scene: &Scene) -> i64 {
    // SAFETY: as above.
    unsafe { forq_mutex_unlock(scene.unowned()) };
    0
}

fn lock(scene: &Scene) -> bool {
    // SAFETY: as above.
    unsafe { forq_mutex_lock(scene.unowned()) == 0 }
}

fn unlock(scene: &Scene) -> bool {
    // SAFETY: as above.
    unsafe { forq_mutex_unlock(scene.unowned()) == 0 }
}

fn give_up(scene: &Scene) -> bool {
    // SAFETY: as above.
    unsafe { forq_mutex_timedlock(scene.unowned(), 100_000) == -libc::ETIMEDOUT }
}

pub(super) fn rows() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    use Kind::Unowned;
    const TAKES_BEFORE: &str = "sleeper, another takes before the death";
    const TAKES_AFTER: &str = "sleeper, another takes after the death";
    const FREES_BEFORE: &str = "sleeper, another unlocks before the death";
    const FREES_AFTER: &str = "sleeper, another unlocks after the death";

    let pass = plan("lock without owner: lock, unlock", Unowned, |scene| lock(scene) && unlock(scene));
    let other =
        Plan { prepare: take, ..plan("lock without owner: unlock of another's lock", Unowned, unlock) };
    let wait = Plan {
        prepare: take,
        ..plan("lock without owner: wait, lock, unlock", Unowned, |scene| lock(scene) && unlock(scene))
    }
    .woken_by(&[free]);
    let time_out = Plan { prepare: take, ..plan("lock without owner: gives up", Unowned, give_up) };
    vec![
        pass,
        pass.behind(1),
        other,
        other.ahead(1),
        other.ahead(1).then(BeforeDeath, take, TAKES_BEFORE),
        other.ahead(1).then(AfterDeath, take, TAKES_AFTER),
        other.ahead(2),
        other.ahead(2).then(BeforeDeath, take, "two sleepers, another takes before the death"),
        other.ahead(2).then(AfterDeath, take, "two sleepers, another takes after the death"),
        wait,
        wait.behind(1),
        wait.behind(1).then(BeforeDeath, take, "sleeper behind, another takes before the death"),
        wait.behind(1).then(AfterDeath, take, "sleeper behind, another takes after the death"),
        time_out,
        time_out.ahead(1),
        time_out.ahead(1).then(BeforeDeath, free, FREES_BEFORE),
        time_out.ahead(1).then(AfterDeath, free, FREES_AFTER),
    ]
}

impl Trial<'_> {
    /// The lock may be locked, by the dead one or by us; one release lets all go, one after the other.
    pub(super) fn lock_is_handed_on(&mut self) -> Checked {
        self.sleepers.settle()?;
        if self.scene.is_unowned_locked() {
            // SAFETY: as above.
            let owner = unsafe { forq_mutex_owner(self.scene.unowned()) };
            if owner != 0 {
                return Err(Failure::Account(format!("{owner} is said to own it")));
            }
            free(&self.scene);
            self.sleepers.settle()?;
        }
        self.all_end("the lock was released")?;
        // SAFETY: as above.
        let again = unsafe { forq_mutex_unlock(self.scene.unowned()) };
        if self.scene.is_unowned_locked() || again != -libc::EOVERFLOW {
            return Err(Failure::Account(format!("at rest: releasing it gives {again}")));
        }
        if !self.is_news(self.scene.unowned_state()) {
            return Ok(());
        }
        take(&self.scene);
        self.one_more(|trial| assert!(unlock(&trial.scene), "we hold it"))
    }
}
