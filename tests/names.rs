//! Names of objects, as who looks from outside sees them.
//!
//! One case kills at instructions, stepped by ptrace, spread over all: `FORQ_EVERY=1 cargo test --release --test names` takes each.

mod support;
#[path = "support/tracee.rs"]
#[allow(dead_code, reason = "a part is for other tests")]
mod tracee;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use forq::{
    Barrier, Condvar, Error, Event, Mutex, NameView, ObjectKind, Pool, Process, Queue, ReentrantMutex,
    Semaphore, Shared,
};
use support::Random;
use tracee::Tracee;

fn main() {
    support::run(&[
        ("a_name_is_seen_by_all_processes_forked_after_the_first", is_seen),
        ("a_new_name_replaces_the_old_one_and_an_empty_one_takes_it_away", replaces),
        ("each_kind_of_object_can_have_a_name", each_kind),
        ("what_is_not_shared_and_what_is_no_name_is_refused", refused),
        ("a_full_table_refuses_and_goes_on_when_a_name_is_taken_away", full),
        ("a_process_killed_while_it_names_has_named_or_not_and_costs_nothing", killed),
        ("a_process_killed_at_any_instruction_of_naming_leaves_the_old_name_or_the_new", killed_anywhere),
        ("any_bytes_may_be_read_as_a_table", any_bytes),
        ("naming_leaves_no_descriptor", no_descriptor),
        ("without_a_descriptor_naming_says_so_and_nothing_has_changed", without_descriptors),
    ]);
}

/// The mappings of tables in this process: one, or none.
fn tables() -> Vec<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let start = |line: &str| usize::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
    maps.lines().filter(|line| line.contains(NameView::FILE)).map(start).collect()
}

fn copy() -> Vec<u8> {
    let &[start] = &tables()[..] else { panic!("one table") };
    let mut bytes = vec![0; NameView::TABLE];
    File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, start as u64).unwrap();
    bytes
}

/// What each place is called.
fn names() -> BTreeMap<(u64, u64), NameView> {
    let mut names = BTreeMap::<_, NameView>::new();
    for name in NameView::each(&copy()) {
        let key = (name.inode, name.offset);
        if names.get(&key).is_none_or(|other| other.turn < name.turn) {
            names.insert(key, name);
        }
    }
    names
}

fn list() -> Vec<String> {
    let mut names: Vec<_> = names().into_values().map(|name| name.name).collect();
    names.sort_unstable();
    names
}

fn mutexes(count: usize) -> Shared<[Mutex<u32>]> {
    Shared::slice_with(count, |_| Mutex::new(0)).unwrap()
}

fn in_child(body: impl FnOnce()) {
    let mut child = Process::spawn(body).unwrap();
    assert!(child.join().unwrap().success());
}

fn is_seen() {
    let both = mutexes(2);
    both[0].set_name("first").unwrap();
    in_child(|| {
        assert_eq!(list(), ["first"]);
        both[1].set_name("second").unwrap();
    });
    assert_eq!(list(), ["first", "second"]);
    // The same place in another process, where it is mapped elsewhere or not at all.
    let names: Vec<_> = names().into_values().collect();
    assert_eq!(names[0].inode, names[1].inode);
    assert_eq!(names[1].offset - names[0].offset, (size_of_val(&*both) / 2) as u64);
}

fn replaces() {
    let both = mutexes(2);
    both[0].set_name("old").unwrap();
    both[1].set_name("other").unwrap();
    in_child(|| both[0].set_name("new").unwrap());
    assert_eq!(list(), ["new", "other"]);
    assert_eq!(NameView::each(&copy()).count(), 2, "the old one is gone");
    both[0].set_name("").unwrap();
    assert_eq!(list(), ["other"]);
    both[0].set_name("").unwrap();
    for turn in 0..5000 {
        both[1].set_name(&format!("{turn}")).unwrap();
    }
    assert_eq!(list(), ["4999"]);
}

