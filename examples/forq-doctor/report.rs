//! What was found, as text and as JSON.

use serde_json::{Value, json};

use forq::NameView;

use crate::diagnosis::Diagnosis;
use crate::inspect::locks::Wait;
use crate::inspect::memory::Place;
use crate::inspect::process::command_of;

fn list(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

fn kind_of(name: &NameView) -> String {
    format!("{:?}", name.kind).to_lowercase()
}

impl Diagnosis {
    fn called(&self, kind: &str, place: &Place) -> String {
        match self.names.name(place) {
            Some(name) => format!("{kind} \"{name}\""),
            None => format!("{kind} at {:#x} of {}", place.offset, place.memory),
        }
    }

    /// As lines for people.
    pub(crate) fn to_text(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.push(format!("processes: {}", list(&self.processes)));
        for hold in &self.holds {
            let statistics = hold.view.statistics;
            lines.push(format!(
                "held: {} by thread {} of process {} ({}), {} announced to wait; taken {} times, {} after a wait of at most {:.1} ms",
                self.called("mutex", &hold.place),
                hold.tid,
                hold.pid,
                command_of(hold.pid),
                hold.view.waiters,
                statistics.acquisitions,
                statistics.contended,
                statistics.waited_max_ns as f64 / 1e6
            ));
        }
        for wait in &self.queue_waits {
            let (queue, what) =
                (self.called("queue", &wait.place), if wait.puts { "room in" } else { "a message of" });
            lines.push(format!("wait: thread {} of process {} waits for {what} {queue}", wait.tid, wait.pid));
        }
        for (pid, tid, name) in &self.other_waits {
            let kind = kind_of(name);
            lines.push(format!("wait: thread {tid} of process {pid} waits for {kind} \"{}\"", name.name));
        }
        let mut tell = |what: &str, wait: &Wait| {
            lines.push(format!(
                "{what}: thread {} of process {} waits for {}, held by thread {}",
                wait.tid,
                wait.pid,
                self.called("mutex", &wait.place),
                wait.view.owner
            ));
        };
        self.waits.iter().for_each(|wait| tell("wait", wait));
        self.stopped.iter().for_each(|wait| tell("STUCK, the holder is stopped", wait));
        self.dead.iter().for_each(|wait| tell("STUCK, the holder is no more", wait));
        self.tell_stuck(&mut lines);
        // Names are the programs', and might steer a terminal.
        lines.iter().map(|line| line.replace(char::is_control, "\u{fffd}")).collect()
    }

    fn tell_stuck(&self, lines: &mut Vec<String>) {
        for cycle in &self.cycles {
            lines.push(format!("STUCK, a circle: {}", self.way(cycle)));
        }
        for full in &self.full_queues {
            let queue = self.called("queue", &full.place);
            lines.push(format!(
                "STUCK, {queue} stays full ({} messages) while producers wait:",
                full.view.len
            ));
            if !full.stopped.is_empty() {
                lines.push(format!("    of those that have it, stopped: process {}", list(&full.stopped)));
            }
            if !full.stuck.is_empty() {
                lines.push(format!(
                    "    of those that have it, waiting for a mutex in vain: process {}",
                    list(&full.stuck)
                ));
            }
        }
        for stopped in &self.stopped_workers {
            let item = stopped.worker.item.map_or(String::new(), |item| format!(", on item {item}"));
            lines.push(format!(
                "STUCK, a worker of {} is stopped: process {}{item}",
                self.called("pool", &stopped.place),
                stopped.worker.pid
            ));
        }
        if !self.is_stuck() {
            lines.push("nothing is stuck".to_owned());
        }
    }

    /// Each thread of a circle, and what it waits for.
    fn way(&self, cycle: &[u32]) -> String {
        let steps = cycle.iter().map(|tid| match self.waits.iter().find(|wait| wait.tid == *tid) {
            Some(wait) => format!(
                "thread {tid} of process {} waits for {}, held by",
                wait.pid,
                self.called("mutex", &wait.place)
            ),
            None => format!("thread {tid} waits for"),
        });
        steps.chain(cycle.first().map(|tid| format!("thread {tid}"))).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn to_json(&self) -> Value {
        let at = |place: &Place| (self.names.name(place), place.memory.to_string(), place.offset);
        let waits = |waits: &[Wait]| -> Vec<_> {
            let one = |wait: &Wait| {
                let (name, memory, offset) = at(&wait.place);
                json!({
                    "pid": wait.pid, "tid": wait.tid, "owner": wait.view.owner,
                    "name": name, "memory": memory, "offset": offset,
                })
            };
            waits.iter().map(one).collect()
        };
        let holds = self.holds.iter().map(|hold| {
            let (name, memory, offset) = at(&hold.place);
            json!({
                "pid": hold.pid, "tid": hold.tid, "name": name, "memory": memory, "offset": offset,
                "waiters": hold.view.waiters, "is_inconsistent": hold.view.is_inconsistent,
                "acquisitions": hold.view.statistics.acquisitions, "contended": hold.view.statistics.contended,
                "slept": hold.view.statistics.slept, "waited_ns": hold.view.statistics.waited_ns,
                "waited_max_ns": hold.view.statistics.waited_max_ns,
                "holder_deaths": hold.view.statistics.holder_deaths,
            })
        });
        let queue_waits = self.queue_waits.iter().map(|wait| {
            let (name, memory, offset) = at(&wait.place);
            json!({
                "pid": wait.pid, "tid": wait.tid, "puts": wait.puts,
                "name": name, "memory": memory, "offset": offset,
            })
        });
        let other_waits = self.other_waits.iter().map(
            |(pid, tid, name)| json!({ "pid": pid, "tid": tid, "kind": kind_of(name), "name": name.name }),
        );
        let full_queues = self.full_queues.iter().map(|full| {
            let (name, memory, offset) = at(&full.place);
            json!({
                "name": name, "memory": memory, "offset": offset, "len": full.view.len,
                "stopped": full.stopped, "stuck": full.stuck,
            })
        });
        let stopped_workers = self.stopped_workers.iter().map(|stopped| {
            let (name, memory, offset) = at(&stopped.place);
            json!({
                "name": name, "memory": memory, "offset": offset,
                "pid": stopped.worker.pid, "item": stopped.worker.item, "waiting_jobs": stopped.waiting_jobs,
            })
        });
        json!({
            "processes": self.processes,
            "holds": holds.collect::<Vec<_>>(),
            "waits": waits(&self.waits),
            "cycles": self.cycles,
            "stopped": waits(&self.stopped),
            "dead": waits(&self.dead),
            "queue_waits": queue_waits.collect::<Vec<_>>(),
            "other_waits": other_waits.collect::<Vec<_>>(),
            "full_queues": full_queues.collect::<Vec<_>>(),
            "stopped_workers": stopped_workers.collect::<Vec<_>>(),
            "is_stuck": self.is_stuck(),
        })
    }
}
