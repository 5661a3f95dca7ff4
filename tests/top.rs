//! What `forq-top` sees of a real program.

#[path = "../examples/inspect/mod.rs"]
mod inspect;
#[path = "../examples/forq-top/json.rs"]
mod json;
#[path = "../examples/forq-top/sample.rs"]
mod sample;
#[path = "../examples/forq-top/screen.rs"]
mod screen;
mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forq::{Manager, Mutex, Pool, Process, Queue, Segment, Shared};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sample::Sampler;
use screen::{Order, draw};
use serde_json::Value;
use support::{eventually, is_asleep, send};

fn main() {
    support::run(&[
        ("a_program_is_shown_with_its_mutex_queue_pool_and_dict_by_their_names", everything),
        ("without_a_process_all_of_the_users_are_looked_at", all_of_the_user),
        ("a_mutex_without_a_name_is_found_when_it_is_held_and_remembered", without_a_name),
        ("a_holder_that_is_stopped_and_who_waits_for_it_are_shown", stopped_holder),
        ("objects_of_a_named_segment_are_called_by_its_names", in_a_segment),
        ("what_was_looked_at_ends_when_its_processes_have", ends),
        ("a_process_that_ends_while_it_is_looked_at_is_no_error", ends_meanwhile),
        ("a_pool_whose_counts_are_any_is_shown", any_counts),
        ("one_queue_is_shown_beside_many_mutexes", many_mutexes),
    ]);
}

/// Longer than any case lasts, on whatever machine.
const PATIENCE: Duration = Duration::from_secs(1000);

fn sample(sampler: &mut Sampler) -> Value {
    sampler.next().unwrap().unwrap().to_json()
}

fn named<'a>(sample: &'a Value, table: &str, name: &str) -> &'a Value {
    let rows = sample[table].as_array().unwrap();
    let mut found = rows.iter().filter(|row| row["name"] == name);
    let row = found.next().unwrap_or_else(|| panic!("{table} has no {name}: {sample}"));
    assert!(found.next().is_none(), "it is there once");
    row
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn end(mut child: Process) {
    let _ = child.kill();
    child.join().unwrap();
}

/// Runs `tell` with a program that uses everything, in a child: with its pid, and a function that returns when it has gone on. Its names end so.
fn with_program(suffix: &str, tell: impl FnOnce(u32, &dyn Fn())) {
    let name = |what: &str| format!("{what}{suffix}");
    let ready = Shared::new(AtomicU32::new(0)).unwrap();
    let child = Process::spawn(|| {
        let accounts = Shared::new(Mutex::new(0u64)).unwrap();
        let jobs = Queue::<u64>::new(1000).unwrap();
        let pool = Pool::new(2).unwrap();
        let manager = Manager::new(1 << 20).unwrap();
        accounts.set_name(&name("accounts")).unwrap();
        jobs.set_name(&name("jobs")).unwrap();
        pool.set_name(&name("resizers")).unwrap();
        let users = manager.dict::<u64, u64>(&name("users")).unwrap();
        let log = manager.list::<u64>("log").unwrap();
        (0..300).for_each(|user| users.set(&user, &user).unwrap());
        log.push(&1).unwrap();
        (0..5).for_each(|job| jobs.put(job).unwrap());
        loop {
            *accounts.lock().unwrap() += 1;
            jobs.put(1).unwrap();
            jobs.get().unwrap();
            pool.map(|x| x + 1, &[1u64; 100]).unwrap();
            ready.fetch_add(1, Ordering::Relaxed);
        }
    })
    .unwrap();
    let go_on = || {
        let before = ready.load(Ordering::Relaxed);
        eventually("it works", || ready.load(Ordering::Relaxed) > before + 10);
    };
    go_on();
    tell(child.pid(), &go_on);
    end(child);
}