fn each_kind() {
    let mutex = Shared::new(Mutex::new(0)).unwrap();
    let reentrant = Shared::new(ReentrantMutex::new(0)).unwrap();
    let semaphore = Shared::new(Semaphore::new(1)).unwrap();
    let condvar = Shared::new(Condvar::new()).unwrap();
    let event = Shared::new(Event::new()).unwrap();
    let barrier = Shared::new(Barrier::new(1)).unwrap();
    let value = forq::Value::new(1u64).unwrap();
    let array = forq::Array::<u64>::new(3).unwrap();
    let queue = Queue::<u64>::new(3).unwrap();
    let bytes = forq::ByteQueue::new(3, 3).unwrap();
    let (sender, receiver) = forq::channel::<u64>(3).unwrap();
    let (bytes_in, bytes_out) = forq::byte_channel(3, 3).unwrap();
    let pool = Pool::new(1).unwrap();
    mutex.set_name("mutex").unwrap();
    reentrant.set_name("reentrant").unwrap();
    semaphore.set_name("semaphore").unwrap();
    condvar.set_name("condvar").unwrap();
    event.set_name("event").unwrap();
    barrier.set_name("barrier").unwrap();
    value.set_name("value").unwrap();
    array.set_name("array").unwrap();
    queue.set_name("queue").unwrap();
    bytes.set_name("bytes").unwrap();
    sender.set_name("sender").unwrap();
    assert!(list().contains(&"sender".to_owned()));
    receiver.set_name("channel").unwrap();
    bytes_in.set_name("bytes in").unwrap();
    bytes_out.set_name("byte channel").unwrap();
    pool.set_name("pool").unwrap();
    let kinds: BTreeMap<_, _> = names().into_values().map(|name| (name.name, name.kind)).collect();
    let expected = [
        ("mutex", ObjectKind::Mutex),
        ("reentrant", ObjectKind::Mutex),
        ("value", ObjectKind::Mutex),
        ("array", ObjectKind::Mutex),
        ("semaphore", ObjectKind::Semaphore),
        ("condvar", ObjectKind::Condvar),
        ("event", ObjectKind::Event),
        ("barrier", ObjectKind::Barrier),
        ("queue", ObjectKind::Queue),
        ("bytes", ObjectKind::Queue),
        ("channel", ObjectKind::Channel),
        ("byte channel", ObjectKind::Channel),
        ("pool", ObjectKind::Pool),
    ];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)).into());
}

fn refused() {
    assert_eq!(Mutex::new(0).set_name("on the stack"), Err(Error::InvalidArgument));
    assert_eq!(vec![Mutex::new(0)][0].set_name("on the heap"), Err(Error::InvalidArgument));
    let mutex = Shared::new(Mutex::new(0)).unwrap();
    assert_eq!(mutex.set_name("\0"), Err(Error::InvalidArgument));
    assert_eq!(mutex.set_name(&"x".repeat(64)), Err(Error::InvalidArgument));
    assert_eq!(tables(), [], "none was needed");
    let longest = "x".repeat(63);
    mutex.set_name(&longest).unwrap();
    assert_eq!(list(), [longest]);
}

const MOST: usize = 1023;

fn fill(all: &[Mutex<u32>]) {
    for (index, mutex) in all.iter().enumerate().take(MOST) {
        mutex.set_name(&format!("{index:04}")).unwrap();
    }
    assert_eq!(all[MOST].set_name("one too many"), Err(Error::OutOfSpace));
    let expected: Vec<_> = (0..MOST).map(|index| format!("{index:04}")).collect();
    assert_eq!(list(), expected);
}

fn full() {
    let all = mutexes(MOST + 1);
    fill(&all);
    all[7].set_name("").unwrap();
    all[MOST].set_name("1023").unwrap();
    assert!(!list().contains(&"0007".to_owned()) && list().contains(&"1023".to_owned()));
}

fn killed() {
    let all = mutexes(MOST + 1);
    all[0].set_name("one").unwrap();
    let mut random = Random(7);
    for _ in 0..300 {
        let mut child = Process::spawn(|| {
            for name in ["two", "one"].iter().cycle() {
                all[0].set_name(name).unwrap();
            }
        })
        .unwrap();
        let (started, delay) = (Instant::now(), Duration::from_micros(200 + random.below(1000)));
        while started.elapsed() < delay {}
        child.kill().unwrap();
        child.join().unwrap();
        let name = list();
        assert!(name == ["one"] || name == ["two"], "{name:?}");
        support::progress();
    }
    // What such ones left half-way is found when there is nothing else; what others are at is left to them.
    let mut child = Process::spawn(|| ()).unwrap();
    let gone = child.pid();
    child.join().unwrap();
    let memory = OpenOptions::new().write(true).open("/proc/self/mem").unwrap();
    let taken_by = |entry: usize, thread: u32| {
        let state = u64::from(thread) << 2 | 1;
        memory.write_at(&state.to_ne_bytes(), (tables()[0] + 128 * (1 + entry)) as u64).unwrap();
    };
    (500..600).for_each(|entry| taken_by(entry, gone));
    fill(&all);
    // SAFETY: no arguments.
    taken_by(0, unsafe { libc::getppid() } as u32);
    taken_by(1, gone);
    all[MOST].set_name("1023").unwrap();
    assert_eq!(all[MOST].set_name("again"), Err(Error::OutOfSpace), "one is at the other entry");
}

