//! Rows of the account of messages that are done.

use std::time::Duration;

use forq::Error;

use super::super::ledger::HOST;
use super::plan::{Plan, plan};
use super::rows::two_there;
use super::scene::{Scene, Visit};

const JOIN: &[Visit] = &[Visit::Join];
const JOINS: &[Visit] = &[Visit::Join, Visit::Join];

fn one_taken(scene: &Scene) {
    let _ = scene.try_put(HOST);
    let _ = scene.try_get(HOST);
}

fn one_done(scene: &Scene) {
    let _ = scene.queue.task_done();
}

fn all_done(scene: &Scene) {
    while scene.queue.task_done().is_ok() {}
}

pub(super) fn rows() -> Vec<Plan> {
    use super::plan::When::Asleep;
    let done = plan("queue of 3: task_done", |scene| scene.queue.task_done().is_ok()).of(3);
    let (last, earlier) = (
        Plan { operation: "queue of 3: task_done of the last", ..done }.found(one_taken),
        done.found(two_there),
    );
    let none =
        plan("queue of 3: task_done of none", |scene| scene.queue.task_done() == Err(Error::Overflow)).of(3);
    let at_once = plan("queue of 3: join, all done", |scene| scene.queue.join().is_ok()).of(3);
    let join = Plan { operation: "queue of 3: join, wait", ..at_once }.found(one_taken).woken_by(&[one_done]);
    let time_out = plan("queue of 3: join_timeout, gives up", |scene| {
        scene.queue.join_timeout(Duration::from_micros(100)) == Err(Error::TimedOut)
    })
    .of(3)
    .found(two_there);
    vec![
        none,
        earlier,
        earlier.ahead(JOIN, "joiner"),
        last,
        last.ahead(JOIN, "joiner"),
        last.ahead(JOINS, "two joiners"),
        last.ahead(JOINS, "").idle("two joiners not run yet"),
        at_once,
        join,
        join.late(Asleep, JOIN, "joiner behind"),
        Plan { operation: "queue of 3: join, wait", ..at_once }
            .found(two_there)
            .woken_by(&[all_done])
            .ahead(JOIN, "joiner"),
        time_out,
        time_out.ahead(JOIN, "joiner"),
    ]
}
