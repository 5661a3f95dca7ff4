//! The rows.

use std::time::Duration;

use forq::Error;

use super::super::ledger::{FIRST_FRESH, HOST, VICTIM};
use super::super::system;
use super::image::Side;
use super::plan::{Between, Plan, nothing, plan};
use super::scene::{Kind, Scene, Visit};

const GET: &[Visit] = &[Visit::Get];
const PUT: &[Visit] = &[Visit::Put];
/// Past before the victim, stepped, comes to the futex call.
const SOON: Duration = Duration::from_micros(100);

fn host_puts(scene: &Scene) {
    scene.host_uses(Side::Producer, false);
}

fn host_gets(scene: &Scene) {
    scene.host_uses(Side::Consumer, false);
}

/// In the place of a dead victim.
fn host_succeeds_to_put(scene: &Scene) {
    scene.host_uses(Side::Producer, true);
}

fn host_succeeds_to_get(scene: &Scene) {
    scene.host_uses(Side::Consumer, true);
}

fn host_fills(scene: &Scene) {
    while scene.try_put(HOST).is_ok() {}
}

fn host_closes(scene: &Scene) {
    scene.close();
}

fn victim_puts(scene: &Scene) {
    let _ = scene.try_put(VICTIM);
}

fn victim_puts_two(scene: &Scene) {
    victim_puts(scene);
    victim_puts(scene);
}

fn victim_fills(scene: &Scene) {
    while scene.try_put(VICTIM).is_ok() {}
}

fn victim_gets(scene: &Scene) {
    let _ = scene.try_get(VICTIM);
}

fn victim_gets_two(scene: &Scene) {
    victim_gets(scene);
    victim_gets(scene);
}

fn victim_finds_nothing(scene: &Scene) {
    while scene.try_get(VICTIM).is_ok() {}
}

/// One that is killed in a call, and leaves the side so.
fn dies_asleep(scene: &Scene, visit: Visit) {
    let pid = system::fork(|| scene.visit(visit, FIRST_FRESH - 1));
    system::poll(|| system::is_asleep_anywhere(pid).then_some(()));
    system::kill_and_reap(pid);
}

fn producer_died(scene: &Scene) {
    host_fills(scene);
    dies_asleep(scene, Visit::Put);
    while scene.try_get(HOST).is_ok() {}
}

fn consumer_died(scene: &Scene) {
    dies_asleep(scene, Visit::Get);
    host_fills(scene);
}

fn puts(scene: &Scene) -> bool {
    scene.put(VICTIM).is_ok()
}

fn gets(scene: &Scene) -> bool {
    scene.get(VICTIM).is_ok()
}

/// Whoever else was there, it ends, and not by what cannot be.
fn may_put(scene: &Scene) -> bool {
    matches!(scene.try_put(VICTIM), Ok(()) | Err(Error::Closed | Error::NotPermitted | Error::WouldBlock))
}

fn may_get(scene: &Scene) -> bool {
    matches!(scene.try_get(VICTIM), Ok(()) | Err(Error::Closed | Error::NotPermitted | Error::WouldBlock))
}

fn closes(scene: &Scene) -> bool {
    scene.close();
    true
}

pub(super) fn rows() -> Vec<Plan> {
    [
        producers(Kind::Bytes, ["channel of 3: put", "channel of 3: put that fills it"]),
        producers(Kind::Values, ["channel of 3: put a value", "channel of 3: put a value that fills it"]),
        producers(Kind::InPlace, ["channel of 3: reserve, commit", "channel of 3: reserve, commit, full"]),
        consumers(Kind::Bytes, ["channel of 3: get", "channel of 3: get of a full one"]),
        consumers(Kind::Values, ["channel of 3: get a value", "channel of 3: get a value of a full one"]),
        consumers(Kind::InPlace, ["channel of 3: peek, release", "channel of 3: peek, release, full"]),
        takers(),
        waits(),
        closers(),
        leavers(),
    ]
    .concat()
}

