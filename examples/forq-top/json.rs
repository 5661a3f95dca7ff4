//! A sample for programs.

use serde_json::{Map, Value, json};

use crate::sample::{Row, Sample, Who, items_of};

fn who(who: &Who) -> Value {
    json!({ "pid": who.pid, "tid": who.tid, "command": who.command, "state": who.state.to_string() })
}

/// What all rows begin with, and the rest.
fn row<V, R>(row: &Row<V, R>, rest: Value) -> Value {
    let mut all = Map::new();
    all.insert("name".to_owned(), json!(row.name));
    all.insert("is_named".to_owned(), json!(row.is_named));
    all.insert("memory".to_owned(), json!(row.place.memory.to_string()));
    all.insert("offset".to_owned(), json!(row.place.offset));
    if let Value::Object(rest) = rest {
        all.extend(rest);
    }
    Value::Object(all)
}

impl Sample {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "processes": self.processes.iter().map(who).collect::<Vec<_>>(),
            "mutexes": self.mutexes(),
            "queues": self.queues(),
            "pools": self.pools(),
            "managers": self.managers(),
        })
    }

    fn mutexes(&self) -> Vec<Value> {
        let one = |it: &Row<_, _>| {
            let forq::MutexView { waiters, is_inconsistent, statistics, .. } = it.view;
            let rates: Option<crate::sample::MutexRates> = it.rates;
            row(
                it,
                json!({
                    "owner": it.who.first().map(who), "waiters": waiters, "is_inconsistent": is_inconsistent,
                    "acquisitions": statistics.acquisitions, "contended": statistics.contended,
                    "slept": statistics.slept, "waited_ns": statistics.waited_ns,
                    "waited_max_ns": statistics.waited_max_ns, "holder_deaths": statistics.holder_deaths,
                    "acquisitions_per_s": rates.map(|rates| rates.acquisitions),
                    "contended_part": rates.map(|rates| rates.contended),
                    "waited_s_per_s": rates.map(|rates| rates.waited),
                }),
            )
        };
        self.mutexes.iter().map(one).collect()
    }

    fn queues(&self) -> Vec<Value> {
        let side = |side: forq::QueueSideView| json!({ "holder": side.holder, "is_waiting": side.is_waiting, "waiters": side.waiters });
        let one = |it: &Row<forq::QueueView, crate::sample::QueueRates>| {
            let view = it.view;
            row(
                it,
                json!({
                    "len": view.len, "capacity": view.capacity, "message_size": view.message_size,
                    "is_closed": view.is_closed, "put": view.statistics.put, "got": view.statistics.got,
                    "lost": view.statistics.lost, "full_waits": view.statistics.full_waits,
                    "empty_waits": view.statistics.empty_waits,
                    "producers": side(view.producers), "consumers": side(view.consumers),
                    "put_per_s": it.rates.map(|rates| rates.put), "got_per_s": it.rates.map(|rates| rates.got),
                }),
            )
        };
        self.queues.iter().map(one).collect()
    }

    fn pools(&self) -> Vec<Value> {
        let one = |it: &Row<forq::PoolView, crate::sample::PoolRates>| {
            let workers = it.view.workers.iter().zip(&it.who).map(|(worker, who)| {
                json!({
                    "pid": worker.pid, "state": who.state.to_string(), "is_busy": worker.is_busy,
                    "item": worker.item, "items": worker.items, "crashes": worker.crashes,
                    "busy_ns": worker.busy_ns,
                })
            });
            row(
                it,
                json!({
                    "workers": workers.collect::<Vec<_>>(), "items": items_of(&it.view),
                    "replaced": it.view.replaced, "waiting_jobs": it.view.waiting_jobs,
                    "is_closed": it.view.is_closed,
                    "items_per_s": it.rates.map(|rates| rates.items),
                    "busy_part": it.rates.map(|rates| rates.busy),
                }),
            )
        };
        self.pools.iter().map(one).collect()
    }

    fn managers(&self) -> Vec<Value> {
        let one = |it: &Row<forq::ManagerView, ()>| {
            let collections = it.view.collections.iter().map(|collection| {
                let kind = if collection.is_dict { "dict" } else { "list" };
                json!({ "name": collection.name, "kind": kind, "len": collection.len })
            });
            row(
                it,
                json!({
                    "used": it.view.used, "capacity": it.view.capacity, "unnamed": it.view.unnamed,
                    "collections": collections.collect::<Vec<_>>(),
                }),
            )
        };
        self.managers.iter().map(one).collect()
    }
}
