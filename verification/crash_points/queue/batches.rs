//! Rows of several messages at once.

use super::super::ledger::VICTIM;
use super::plan::{Between, Plan, When, plan};
use super::rows::{CONSUMING, GET, GETS, PRODUCING, PUT, PUTS, full, host_gets, host_puts, two_there};

pub(super) fn rows() -> Vec<Plan> {
    use Between::{AfterDeath, BeforeDeath};
    use When::Asleep;
    let put = plan("queue of 3: put_many 2", |scene| scene.put_many::<2>(VICTIM, None) == Ok(2)).of(3);
    let round =
        plan("queue of 1: put_many 2, wait in between", |scene| scene.put_many::<2>(VICTIM, None) == Ok(2))
            .woken_by(&[host_gets]);
    let some = plan("queue of 3: put_many_timeout 2, room for one", |scene| {
        scene.put_many::<2>(VICTIM, Some(std::time::Duration::ZERO)) == Ok(1)
    })
    .of(3)
    .found(two_there);
    let many =
        |operation| Plan { hand: 2, ..plan(operation, |scene| scene.get_many::<2>(VICTIM, None) == Ok(2)) };
    let get = many("queue of 3: get_many 2").of(3).found(full);
    let wait = Plan {
        hand: 2,
        ..plan("queue of 3: wait, get_many 2", |scene| scene.get_many::<2>(VICTIM, None) == Ok(1)).of(3)
    }
    .woken_by(&[host_puts]);
    let (consumer, consumers) = (put.ahead(GET, "consumer"), put.ahead(GETS, "two consumers"));
    let (producer, producers) = (get.ahead(PUT, "producer"), get.ahead(PUTS, "two producers"));
    vec![
        put,
        consumer,
        consumer.then(BeforeDeath, host_gets, "consumer, another gets before the death"),
        consumer.then(AfterDeath, host_gets, "consumer, another gets after the death"),
        consumer.then(BeforeDeath, host_puts, "consumer, another puts before the death"),
        consumers,
        consumers.then(BeforeDeath, host_gets, "two consumers, another gets before the death"),
        consumers.idle("two consumers not run yet"),
        put.late(PRODUCING, PUT, "producer behind"),
        consumer.late(PRODUCING, PUTS, "consumer, two producers behind"),
        consumer.late(PRODUCING, PUTS, "").idle("consumer, two producers behind, not run yet"),
        round,
        round.late(Asleep, PUT, "producer behind"),
        some,
        some.late(PRODUCING, PUT, "producer behind"),
        get,
        producer,
        producer.then(BeforeDeath, host_puts, "producer, another puts before the death"),
        producer.then(AfterDeath, host_puts, "producer, another puts after the death"),
        producers,
        producers.idle("two producers not run yet"),
        get.late(CONSUMING, GETS, "two consumers behind"),
        producer.late(CONSUMING, GETS, "producer, two consumers behind"),
        wait,
        wait.late(Asleep, GET, "consumer behind"),
    ]
}