fn producers(kind: Kind, [short, filling]: [&'static str; 2]) -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath, Stopped};
    let one = Plan { kind, ..plan(Side::Producer, short, puts) }.after(victim_puts);
    let consumer = one.ahead(GET, "consumer");
    let races = Plan { act: may_put, ..one };
    let fills = one.named(filling).after(victim_puts_two);
    vec![
        one,
        one.told("alone, the consumer is told"),
        one.then(BeforeDeath, host_gets, "another gets before the death"),
        one.then(BeforeDeath, host_puts, "another comes to put before the death"),
        one.then(AfterDeath, host_succeeds_to_put, "another puts after the death"),
        races.then(Stopped, host_gets, "stopped, another gets, it goes on"),
        races.then(Stopped, host_closes, "stopped, another closes, it goes on"),
        consumer,
        consumer.told("consumer, which is told"),
        consumer.then(AfterDeath, host_succeeds_to_put, "consumer, another puts after the death"),
        consumer.then(BeforeDeath, host_closes, "consumer, another closes before the death"),
        races.ahead(GET, "").then(Stopped, host_closes, "consumer, stopped, another closes, it goes on"),
        fills,
        Plan { lap: u32::MAX, ..fills }.ahead(&[], "alone, the next lap is 0"),
    ]
}

fn consumers(kind: Kind, [short, full]: [&'static str; 2]) -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath, Stopped};
    let one = Plan { kind, ..plan(Side::Consumer, short, gets) }.found(host_fills).after(victim_gets);
    let producer = one.named(full).ahead(PUT, "producer");
    let races = Plan { act: may_get, ..one };
    let last = one.after(victim_gets_two);
    vec![
        one,
        one.told("alone, the producer is told"),
        one.then(BeforeDeath, host_puts, "another puts before the death"),
        one.then(BeforeDeath, host_gets, "another comes to get before the death"),
        one.then(AfterDeath, host_succeeds_to_get, "another gets after the death"),
        races.then(Stopped, host_puts, "stopped, another puts, it goes on"),
        races.then(Stopped, host_closes, "stopped, another closes, it goes on"),
        producer,
        producer.told("producer, which is told"),
        producer.then(AfterDeath, host_succeeds_to_get, "producer, another gets after the death"),
        producer.then(BeforeDeath, host_closes, "producer, another closes before the death"),
        last.ahead(&[], "alone, the last one"),
        Plan { lap: u32::MAX, ..last }.ahead(&[], "alone, the last one of lap 2^32 - 1"),
    ]
}

/// Of sides that another process used.
fn takers() -> Vec<Plan> {
    let put = plan(Side::Producer, "channel of 3: put, takes the side over", puts);
    let get = plan(Side::Consumer, "channel of 3: get, takes the side over", gets);
    let handed = put.found(host_puts);
    let taken = get.found(|scene| {
        host_fills(scene);
        host_gets(scene);
    });
    let first = Plan { first_use: true, ..put.named("channel of 3: first put of a process") };
    vec![
        put.ahead(&[], "nobody was there"),
        put.ahead(GET, "nobody was there, consumer"),
        handed.ahead(&[], "from one that lives"),
        handed.ahead(GET, "from one that lives, consumer"),
        Plan { asks: true, ..put }.found(producer_died).ahead(&[], "from one killed in a call"),
        first,
        first.ahead(GET, "consumer"),
        get.found(host_fills).ahead(&[], "nobody was there"),
        get.found(host_fills).ahead(PUT, "nobody was there, producer"),
        taken.ahead(&[], "from one that lives"),
        taken.ahead(PUT, "from one that lives, producer"),
        Plan { asks: true, ..get }.found(consumer_died).ahead(&[], "from one killed in a call"),
        Plan { first_use: true, ..get.named("channel of 3: first get of a process") }.found(host_fills),
    ]
}

fn waits() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    let get = |kind, operation| Plan {
        kind,
        waker: Some(host_puts as fn(&Scene)),
        ..plan(Side::Consumer, operation, gets).after(victim_finds_nothing)
    };
    let put = |kind, operation| Plan {
        kind,
        waker: Some(host_gets as fn(&Scene)),
        ..plan(Side::Producer, operation, puts).after(victim_fills)
    };
    let wait = get(Kind::Bytes, "channel of 1: wait, get").of(1);
    let full = put(Kind::Bytes, "channel of 1: wait, put").of(1);
    let closed = Plan {
        waker: Some(host_closes),
        ..plan(Side::Consumer, "channel of 1: wait, closed", |scene| scene.get(VICTIM) == Err(Error::Closed))
    }
    .of(1)
    .after(victim_finds_nothing);
    let shut = Plan {
        waker: Some(host_closes),
        ..plan(Side::Producer, "channel of 1: wait for room, closed", |scene| {
            scene.put(VICTIM) == Err(Error::Closed)
        })
    }
    .of(1)
    .after(victim_fills);
    let gives_up = plan(Side::Consumer, "channel of 1: get_timeout, gives up", |scene| {
        scene.get_in(VICTIM, Some(SOON)) == Err(Error::TimedOut)
    })
    .of(1)
    .after(victim_finds_nothing);
    let no_room = plan(Side::Producer, "channel of 1: put_timeout, gives up", |scene| {
        scene.put_in(VICTIM, Some(SOON)) == Err(Error::TimedOut)
    })
    .of(1)
    .after(victim_fills);
    vec![
        wait,
        wait.then(BeforeDeath, host_gets, "another comes to get before the death"),
        wait.then(AfterDeath, host_succeeds_to_get, "another gets after the death"),
        get(Kind::Values, "channel of 3: wait, get a value"),
        get(Kind::InPlace, "channel of 3: wait, peek, release"),
        closed,
        gives_up,
        gives_up.then(BeforeDeath, host_puts, "another puts before the death"),
        full,
        full.then(BeforeDeath, host_puts, "another comes to put before the death"),
        full.then(AfterDeath, host_succeeds_to_put, "another puts after the death"),
        put(Kind::Values, "channel of 3: wait, put a value"),
        put(Kind::InPlace, "channel of 3: wait, reserve, commit"),
        shut,
        no_room,
        no_room.then(BeforeDeath, host_gets, "another gets before the death"),
    ]
}

fn closers() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    let close = plan(Side::Producer, "channel of 3: close", closes).after(nothing);
    let full = close.named("channel of 3: close of a full one").found(host_fills);
    vec![
        close,
        close.named("channel of 3: close with messages in it").found(host_puts),
        close.named("channel of 3: close of a closed one").found(host_closes),
        close.ahead(GET, "consumer"),
        close.ahead(GET, "").then(BeforeDeath, host_puts, "consumer, another puts before the death"),
        close.ahead(GET, "").then(AfterDeath, host_succeeds_to_put, "consumer, another puts after the death"),
        close.ahead(GET, "").then(AfterDeath, host_closes, "consumer, another closes after the death"),
        full.ahead(PUT, "producer"),
        full.ahead(PUT, "").then(BeforeDeath, host_gets, "producer, another gets before the death"),
        full.ahead(PUT, "").then(AfterDeath, host_succeeds_to_get, "producer, another gets after the death"),
    ]
}

fn leavers() -> Vec<Plan> {
    let producer = plan(Side::Producer, "channel of 3: the producer leaves", |scene| {
        scene.leave(Side::Producer);
        true
    })
    .after(victim_puts);
    let consumer = Plan {
        hand: 0,
        ..plan(Side::Consumer, "channel of 3: the consumer leaves", |scene| {
            scene.leave(Side::Consumer);
            true
        })
    }
    .found(host_fills)
    .after(victim_gets);
    vec![
        producer,
        producer.ahead(GET, "consumer"),
        producer.ahead(GET, "").told("consumer, which is told"),
        consumer,
        consumer.ahead(PUT, "producer"),
        consumer.ahead(PUT, "").told("producer, which is told"),
    ]
}
