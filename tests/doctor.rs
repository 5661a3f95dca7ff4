//! What `forq-doctor` sees of programs from outside.

#[path = "../examples/forq-doctor/diagnosis.rs"]
mod diagnosis;
#[path = "../examples/inspect/mod.rs"]
mod inspect;
#[path = "../examples/forq-doctor/pools.rs"]
mod pools;
#[path = "../examples/forq-doctor/queues.rs"]
mod queues;
#[path = "../examples/forq-doctor/report.rs"]
mod report;
mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use diagnosis::{Diagnosis, examine};
use forq::{Event, Mutex, Pool, Process, Queue, Shared};
use support::{eventually, is_asleep, is_running, send};

fn main() {
    support::run(&[
        ("a_circle_of_two_processes_is_named", circle),
        ("a_circle_of_three_is_found_from_any_of_them", circle_of_three),
        ("a_stopped_holder_is_named", stopped),
        ("who_waits_for_somebody_at_work_is_not_stuck", at_work),
        ("a_process_that_is_none_is_an_error", nobody),
        ("a_circle_is_told_with_processes_and_names", circle_with_names),
        ("a_full_queue_whose_consumer_is_stopped_is_told", stopped_consumer),
        ("a_full_queue_whose_consumer_is_in_a_circle_is_told", consumer_in_circle),
        ("a_full_queue_from_which_somebody_takes_is_not_stuck", slow_consumer),
        ("who_waits_for_an_event_or_a_message_of_a_channel_is_told_by_their_names", other_waits),
        ("a_stopped_worker_of_a_pool_with_work_is_told", stopped_worker),
        ("a_process_told_twice_or_by_a_thread_is_looked_at_once", told_twice),
        ("a_holder_that_let_go_and_ended_is_not_called_dead", let_go),
        ("a_name_does_not_steer_a_terminal", steering_name),
    ]);
}

/// Longer than any case lasts, on whatever machine.
const PATIENCE: Duration = Duration::from_secs(1000);

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
    let Err(error) = examine(&[pid]) else { panic!("there is none") };
    assert!(error.to_string().contains(&pid.to_string()), "{error}");
}

/// What the program prints, in one piece; and that JSON says the same of the whole.
fn text(found: &Diagnosis) -> String {
    assert_eq!(found.to_json()["is_stuck"], found.is_stuck());
    found.to_text().join("\n")
}

fn circle_with_names() {
    let table = table();
    table.forks[0].set_name("left fork").unwrap();
    table.forks[1].set_name("right fork").unwrap();
    let children = seat(&table, 2);
    let found = examine(&[children[0].pid()]).unwrap();
    let told = text(&found);
    for (which, name) in ["right fork", "left fork"].iter().enumerate() {
        let pid = children[which].pid();
        let step = format!("thread {pid} of process {pid} waits for mutex \"{name}\", held by");
        assert!(
            told.lines().any(|line| line.starts_with("STUCK, a circle") && line.contains(&step)),
            "{told}"
        );
    }
    assert_eq!(found.to_json()["waits"][0]["name"].as_str().map(|name| name.ends_with("fork")), Some(true));
    clear(children);
}

fn fill(queue: &Queue<u64>) -> Process {
    let producer = Process::spawn(|| while queue.put_timeout(1, PATIENCE).is_ok() {}).unwrap();
    eventually("it is full", || queue.len() == queue.capacity());
    eventually("the producer waits", || is_asleep(producer.pid()));
    producer
}

fn stopped_consumer() {
    let queue = Queue::<u64>::new(4).unwrap();
    queue.set_name("jobs").unwrap();
    let consumer = Process::spawn(|| while queue.get().is_ok() {}).unwrap();
    eventually("it waits", || is_asleep(consumer.pid()));
    send(consumer.pid(), libc::SIGSTOP);
    eventually("it is stopped", || support::is_stopped(consumer.pid()));
    let producer = fill(&queue);
    let found = examine(&[producer.pid()]).unwrap();
    assert!(found.is_stuck());
    assert_eq!(found.full_queues[0].stopped, [consumer.pid()]);
    assert!(found.full_queues[0].stuck.is_empty());
    assert_eq!(found.queue_waits.len(), 1);
    assert_eq!((found.queue_waits[0].tid, found.queue_waits[0].puts), (producer.pid(), true));
    let told = text(&found);
    assert!(told.contains("STUCK, queue \"jobs\" stays full (4 messages)"), "{told}");
    assert!(told.contains(&format!("stopped: process {}", consumer.pid())), "{told}");
    clear(vec![consumer, producer]);
}

fn consumer_in_circle() {
    let (queue, table) = (Queue::<u64>::new(4).unwrap(), table());
    // Each would take a message next.
    let children = seat(&table, 2);
    let producer = fill(&queue);
    let found = examine(&[producer.pid()]).unwrap();
    let mut stuck = found.full_queues[0].stuck.clone();
    stuck.sort_unstable();
    let mut expected: Vec<u32> = children.iter().map(Process::pid).collect();
    expected.sort_unstable();
    assert_eq!((found.cycles.len(), stuck), (1, expected));
    assert!(text(&found).contains("waiting for a mutex in vain"));
    clear(children);
    clear(vec![producer]);
}