fn check_program(sample: &Value, suffix: &str, is_first: bool) {
    let name = |what: &str| format!("{what}{suffix}");
    let accounts = named(sample, "mutexes", &name("accounts"));
    assert!(number(&accounts["acquisitions"]) > 10.0 && accounts["is_named"] == true);
    let jobs = named(sample, "queues", &name("jobs"));
    assert_eq!(jobs["capacity"], 1000);
    assert!((4.0..=7.0).contains(&number(&jobs["len"])), "{jobs}");
    assert!(number(&jobs["put"]) > 15.0 && jobs["lost"] == 0);
    let pool = named(sample, "pools", &name("resizers"));
    assert_eq!(pool["workers"].as_array().unwrap().len(), 2);
    assert!(number(&pool["items"]) >= 1000.0);
    let managers = sample["managers"].as_array().unwrap();
    let manager = managers.iter().find(|it| it["collections"][1]["name"] == name("users")).unwrap();
    assert_eq!(
        (&manager["collections"][1]["kind"], &manager["collections"][1]["len"]),
        (&"dict".into(), &300.into())
    );
    assert_eq!(
        (&manager["collections"][0]["kind"], &manager["collections"][0]["len"]),
        (&"list".into(), &1.into())
    );
    assert!((3000.0..1e6).contains(&number(&manager["used"])));
    for rate in
        [&accounts["acquisitions_per_s"], &jobs["put_per_s"], &jobs["got_per_s"], &pool["items_per_s"]]
    {
        if is_first { assert!(rate.is_null()) } else { assert!(number(rate) > 0.0) }
    }
}

fn everything() {
    with_program("", |pid, go_on| {
        let mut sampler = Sampler::new(&[pid]);
        let first = sample(&mut sampler);
        check_program(&first, "", true);
        go_on();
        check_program(&sample(&mut sampler), "", false);
        let pids: Vec<_> =
            first["processes"].as_array().unwrap().iter().map(|it| number(&it["pid"]) as u32).collect();
        assert!(pids.contains(&pid) && pids.len() >= 4, "with supervisor and workers: {pids:?}");
        check_screen(&mut sampler);
    });
}

fn check_screen(sampler: &mut Sampler) {
    let mut sample = sampler.next().unwrap().unwrap();
    for (width, height) in [(140, 40), (80, 24), (20, 8), (1, 1)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        for order in [Order::Rate, Order::Waiting, Order::Name] {
            order.apply(&mut sample);
            terminal.draw(|frame| draw(frame, &sample, order)).unwrap();
        }
        if width >= 80 {
            let shown = format!("{}", terminal.backend());
            for name in ["accounts", "jobs", "resizers", "users", "log"] {
                assert!(shown.contains(name), "{name} is not in\n{shown}");
            }
        }
        if width == 140 {
            println!("{}", terminal.backend());
        }
    }
}

fn all_of_the_user() {
    // Another program of the user may have objects of the same names.
    let suffix = format!("-{}", std::process::id());
    with_program(&suffix, |_, _| check_program(&sample(&mut Sampler::new(&[])), &suffix, true));
}

fn hold(table: &[Mutex<u32>], which: usize) -> Process {
    let holder = Process::spawn(|| {
        let _guard = table[which].lock().unwrap();
        std::thread::sleep(PATIENCE);
    })
    .unwrap();
    eventually("it is held", || table[which].owner().is_some());
    holder
}

fn without_a_name() {
    let table = Shared::slice_with(4, |_| Mutex::new(0u32)).unwrap();
    drop(table[3].lock().unwrap());
    let holder = hold(&table, 2);
    let mut sampler = Sampler::new(&[std::process::id()]);
    let first = sample(&mut sampler);
    let rows = first["mutexes"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "the others are not known");
    assert_eq!(
        (&rows[0]["is_named"], number(&rows[0]["owner"]["pid"])),
        (&false.into(), holder.pid().into())
    );
    end(holder);
    drop(table[2].lock().unwrap_or_else(|error| {
        let guard = error.into_guard().unwrap();
        guard.mark_consistent();
        guard
    }));
    let later = sample(&mut sampler);
    let row = &later["mutexes"][0];
    assert!(
        row["owner"].is_null() && row["offset"] == rows[0]["offset"] && row["holder_deaths"] == 1,
        "{row}"
    );
}

fn stopped_holder() {
    let table = Shared::slice_with(1, |_| Mutex::new(0u32)).unwrap();
    table[0].set_name("the only one").unwrap();
    let holder = hold(&table, 0);
    let waiter = Process::spawn(|| drop(table[0].lock_timeout(PATIENCE))).unwrap();
    eventually("it waits", || is_asleep(waiter.pid()));
    send(holder.pid(), libc::SIGSTOP);
    eventually("it is stopped", || support::is_stopped(holder.pid()));
    let mut sampler = Sampler::new(&[waiter.pid()]);
    let seen = sample(&mut sampler);
    let row = named(&seen, "mutexes", "the only one");
    assert_eq!((number(&row["owner"]["pid"]), &row["owner"]["state"]), (holder.pid().into(), &"T".into()));
    assert_eq!(row["waiters"], 1);
    let mut terminal = Terminal::new(TestBackend::new(140, 30)).unwrap();
    let next = sampler.next().unwrap().unwrap();
    terminal.draw(|frame| draw(frame, &next, Order::Name)).unwrap();
    assert!(terminal.backend().to_string().contains("STOPPED"));
    end(holder);
    end(waiter);
}

