//! Rows of victims that wait themselves: leaders and followers.

use std::time::Duration;

use forq::Error;

use super::super::ledger::{HOST, VICTIM};
use super::plan::{Between, Plan, When, plan};
use super::rows::{CONSUMING, GET, GETS, PRODUCING, PUT, PUTS, full, host_gets, host_puts};
use super::scene::Scene;

/// Past before the victim, stepped, comes to the futex call.
const SOON: Duration = Duration::from_micros(100);

fn put_and_get(scene: &Scene) {
    let _ = scene.try_put(HOST);
    let _ = scene.try_get(HOST);
}

fn get_and_put(scene: &Scene) {
    let _ = scene.try_get(HOST);
    let _ = scene.try_put(HOST);
}

fn two_puts(scene: &Scene) {
    host_puts(scene);
    let _ = scene.must_put();
}

fn two_gets(scene: &Scene) {
    host_gets(scene);
    let _ = scene.must_get();
}

fn close(scene: &Scene) {
    scene.queue.close();
}

pub(super) fn rows() -> Vec<Plan> {
    [consumers(), producers()].concat()
}

fn consumers() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    use When::Asleep;
    let of = |operation, wakers| {
        Plan { hand: 1, ..plan(operation, |scene| scene.get(VICTIM).is_ok()) }.woken_by(wakers)
    };
    let wait = of("queue of 1: wait, get", &[host_puts]);
    let of_three = of("queue of 3: wait, get", &[host_puts]).of(3);
    let ousted = of("queue of 1: wait, lose the side, wait, get", &[put_and_get, host_puts]);
    let demoted = of("queue of 1: wait, lose the side, wait as a follower, get", &[put_and_get, two_puts]);
    let follower = of("queue of 1: wait as a follower, get", &[two_puts]).ahead(GET, "leader");
    let closed =
        plan("queue of 1: wait, closed", |scene| scene.get(VICTIM) == Err(Error::Closed)).woken_by(&[close]);
    let time_out = plan("queue of 1: get_timeout, gives up", |scene| {
        scene.get_timeout(VICTIM, SOON) == Err(Error::TimedOut)
    });
    let behind = wait.late(Asleep, GET, "consumer behind");
    let (three_behind, early) = (
        of_three.late(Asleep, GET, "consumer behind"),
        wait.late(CONSUMING, GET, "consumer behind that comes earlier"),
    );
    let gives_up = time_out.late(CONSUMING, GET, "consumer behind");
    let follows = time_out.ahead(GET, "leader");
    vec![
        wait,
        wait.then(BeforeDeath, host_gets, "another gets before the death"),
        wait.then(BeforeDeath, put_and_get, "another puts and gets before the death"),
        behind,
        behind.then(BeforeDeath, host_gets, "consumer behind, another gets before the death"),
        behind.then(AfterDeath, host_gets, "consumer behind, another gets after the death"),
        behind.then(BeforeDeath, host_puts, "consumer behind, another puts before the death"),
        behind.then(AfterDeath, host_puts, "consumer behind, another puts after the death"),
        behind.idle("consumer behind, not run yet"),
        wait.late(Asleep, GETS, "two consumers behind"),
        early,
        three_behind,
        three_behind.then(BeforeDeath, host_puts, "consumer behind, another puts before the death"),
        three_behind.then(AfterDeath, host_puts, "consumer behind, another puts after the death"),
        ousted,
        demoted.late(Asleep, GET, "consumer behind"),
        follower,
        follower.late(Asleep, GET, "leader, consumer behind"),
        follower.then(BeforeDeath, host_puts, "leader, another puts before the death"),
        follower.late(Asleep, GET, "").then(
            BeforeDeath,
            host_gets,
            "leader, consumer behind, another gets before the death",
        ),
        closed,
        closed.late(Asleep, GET, "consumer behind"),
        closed.late(Asleep, GETS, "two consumers behind"),
        closed.ahead(GET, "leader"),
        time_out,
        time_out.then(BeforeDeath, host_puts, "another puts before the death"),
        gives_up,
        gives_up.then(BeforeDeath, host_puts, "consumer behind, another puts before the death"),
        gives_up.then(AfterDeath, host_puts, "consumer behind, another puts after the death"),
        gives_up.idle("consumer behind, not run yet"),
        follows,
        follows.then(BeforeDeath, host_puts, "leader, another puts before the death"),
        time_out.ahead(GETS, "leader, consumer ahead"),
    ]
}

fn producers() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    use When::Asleep;
    let of =
        |operation, wakers| plan(operation, |scene| scene.put(VICTIM).is_ok()).found(full).woken_by(wakers);
    let wait = of("queue of 1: wait, put", &[host_gets]);
    let of_three = of("queue of 3: wait, put", &[host_gets]).of(3);
    let ousted = of("queue of 1: wait, lose the side, wait, put", &[get_and_put, host_gets]);
    let demoted = of("queue of 1: wait, lose the side, wait as a follower, put", &[get_and_put, two_gets]);
    let follower = of("queue of 1: wait as a follower, put", &[two_gets]).ahead(PUT, "leader");
    let closed = plan("queue of 1: wait, closed", |scene| scene.put(VICTIM) == Err(Error::Closed))
        .found(full)
        .woken_by(&[close]);
    let time_out = plan("queue of 1: put_timeout, gives up", |scene| {
        scene.put_timeout(VICTIM, SOON) == Err(Error::TimedOut)
    })
    .found(full);
    let behind = wait.late(Asleep, PUT, "producer behind");
    let three_behind = of_three.late(Asleep, PUT, "producer behind");
    let gives_up = time_out.late(PRODUCING, PUT, "producer behind");
    vec![
        wait,
        wait.then(BeforeDeath, host_puts, "another puts before the death"),
        behind,
        behind.then(BeforeDeath, host_puts, "producer behind, another puts before the death"),
        behind.then(AfterDeath, host_puts, "producer behind, another puts after the death"),
        behind.then(BeforeDeath, host_gets, "producer behind, another gets before the death"),
        behind.then(AfterDeath, host_gets, "producer behind, another gets after the death"),
        behind.idle("producer behind, not run yet"),
        wait.late(Asleep, PUTS, "two producers behind"),
        three_behind,
        three_behind.then(BeforeDeath, host_gets, "producer behind, another gets before the death"),
        ousted,
        demoted.late(Asleep, PUT, "producer behind"),
        follower,
        follower.late(Asleep, PUT, "leader, producer behind"),
        closed,
        closed.late(Asleep, PUT, "producer behind"),
        closed.ahead(PUT, "leader"),
        time_out,
        gives_up,
        gives_up.then(BeforeDeath, host_gets, "producer behind, another gets before the death"),
        gives_up.then(AfterDeath, host_gets, "producer behind, another gets after the death"),
        time_out.ahead(PUT, "leader"),
    ]
}