fn slow_consumer() {
    let queue = Queue::<u64>::new(4).unwrap();
    let idle = Process::spawn(|| std::thread::sleep(PATIENCE)).unwrap();
    send(idle.pid(), libc::SIGSTOP);
    eventually("it is stopped", || support::is_stopped(idle.pid()));
    let consumer = Process::spawn(|| {
        while queue.get().is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    })
    .unwrap();
    let producer = Process::spawn(|| while queue.put_timeout(1, PATIENCE).is_ok() {}).unwrap();
    eventually("it is full", || queue.len() == queue.capacity());
    // On a loaded machine the consumer may not have run between two looks.
    eventually("it is seen to go on", || !examine(&[producer.pid()]).unwrap().is_stuck());
    clear(vec![idle, consumer, producer]);
}

fn other_waits() {
    let table = Shared::slice_with(3, |_| Event::new()).unwrap();
    table[1].set_name("started").unwrap();
    let (_sender, mut receiver) = forq::channel::<u64>(8).unwrap();
    receiver.set_name("frames").unwrap();
    let waiter = Process::spawn(|| _ = table[1].wait_timeout(PATIENCE)).unwrap();
    let nameless = Process::spawn(|| _ = table[2].wait_timeout(PATIENCE)).unwrap();
    let getter = Process::spawn(|| _ = receiver.get_timeout(PATIENCE)).unwrap();
    let children = vec![waiter, getter, nameless];
    eventually("all wait", || children.iter().all(|child| is_asleep(child.pid())));
    let found = examine(&[children[0].pid()]).unwrap();
    let mut told: Vec<_> =
        found.other_waits.iter().map(|(pid, _, name)| (*pid, name.name.as_str())).collect();
    told.sort_unstable();
    let mut expected = vec![(children[0].pid(), "started"), (children[1].pid(), "frames")];
    expected.sort_unstable();
    assert_eq!(told, expected);
    assert!(!found.is_stuck() && text(&found).contains("waits for event \"started\""));
    clear(children);
}

fn stopped_worker() {
    let pool = Pool::new(1).unwrap();
    pool.set_name("resizers").unwrap();
    let worker = pool.worker_statistics(0).unwrap().pid as u32;
    let sleep = |_: &u64| {
        std::thread::sleep(PATIENCE);
        0u64
    };
    let _result = pool.map_async(sleep, &[1u64; 3]).unwrap();
    eventually("it works", || {
        let line = std::fs::read_to_string(format!("/proc/{worker}/syscall")).unwrap();
        let call = line.split(' ').next().and_then(|call| call.parse::<i64>().ok());
        call == Some(libc::SYS_clock_nanosleep)
    });
    assert!(!examine(&[std::process::id()]).unwrap().is_stuck());
    send(worker, libc::SIGSTOP);
    eventually("it is stopped", || support::is_stopped(worker));
    let found = examine(&[worker]).unwrap();
    assert!(found.is_stuck());
    let told = text(&found);
    assert!(
        told.contains(&format!("a worker of pool \"resizers\" is stopped: process {worker}, on item 0")),
        "{told}"
    );
    pool.terminate().unwrap();
    send(worker, libc::SIGCONT);
    pool.join().unwrap();
}

fn told_twice() {
    let table = table();
    let [holder, waiter] = hold_and_wait(&table, || std::thread::sleep(PATIENCE));
    let me = std::process::id();
    let (told, thread) = std::sync::mpsc::channel();
    let sleeper = std::thread::spawn(move || {
        // SAFETY: no arguments.
        told.send(unsafe { libc::gettid() } as u32).unwrap();
        std::thread::park();
    });
    let thread = thread.recv().unwrap();
    let found = examine(&[thread, holder.pid(), me, holder.pid()]).unwrap();
    for pid in [me, holder.pid(), waiter.pid()] {
        assert_eq!(found.processes.iter().filter(|&&it| it == pid).count(), 1, "{:?}", found.processes);
    }
    assert!(!found.processes.contains(&thread), "it is part of a process");
    assert_eq!((found.holds.len(), found.waits.len()), (1, 1));
    sleeper.thread().unpark();
    sleeper.join().unwrap();
    clear(vec![holder, waiter]);
}

/// It holds the mutex in most looks, and is a zombie after the last.
fn let_go() {
    for _ in 0..3 {
        let table = table();
        let holder = Process::spawn(|| {
            let _own = table.forks[0].lock().unwrap();
            table.seated.store(1, Ordering::SeqCst);
            while table.seated.load(Ordering::SeqCst) == 1 {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(310));
        })
        .unwrap();
        eventually("it holds", || table.seated.load(Ordering::SeqCst) == 1);
        let waiter = Process::spawn(|| {
            let _own = table.forks[0].lock().unwrap();
            std::thread::sleep(PATIENCE);
        })
        .unwrap();
        eventually("the other waits", || is_asleep(waiter.pid()));
        table.seated.store(2, Ordering::SeqCst);
        let found = examine(&[waiter.pid()]).unwrap();
        assert!(!found.is_stuck(), "{}", text(&found));
        clear(vec![holder, waiter]);
    }
}

fn steering_name() {
    let table = table();
    table.forks[0].set_name("\u{1b}[2Jaccounts\nSTUCK\u{9b}m").unwrap();
    let [holder, waiter] = hold_and_wait(&table, || std::thread::sleep(PATIENCE));
    let lines = examine(&[waiter.pid()]).unwrap().to_text();
    assert!(
        lines.iter().any(|line| line.contains("accounts"))
            && !lines.iter().any(|it| it.contains(char::is_control)),
        "{lines:?}"
    );
    clear(vec![holder, waiter]);
}