fn in_a_segment() {
    let name = format!("top-{}", std::process::id());
    let segment = Segment::create(&name, 1 << 16).unwrap();
    // SAFETY: this program alone uses the name, for this type; no guard is forgotten.
    let (mutex, _) = unsafe { segment.object::<[Mutex<u32>; 2]>("locks").unwrap() };
    let (memory, _) = segment.object_bytes(b"queue", 4096).unwrap();
    // SAFETY: so much memory, for the queue alone, as long as it lives.
    let queue = unsafe { Queue::<u64>::make_in(memory, 4096, 10) }.unwrap();
    queue.put(1).unwrap();
    let holder = hold(mutex, 1);
    // It has opened what this one has made.
    let opener = Process::spawn(|| {
        let segment = Segment::open(&name).unwrap();
        // SAFETY: as above.
        let (mutex, _) = unsafe { segment.object::<[Mutex<u32>; 2]>("locks").unwrap() };
        let _ = mutex[1].lock_timeout(PATIENCE);
    })
    .unwrap();
    eventually("it waits", || is_asleep(opener.pid()));
    let seen = sample(&mut Sampler::new(&[opener.pid()]));
    assert_eq!(seen["processes"].as_array().unwrap().len(), 3, "{seen}");
    assert_eq!(named(&seen, "queues", &format!("{name}/queue"))["len"], 1);
    let at = size_of::<Mutex<u32>>();
    assert_eq!(named(&seen, "mutexes", &format!("{name}/locks+{at:#x}"))["waiters"], 1);
    end(holder);
    end(opener);
    Segment::unlink(&name).unwrap();
}

fn ends() {
    let child = Process::spawn(|| std::thread::sleep(PATIENCE)).unwrap();
    let mut sampler = Sampler::new(&[child.pid()]);
    assert!(sampler.next().unwrap().is_some());
    let pid = child.pid();
    end(child);
    assert!(sampler.next().unwrap().is_none());
    assert!(Sampler::new(&[pid]).next().is_err());
}

fn ends_meanwhile() {
    let go_on = Process::spawn(|| std::thread::sleep(PATIENCE)).unwrap();
    for round in 0..200u64 {
        let child = Process::spawn(|| std::thread::sleep(PATIENCE)).unwrap();
        let mut sampler = Sampler::new(&[go_on.pid(), child.pid()]);
        assert!(sampler.next().unwrap().is_some());
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(round * 37 % 5000));
            end(child);
        });
        // So that both a first look and a later one meet the end.
        while !killer.is_finished() {
            assert!(sampler.next().unwrap().is_some());
        }
        killer.join().unwrap();
        support::progress();
    }
    end(go_on);
}

fn any_counts() {
    with_program("", |pid, _| {
        let mut sample = Sampler::new(&[pid]).next().unwrap().unwrap();
        for worker in sample.pools.iter_mut().flat_map(|row| &mut row.view.workers) {
            (worker.items, worker.crashes, worker.busy_ns) = (u64::MAX, u64::MAX, u64::MAX);
        }
        assert_eq!(named(&sample.to_json(), "pools", "resizers")["items"], u64::MAX);
        assert_eq!(sample::sum(&sample.pools[0].view, |worker| worker.busy_ns), u64::MAX);
        let mut terminal = Terminal::new(TestBackend::new(140, 40)).unwrap();
        Order::Rate.apply(&mut sample);
        terminal.draw(|frame| draw(frame, &sample, Order::Rate)).unwrap();
    });
}

fn many_mutexes() {
    let table = Shared::slice_with(100, |_| Mutex::new(0u32)).unwrap();
    for (index, mutex) in table.iter().enumerate() {
        mutex.set_name(&format!("mutex {index:03}")).unwrap();
    }
    let queue = Queue::<u64>::new(8).unwrap();
    queue.set_name("jobs").unwrap();
    let pool = Pool::new(1).unwrap();
    pool.set_name("resizers").unwrap();
    let sample = Sampler::new(&[std::process::id()]).next().unwrap().unwrap();
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(frame, &sample, Order::Name)).unwrap();
    let shown = terminal.backend().to_string();
    for name in ["mutexes: 100", "mutex 000", "jobs", "resizers"] {
        assert!(shown.contains(name), "{name} is not in\n{shown}");
    }
    pool.close().unwrap();
    pool.join().unwrap();
}
