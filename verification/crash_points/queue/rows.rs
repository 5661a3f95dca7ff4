//! Rows of single messages that need not be waited for.

use std::time::Duration;

use forq::Error;

use super::super::ledger::{HOST, VICTIM};
use super::image::Side;
use super::plan::{Between, Plan, When, plan};
use super::scene::{Scene, Visit};

pub(super) const GET: &[Visit] = &[Visit::Get];
pub(super) const GETS: &[Visit] = &[Visit::Get, Visit::Get];
pub(super) const PUT: &[Visit] = &[Visit::Put];
pub(super) const PUTS: &[Visit] = &[Visit::Put, Visit::Put];
/// The victim holds the side.
pub(super) const PRODUCING: When = When::Holds(Side::Producers);
pub(super) const CONSUMING: When = When::Holds(Side::Consumers);

pub(super) fn host_puts(scene: &Scene) {
    let _ = scene.try_put(HOST);
}

pub(super) fn host_gets(scene: &Scene) {
    let _ = scene.try_get(HOST);
}

/// Puts, or waits and gives up.
fn host_may_put(scene: &Scene) {
    let _ = scene.put_timeout(HOST, Duration::from_micros(100));
}

fn host_may_get(scene: &Scene) {
    let _ = scene.get_timeout(HOST, Duration::from_micros(100));
}

fn host_closes(scene: &Scene) {
    scene.queue.close();
}

pub(super) fn full(scene: &Scene) {
    scene.fill();
}

/// Empty, and at the last slot of a lap.
fn end_of_lap(scene: &Scene) {
    for _ in 0..2 {
        host_puts(scene);
        host_gets(scene);
    }
}

/// Two of three are there, and the third put begins a lap.
pub(super) fn two_there(scene: &Scene) {
    host_puts(scene);
    host_puts(scene);
}

/// The next put, and the next get, begin the lap 2^32, which is 0.
fn last_lap(scene: &Scene) {
    scene.image().begin_at(u32::MAX, 1);
}

fn last_lap_full(scene: &Scene) {
    last_lap(scene);
    full(scene);
}

/// .. and the lap 2^31.
fn half_of_the_laps(scene: &Scene) {
    scene.image().begin_at(0x7fff_ffff, 0);
}

fn producer_died(scene: &Scene) {
    scene.image().bereave(Side::Producers);
}

fn producer_died_late(scene: &Scene) {
    host_puts(scene);
    scene.image().step_back(Side::Producers);
    producer_died(scene);
}

fn consumer_died(scene: &Scene) {
    full(scene);
    scene.image().bereave(Side::Consumers);
}

fn producers_waited_in_vain(scene: &Scene) {
    scene.image().count_dead(Side::Producers);
}

fn consumers_waited_in_vain(scene: &Scene) {
    full(scene);
    scene.image().count_dead(Side::Consumers);
}

pub(super) fn rows() -> Vec<Plan> {
    [puts(), gets(), tries(), inheritances()].concat()
}

const fn put(operation: &'static str) -> Plan {
    plan(operation, |scene| scene.put(VICTIM).is_ok())
}

const fn get(operation: &'static str) -> Plan {
    Plan { hand: 1, ..plan(operation, |scene| scene.get(VICTIM).is_ok()) }
}