/// Steps a child that names the mutex, from where it has found out what the place is (before that it writes nothing), kills it before this instruction, and says
/// after how many it had named.
fn kill_before(mutex: &Mutex<u32>, at: usize) -> Option<usize> {
    // What earlier ones left half-way would make it take longer each time.
    if let [table] = tables()[..] {
        let memory = OpenOptions::new().write(true).open("/proc/self/mem").unwrap();
        memory.write_all_at(&[0; 4096 - 128], table as u64 + 128).unwrap();
    }
    mutex.set_name("old").unwrap();
    let (told, start) = forq::pipe_one_way().unwrap();
    let mut child = Process::spawn(|| {
        told.recv(&mut [0]).unwrap();
        mutex.set_name("new").unwrap();
        loop {
            std::thread::sleep(Duration::from_secs(60));
        }
    })
    .unwrap();
    let tracee = Tracee::attach(child.pid());
    start.send(b"!").unwrap();
    while !is_in_call(child.pid(), libc::SYS_gettid) {
        tracee.request(libc::PTRACE_SYSCALL);
        assert!(tracee.stopped(Duration::from_secs(30)), "it goes from call to call");
    }
    let done = tracee.step(at);
    child.kill().unwrap();
    child.join().unwrap();
    (done < at).then_some(done)
}

fn killed_anywhere() {
    let mutex = Shared::new(Mutex::new(0)).unwrap();
    let all = kill_before(&mutex, usize::MAX).unwrap();
    assert_eq!(list(), ["new"]);
    assert!(all > 100, "that is no naming");
    let trials = if cfg!(debug_assertions) { 40 } else { 400 };
    let stride = std::env::var("FORQ_EVERY").map_or(all / trials + 1, |every| every.parse().unwrap());
    let mut seen = Vec::new();
    for at in (0..all).step_by(stride) {
        let _ = kill_before(&mutex, at);
        let names = list();
        assert!(names == ["new"] || names == ["old"], "killed at {at}: {names:?}");
        seen.extend(names);
        support::progress();
    }
    println!("     {} kills in {all} instructions", seen.len());
    seen.dedup();
    assert_eq!(seen, ["old", "new"], "one after the other");
}

fn is_in_call(pid: u32, number: i64) -> bool {
    let line = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
    line.split(' ').next().and_then(|call| call.parse().ok()) == Some(number)
}

fn any_bytes() {
    let mutex = Shared::new(Mutex::new(0)).unwrap();
    mutex.set_name("name").unwrap();
    let good = copy();
    let mut random = Random(3);
    for length in 0..300 {
        NameView::each(&good[..length]).for_each(drop);
    }
    for round in 0..2000 {
        let mut bytes = good[..4096].to_vec();
        for byte in &mut bytes[16 + round % 112..] {
            *byte = random.below(256) as u8;
        }
        for entry in bytes.chunks_exact_mut(128).skip(1) {
            entry[0] |= 2;
            entry[8..16].copy_from_slice(&random.below(10).to_ne_bytes());
        }
        for name in NameView::each(&bytes) {
            assert!(name.name.chars().count() <= 64);
        }
    }
    assert_eq!(NameView::each(&vec![0xff; 4096]).count(), 0);
}

fn no_descriptor() {
    let mutex = Shared::new(Mutex::new(0)).unwrap();
    let before = support::resources();
    mutex.set_name("name").unwrap();
    mutex.set_name("").unwrap();
    assert_eq!(support::resources(), before);
}

fn without_descriptors() {
    let mutex = Shared::new(Mutex::new(0)).unwrap();
    mutex.set_name("old").unwrap();
    in_child(|| {
        // SAFETY: a limit of this process.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
        assert_eq!(mutex.set_name("new"), Err(Error::OutOfMemory));
        assert_eq!(mutex.set_name(""), Err(Error::OutOfMemory));
    });
    assert_eq!(list(), ["old"]);
}
