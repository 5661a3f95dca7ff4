//! Rows of the close: told to all who sleep, or to none.

use super::plan::{Between, Plan, plan};
use super::rows::{GET, GETS, PUT, PUTS, full, host_gets, host_puts, two_there};
use super::scene::{Scene, Visit};

fn closed(scene: &Scene) {
    scene.queue.close();
}

pub(super) fn rows() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    let close = plan("queue of 3: close", |scene| {
        scene.queue.close();
        true
    })
    .of(3);
    let of_full = Plan { operation: "queue of 3: close of a full one", ..close }.found(full);
    let consumers = close.ahead(GETS, "two consumers");
    let producers = of_full.ahead(PUTS, "two producers");
    vec![
        close,
        Plan { operation: "queue of 3: close with messages in it", ..close }.found(two_there),
        Plan { operation: "queue of 3: close of a closed one", ..close }.found(closed),
        close.ahead(GET, "consumer"),
        close.ahead(GET, "").then(BeforeDeath, host_puts, "consumer, another puts before the death"),
        consumers,
        consumers.then(AfterDeath, host_puts, "two consumers, another puts after the death"),
        consumers.idle("two consumers not run yet"),
        close.ahead(&[Visit::Get; 4], "four consumers"),
        of_full.ahead(PUT, "producer"),
        of_full.ahead(PUT, "").then(BeforeDeath, host_gets, "producer, another gets before the death"),
        producers,
        producers.then(AfterDeath, host_gets, "two producers, another gets after the death"),
    ]
}