fn puts() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    let one = put("queue of 1: put");
    let three = put("queue of 3: put").of(3);
    let first = Plan { first_use: true, ..put("queue of 1: first put of a process") };
    let (consumer, consumers) = (one.ahead(GET, "consumer"), one.ahead(GETS, "two consumers"));
    let (of_three, two_of_three) = (three.ahead(GET, "consumer"), three.ahead(GETS, "two consumers"));
    let behind = three.late(PRODUCING, PUT, "producer behind");
    let both = of_three.late(PRODUCING, PUT, "consumer, producer behind");
    let all = two_of_three.late(PRODUCING, PUTS, "two consumers, two producers behind");
    let full_behind = one.late(PRODUCING, PUTS, "two producers behind");
    vec![
        one,
        put("queue of 1: put at the wrap of laps").found(last_lap),
        put("queue of 1: put half-way through the laps").found(half_of_the_laps),
        consumer,
        consumer.then(BeforeDeath, host_gets, "consumer, another gets before the death"),
        consumer.then(AfterDeath, host_gets, "consumer, another gets after the death"),
        consumer.then(AfterDeath, host_gets, "").idle("consumer not run yet, another gets after the death"),
        consumers,
        consumers.then(BeforeDeath, host_gets, "two consumers, another gets before the death"),
        consumers.then(AfterDeath, host_gets, "two consumers, another gets after the death"),
        first,
        first.ahead(GET, "consumer"),
        three,
        put("queue of 3: put at the end of a lap").of(3).found(end_of_lap),
        put("queue of 3: put that fills it").of(3).found(two_there).late(PRODUCING, PUT, "producer behind"),
        of_three,
        of_three.then(BeforeDeath, host_puts, "consumer, another puts before the death"),
        of_three.then(BeforeDeath, host_may_put, "consumer, another puts or gives up before the death"),
        of_three.then(AfterDeath, host_puts, "consumer, another puts after the death"),
        of_three.idle("consumer not run yet"),
        two_of_three,
        two_of_three.then(BeforeDeath, host_puts, "two consumers, another puts before the death"),
        two_of_three.then(AfterDeath, host_puts, "two consumers, another puts after the death"),
        behind,
        behind.then(BeforeDeath, host_puts, "producer behind, another puts before the death"),
        behind.then(BeforeDeath, host_may_put, "producer behind, another puts or gives up before the death"),
        behind.then(AfterDeath, host_puts, "producer behind, another puts after the death"),
        both,
        both.then(BeforeDeath, host_puts, "consumer, producer behind, another puts before the death"),
        both.then(BeforeDeath, host_gets, "consumer, producer behind, another gets before the death"),
        both.then(AfterDeath, host_puts, "consumer, producer behind, another puts after the death"),
        both.then(AfterDeath, host_gets, "consumer, producer behind, another gets after the death"),
        both.then(BeforeDeath, host_closes, "consumer, producer behind, another closes before the death"),
        both.then(AfterDeath, host_closes, "consumer, producer behind, another closes after the death"),
        both.idle("consumer, producer behind, not run yet"),
        both.then(AfterDeath, host_puts, "")
            .idle("consumer, producer behind, not run yet, another puts after the death"),
        all,
        all.idle("two consumers, two producers behind, not run yet"),
        full_behind,
    ]
}

fn gets() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    let one = get("queue of 1: get").found(full);
    let three = get("queue of 3: get of a full one").of(3).found(full);
    let two = get("queue of 3: get").of(3).found(two_there);
    let (producer, producers) = (one.ahead(PUT, "producer"), one.ahead(PUTS, "two producers"));
    let of_three = three.ahead(PUT, "producer");
    let behind = two.late(CONSUMING, GET, "consumer behind");
    let both = of_three.late(CONSUMING, GET, "producer, consumer behind");
    let all = three.ahead(PUTS, "").late(CONSUMING, GETS, "two producers, two consumers behind");
    vec![
        one,
        get("queue of 1: get at the wrap of laps").found(last_lap_full),
        producer,
        producer.then(BeforeDeath, host_puts, "producer, another puts before the death"),
        producer.then(AfterDeath, host_puts, "producer, another puts after the death"),
        producer.then(AfterDeath, host_puts, "").idle("producer not run yet, another puts after the death"),
        producers,
        producers.then(BeforeDeath, host_puts, "two producers, another puts before the death"),
        producers.then(AfterDeath, host_puts, "two producers, another puts after the death"),
        Plan { first_use: true, ..get("queue of 1: first get of a process").found(full) }
            .ahead(PUT, "producer"),
        two,
        three,
        of_three,
        of_three.then(BeforeDeath, host_gets, "producer, another gets before the death"),
        of_three.then(AfterDeath, host_gets, "producer, another gets after the death"),
        of_three.idle("producer not run yet"),
        behind,
        behind.then(BeforeDeath, host_gets, "consumer behind, another gets before the death"),
        behind.then(BeforeDeath, host_may_get, "consumer behind, another gets or gives up before the death"),
        behind.then(AfterDeath, host_gets, "consumer behind, another gets after the death"),
        both,
        both.then(BeforeDeath, host_gets, "producer, consumer behind, another gets before the death"),
        both.then(AfterDeath, host_gets, "producer, consumer behind, another gets after the death"),
        both.then(BeforeDeath, host_closes, "producer, consumer behind, another closes before the death"),
        both.then(AfterDeath, host_closes, "producer, consumer behind, another closes after the death"),
        both.idle("producer, consumer behind, not run yet"),
        all,
        all.idle("two producers, two consumers behind, not run yet"),
    ]
}

