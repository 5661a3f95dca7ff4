//! What `forq-doctor` sees of programs from outside.

#[path = "../examples/forq-doctor/diagnosis.rs"]
#[allow(dead_code, reason = "a part is for the program's output")]
mod diagnosis;
#[path = "../examples/forq-doctor/process.rs"]
mod process;
mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use diagnosis::examine;
use forq::{Mutex, Process, Shared};
use support::{eventually, is_asleep, is_running, send};

fn main() {
    support::run(&[
        ("a_circle_of_two_processes_is_named", circle),
        ("a_circle_of_three_is_found_from_any_of_them", circle_of_three),
        ("a_stopped_holder_is_named", stopped),
        ("who_waits_for_somebody_at_work_is_not_stuck", at_work),
        ("a_process_that_is_none_is_an_error", nobody),
    ]);
}

const PATIENCE: Duration = Duration::from_secs(60);

forq::shareable! {
    struct Table {
        forks: [Mutex<u32>; 3],
        seated: AtomicU32,
    }
}

fn table() -> Shared<Table> {
    Shared::new(Table { forks: [const { Mutex::new(0) }; 3], seated: AtomicU32::new(0) }).unwrap()
}

/// Each takes its own and then its neighbour's, with a time limit: such waits the detection leaves alone.
fn seat(table: &Table, count: usize) -> Vec<Process> {
    let children = (0..count).map(|which| {
        Process::spawn(|| {
            let _own = table.forks[which].lock().unwrap();
            table.seated.fetch_add(1, Ordering::SeqCst);
            while table.seated.load(Ordering::SeqCst) < count as u32 {
                std::thread::yield_now();
            }
            let _ = table.forks[(which + 1) % count].lock_timeout(PATIENCE);
        })
        .unwrap()
    });
    let children: Vec<_> = children.collect();
    eventually("all wait", || children.iter().all(|child| is_asleep(child.pid())));
    children
}

fn clear(mut children: Vec<Process>) {
    for child in &mut children {
        let _ = child.kill();
        child.join().unwrap();
    }
}

fn check_circle(count: usize) {
    let table = table();
    let children = seat(&table, count);
    for child in &children {
        let found = examine(&[child.pid()]).unwrap();
        let mut expected: Vec<u32> = children.iter().map(Process::pid).collect();
        assert!(expected.iter().all(|pid| found.processes.contains(pid)), "relatives are found");
        assert_eq!(found.cycles.len(), 1);
        let mut cycle = found.cycles[0].clone();
        // Each waits for the next.
        for (at, tid) in cycle.iter().enumerate() {
            let next = cycle[(at + 1) % cycle.len()];
            let wait = found.waits.iter().find(|wait| wait.tid == *tid).unwrap();
            assert_eq!(wait.view.owner, next);
            assert!(found.holds.iter().any(|hold| hold.tid == next && hold.place == wait.place));
        }
        cycle.sort_unstable();
        expected.sort_unstable();
        assert_eq!(cycle, expected);
        assert!(found.is_stuck() && found.stopped.is_empty() && found.dead.is_empty());
    }
    clear(children);
}

fn circle() {
    check_circle(2);
}

fn circle_of_three() {
    check_circle(3);
}

fn hold_and_wait(table: &Table, work: impl Fn()) -> [Process; 2] {
    let holder = Process::spawn(|| {
        let _own = table.forks[0].lock().unwrap();
        table.seated.store(1, Ordering::SeqCst);
        loop {
            work();
        }
    })
    .unwrap();
    eventually("it holds", || table.seated.load(Ordering::SeqCst) == 1);
    let waiter = Process::spawn(|| drop(table.forks[0].lock())).unwrap();
    eventually("the other waits", || is_asleep(waiter.pid()));
    [holder, waiter]
}

fn stopped() {
    let table = table();
    let [holder, waiter] = hold_and_wait(&table, || std::thread::sleep(PATIENCE));
    assert!(!examine(&[waiter.pid()]).unwrap().is_stuck());
    send(holder.pid(), libc::SIGSTOP);
    eventually("it is stopped", || support::is_stopped(holder.pid()));
    let found = examine(&[waiter.pid()]).unwrap();
    assert!(found.is_stuck() && found.cycles.is_empty() && found.dead.is_empty());
    assert_eq!(found.stopped.len(), 1);
    assert_eq!((found.stopped[0].tid, found.stopped[0].view.owner), (waiter.pid(), holder.pid()));
    assert!(is_running(waiter.pid()));
    clear(vec![holder, waiter]);
}

fn at_work() {
    let table = table();
    let [holder, waiter] = hold_and_wait(&table, || std::thread::sleep(Duration::from_millis(1)));
    let found = examine(&[holder.pid()]).unwrap();
    assert!(!found.is_stuck());
    assert_eq!(found.waits.len(), 1);
    assert_eq!(found.holds.len(), 1);
    assert_eq!(found.holds[0].view.waiters, 1);
    assert_eq!((found.waits[0].tid, found.waits[0].view.owner), (waiter.pid(), holder.pid()));
    clear(vec![holder, waiter]);
}

fn nobody() {
    let mut child = Process::spawn(|| ()).unwrap();
    let pid = child.pid();
    child.join().unwrap();
    assert!(examine(&[pid]).is_err());
}