fn tries() -> Vec<Plan> {
    let put = plan("queue of 3: try_put", |scene| scene.try_put(VICTIM).is_ok()).of(3);
    let get = Plan { hand: 1, ..plan("queue of 3: try_get", |scene| scene.try_get(VICTIM).is_ok()) }.of(3);
    let in_vain =
        plan("queue of 1: try_put of a full one", |scene| scene.try_put(VICTIM) == Err(Error::WouldBlock))
            .found(full);
    let nothing =
        plan("queue of 1: try_get of an empty one", |scene| scene.try_get(VICTIM) == Err(Error::WouldBlock));
    vec![
        put,
        put.ahead(GET, "consumer").late(PRODUCING, PUT, "consumer, producer behind"),
        get.found(full).ahead(PUT, "producer").late(CONSUMING, GET, "producer, consumer behind"),
        in_vain,
        in_vain.ahead(PUT, "producer"),
        in_vain.late(PRODUCING, PUT, "producer behind"),
        nothing,
        nothing.ahead(GET, "consumer"),
        nothing.late(CONSUMING, GET, "consumer behind"),
        nothing.late(CONSUMING, GET, "").then(
            Between::BeforeDeath,
            host_puts,
            "consumer behind, another puts before the death",
        ),
        nothing.late(CONSUMING, GET, "").then(
            Between::AfterDeath,
            host_puts,
            "consumer behind, another puts after the death",
        ),
    ]
}

/// Of what dead ones have left.
fn inheritances() -> Vec<Plan> {
    let died = put("queue of 3: put after a death").of(3).found(producer_died);
    let late = put("queue of 3: put after a death, the position behind").of(3).found(producer_died_late);
    let taken = get("queue of 3: get after a death").of(3).found(consumer_died);
    let heal = Plan { heals: Some(Side::Producers), ..put("queue of 3: put that recounts the waiters") }
        .of(3)
        .found(producers_waited_in_vain);
    let recount = Plan { heals: Some(Side::Consumers), ..get("queue of 3: get that recounts the waiters") }
        .of(3)
        .found(consumers_waited_in_vain);
    vec![
        died,
        died.ahead(GET, "consumer"),
        died.late(PRODUCING, PUT, "producer behind"),
        died.ahead(GET, "").late(PRODUCING, PUT, "consumer, producer behind"),
        late,
        late.late(PRODUCING, PUT, "producer behind"),
        taken,
        taken.ahead(PUT, "producer").late(CONSUMING, GET, "producer, consumer behind"),
        heal,
        heal.late(PRODUCING, PUTS, "two producers behind"),
        heal.ahead(GET, "").late(PRODUCING, PUTS, "consumer, two producers behind"),
        recount.late(CONSUMING, GETS, "two consumers behind"),
    ]
}
