//! What a manager's collections promise to processes: exact, whole or unchanged whoever dies, and nothing lost.

mod support;

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use forq::{Dict, Error, ExitStatus, Handle, List, Manager, Process, Segment, Shared};
use support::{Random, eventually, progress, resources, send};

fn main() {
    support::run(&[
        ("updates_of_one_key_by_four_processes_are_exact", exact_one),
        ("updates_of_1000_keys_by_four_processes_are_exact", exact_many),
        ("four_processes_with_keys_of_their_own_do_not_meet", disjoint),
        ("pushes_and_pops_of_four_processes_lose_and_double_nothing", pushes),
        ("a_collection_is_made_once_by_all_who_ask_for_it", made_once),
        ("one_of_64_processes_makes_the_manager_and_all_find_it", made_by_one),
        ("programs_find_each_others_collections_by_name_and_by_descriptor", by_name),
        ("a_full_manager_refuses_and_changes_nothing_and_taking_away_goes_on", full),
        ("a_process_killed_in_an_update_has_changed_nothing", killed_in_update),
        ("a_child_forked_in_an_update_changes_nothing", forked_in_update),
        ("a_short_value_is_read_while_another_has_the_lock_whoever_was_killed", read_without_lock),
        ("killed_at_any_moment_each_entry_is_whole_and_no_memory_is_lost", storm),
        ("nothing_is_left_of_it", nothing_left),
    ]);
}

fn join_all(children: &mut [Process]) {
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
}

fn four(body: impl Fn(u64)) {
    let mut children: Vec<Process> = (0..4)
        .map(|number| {
            let body = &body;
            Process::spawn(move || body(number)).unwrap()
        })
        .collect();
    join_all(&mut children);
}

fn add_one(dict: &Dict<'_, u64, u64>, key: u64) {
    dict.update(&key, |value| Some(value.unwrap_or(0) + 1)).unwrap();
}

fn exact_one() {
    let manager = Manager::new(1 << 18).unwrap();
    let dict = manager.dict("dict").unwrap();
    four(|_| (0..100_000).for_each(|_| add_one(&dict, 1)));
    assert_eq!(dict.get(&1).unwrap(), Some(400_000));
    manager.__check().unwrap();
}

fn exact_many() {
    let manager = Manager::new(1 << 20).unwrap();
    let dict = manager.dict("dict").unwrap();
    four(|number| {
        let mut random = Random(number + 1);
        let start = random.below(1000);
        (0..100_000).for_each(|step| add_one(&dict, (start + step * 7) % 1000));
    });
    assert_eq!(dict.len().unwrap(), 1000);
    assert!((0..1000).all(|key| dict.get(&key).unwrap() == Some(400)));
    manager.__check().unwrap();
}

fn disjoint() {
    let manager = Manager::new(8 << 20).unwrap();
    let dict = manager.dict::<[u8], [u8]>("dict").unwrap();
    four(|number| {
        let list = manager.list::<[u8]>(&format!("list {number}")).unwrap();
        let mut random = Random(number + 1);
        let mut bytes = |length| -> Vec<u8> { (0..length).map(|_| random.below(256) as u8).collect() };
        let (mut on_dict, mut on_list) = (HashMap::new(), Vec::new());
        for step in 0..20_000u64 {
            let choice = bytes(3);
            let key = [number as u8, choice[0]];
            let value = bytes(usize::from(choice[1]) * 2);
            match choice[2] % 8 {
                0..4 => {
                    dict.set(&key, &value).unwrap();
                    on_dict.insert(key, value.clone());
                }
                4 | 5 => assert_eq!(dict.remove(&key).unwrap(), on_dict.remove(&key).is_some()),
                _ => assert_eq!(dict.get(&key).unwrap().as_ref(), on_dict.get(&key)),
            }
            match choice[2] % 7 {
                0..3 if on_list.len() < 200 => {
                    let index = usize::from(choice[0]) % (on_list.len() + 1);
                    list.insert(index, &value).unwrap();
                    on_list.insert(index, value);
                }
                3..5 if !on_list.is_empty() => {
                    let index = usize::from(choice[0]) % on_list.len();
                    list.remove(index).unwrap();
                    on_list.remove(index);
                }
                _ => assert_eq!(list.pop().unwrap(), on_list.pop()),
            }
            if step % 1000 == 0 {
                assert_eq!(list.slice(..).unwrap(), on_list);
            }
        }
        assert_eq!(list.slice(..).unwrap(), on_list);
        let mine = dict.iter().map(Result::unwrap).filter(|(key, _)| u64::from(key[0]) == number);
        assert_eq!(mine.count(), on_dict.len());
    });
    manager.__check().unwrap();
}

fn pushes() {
    let manager = Manager::new(16 << 20).unwrap();
    let list = manager.list::<u64>("list").unwrap();
    let popped = Shared::slice_with(40_000, |_| AtomicU64::new(0)).unwrap();
    four(|number| {
        for step in 0..10_000 {
            list.push(&(number * 10_000 + step)).unwrap();
            if step % 3 == 0 {
                popped[list.pop().unwrap().unwrap() as usize].fetch_add(1, Relaxed);
            }
        }
    });
    for left in list.slice(..).unwrap() {
        popped[left as usize].fetch_add(1, Relaxed);
    }
    assert!(popped.iter().all(|times| times.load(Relaxed) == 1));
    manager.__check().unwrap();
}

fn made_once() {
    let manager = Manager::new(1 << 20).unwrap();
    four(|number| {
        for step in 0..20 {
            let name = format!("dict {}", (step + number) % 20);
            add_one(&manager.dict(&name).unwrap(), 1);
        }
    });
    for step in 0..20 {
        let dict = manager.dict::<u64, u64>(&format!("dict {step}")).unwrap();
        assert_eq!(dict.get(&1).unwrap(), Some(4));
    }
    manager.__check().unwrap();
}

fn made_by_one() {
    let name = format!("test-manager-{}", std::process::id());
    let made = Shared::slice_with(2, |_| AtomicU64::new(0)).unwrap();
    let mut children: Vec<Process> = (0..64)
        .map(|_| {
            Process::spawn(|| {
                while made[1].load(Relaxed) == 0 {
                    std::thread::yield_now();
                }
                let manager = match Manager::create(&name, 1 << 16) {
                    Err(Error::AlreadyExists) => Manager::open(&name),
                    created => {
                        made[0].fetch_add(1, Relaxed);
                        created
                    }
                };
                add_one(&manager.unwrap().dict("dict").unwrap(), 1);
            })
            .unwrap()
        })
        .collect();
    made[1].store(1, Relaxed);
    join_all(&mut children);
    assert_eq!(made[0].load(Relaxed), 1);
    let manager = Manager::open(&name).unwrap();
    Segment::unlink(&name).unwrap();
    assert_eq!(manager.dict::<u64, u64>("dict").unwrap().get(&1).unwrap(), Some(64));
    manager.__check().unwrap();
}

fn by_name() {
    let name = format!("test-manager-{}", std::process::id());
    let manager = Manager::create(&name, 1 << 18).unwrap();
    assert_eq!(Manager::create(&name, 1 << 18).unwrap_err(), Error::AlreadyExists);
    assert_eq!(Segment::open(&name).unwrap_err(), Error::Protocol);
    let outer = manager.dict::<str, Handle>("outer").unwrap();
    let mut other = Process::spawn(|| {
        let manager = Manager::open(&name).unwrap();
        let outer = manager.dict::<str, Handle>("outer").unwrap();
        let list = manager.new_list::<str>().unwrap();
        list.push("from the child").unwrap();
        outer.set("list", &list.handle()).unwrap();
    })
    .unwrap();
    assert!(other.join().unwrap().success());
    let list = manager.list_of::<str>(outer.get("list").unwrap().unwrap()).unwrap();
    assert_eq!(list.slice(..).unwrap(), ["from the child"]);
    Segment::unlink(&name).unwrap();
    assert_eq!(Manager::open(&name).unwrap_err(), Error::NotFound);
    let again = Manager::from_fd(manager.as_fd()).unwrap();
    assert!(again.dict::<str, Handle>("outer").unwrap().contains("list").unwrap());
    let segment = Segment::anonymous(1 << 18).unwrap();
    assert_eq!(Manager::from_fd(segment.as_fd()).unwrap_err(), Error::Protocol);
}

fn full() {
    let manager = Manager::new(1 << 16).unwrap();
    let (dict, list) = (manager.dict::<u64, [u8]>("dict").unwrap(), manager.list::<u64>("list").unwrap());
    let mut key = 0;
    while dict.set(&key, &[key as u8; 48]).is_ok() {
        key += 1;
    }
    while list.push(&1).is_ok() {}
    let before: HashMap<u64, Vec<u8>> = dict.iter().map(Result::unwrap).collect();
    let len = list.len().unwrap();
    assert_eq!(dict.set(&key, &[1; 48]), Err(Error::OutOfSpace));
    assert_eq!(dict.set(&1, &[1; 5000]), Err(Error::OutOfSpace));
    assert_eq!(dict.update(&1, |_| Some(vec![1; 5000])), Err(Error::OutOfSpace));
    assert_eq!(list.extend(&[1; 100]), Err(Error::OutOfSpace));
    assert_eq!(list.insert(0, &1), Err(Error::OutOfSpace));
    assert_eq!(manager.list::<u64>("another").unwrap_err(), Error::OutOfSpace);
    assert_eq!(dict.iter().map(Result::unwrap).collect::<HashMap<_, _>>(), before);
    assert_eq!(list.len().unwrap(), len);
    manager.__check().unwrap();
    // Short ones of the same size are replaced where they are.
    dict.set(&1, &[9; 48]).unwrap();
    assert!(dict.remove(&1).unwrap());
    dict.set(&key, &[1; 48]).unwrap();
    list.remove(0).unwrap();
    list.pop().unwrap().unwrap();
    list.clear().unwrap();
    dict.clear().unwrap();
    assert_eq!((dict.len().unwrap(), list.len().unwrap()), (0, 0));
    manager.__check().unwrap();
    dict.set(&1, &[1; 40_000]).unwrap();
}

fn killed_in_update() {
    let manager = Manager::new(1 << 18).unwrap();
    let dict = manager.dict::<u64, u64>("dict").unwrap();
    dict.set(&1, &1).unwrap();
    for _ in 0..3 {
        let mut child = Process::spawn(|| {
            dict.update(&1, |value| {
                send(std::process::id(), libc::SIGKILL);
                value.map(|value| value + 1)
            })
        })
        .unwrap();
        assert_eq!(child.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
        assert_eq!(dict.get(&1).unwrap(), Some(1));
    }
    manager.__check().unwrap();
}

fn forked_in_update() {
    let manager = Manager::new(1 << 18).unwrap();
    let dict = manager.dict::<u64, u64>("dict").unwrap();
    dict.set(&1, &1).unwrap();
    let mut child = 0;
    let result = dict.update(&1, |value| {
        // SAFETY: one thread.
        child = unsafe { libc::fork() };
        value.map(|value| value + 1)
    });
    if child == 0 {
        let good = result == Err(Error::NotPermitted);
        // The parent may have stored it, or not yet: either way this waits for nobody for ever.
        let good = good && matches!(dict.get(&1), Ok(Some(1 | 2)));
        // SAFETY: the child ends here.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    result.unwrap();
    let mut status = 0;
    // SAFETY: a place for the result.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0);
    assert_eq!(dict.get(&1).unwrap(), Some(2));
}

/// Writers are killed in the middle of changes, while a reader goes on; then one holds the lock of the only shard for as long as it likes.
fn read_without_lock() {
    let manager = Manager::new(1 << 16).unwrap();
    let dict = manager.dict::<u64, [u64; 4]>("dict").unwrap();
    let steps = Shared::slice_with(3, |_| AtomicU64::new(0)).unwrap();
    (0..8).for_each(|key| dict.set(&key, &[key; 4]).unwrap());
    let mut reader = Process::spawn(|| {
        for step in 0.. {
            let key = step % 8;
            assert!(dict.get(&key).unwrap().is_none_or(|value| value.iter().all(|word| *word == value[0])));
            steps[0].fetch_add(1, Relaxed);
        }
    })
    .unwrap();
    for kill in 0..100 {
        let mut writer = Process::spawn(|| {
            for step in kill.. {
                match step % 3 {
                    0 => drop(dict.remove(&(step / 3 % 8)).unwrap()),
                    _ => dict.set(&(step / 3 % 8), &[step; 4]).unwrap(),
                }
            }
        })
        .unwrap();
        std::thread::sleep(Duration::from_micros(300 + kill * 7));
        writer.kill().unwrap();
        assert_eq!(writer.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
        let before = steps[0].load(Relaxed);
        eventually("the reader goes on", || steps[0].load(Relaxed) > before + 1);
        progress();
    }
    reader.kill().unwrap();
    reader.join().unwrap();
    (0..8).for_each(|key| dict.set(&key, &[key; 4]).unwrap());
    let mut holder = Process::spawn(|| {
        dict.update(&3, |value| {
            steps[1].store(1, Relaxed);
            while steps[2].load(Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            value.map(|_| [100; 4])
        })
        .unwrap();
    })
    .unwrap();
    eventually("it is held", || steps[1].load(Relaxed) == 1);
    for key in 0..8 {
        assert_eq!(dict.get(&key).unwrap(), Some([key; 4]));
        assert!(dict.contains(&key).unwrap() && !dict.contains(&(key + 8)).unwrap());
    }
    steps[2].store(1, Relaxed);
    assert!(holder.join().unwrap().success());
    assert_eq!(dict.get(&3).unwrap(), Some([100; 4]));
    manager.__check().unwrap();
}

/// A value that says whose it is: any mixture of two is none.
fn value_of(key: u64, version: u64) -> Vec<u8> {
    let length = (key * 13 + version * 29) as usize % 300 / (1 + version as usize % 3);
    let mut value = vec![(key ^ version) as u8; length];
    value.splice(0..0, [key as u8, version as u8, length as u8, (length >> 8) as u8]);
    value
}

fn is_whole(key: Option<u64>, value: &[u8]) -> bool {
    let (its_key, version) = (u64::from(value[0]), u64::from(value[1]));
    key.is_none_or(|key| key == its_key) && value == value_of(its_key, version)
}

fn at_random(manager: &Manager, seed: u64) {
    let dict = manager.dict::<u64, [u8]>("dict").unwrap();
    let list = manager.list::<[u8]>("list").unwrap();
    let mut random = Random(seed | 1);
    loop {
        let (key, version) = (random.below(200), random.below(256));
        let value = value_of(key, version);
        let index = random.below(1 + list.len().unwrap() as u64) as usize;
        let result = match random.below(40) {
            0..10 => dict.set(&key, &value),
            10..15 => dict.remove(&key).map(drop),
            15..20 => dict.update(&key, |_| Some(value)),
            20..22 => manager.dict::<u64, u64>(&format!("other {}", key % 10)).map(drop),
            22..26 => list.push(&value),
            26..30 => list.insert(index, &value),
            30..33 => list.remove(index),
            33..35 => list.set(index, &value),
            35 | 36 => list.pop().map(drop),
            37 => list.extend(&[&value, &value, &value]),
            38 if key == 0 => list.clear(),
            39 if key == 0 => dict.clear(),
            _ => dict.get(&key).map(|got| assert!(got.is_none_or(|got| is_whole(Some(key), &got)))),
        };
        assert!(matches!(result, Ok(()) | Err(Error::OutOfSpace | Error::OutOfRange)), "{result:?}");
    }
}

fn check_all(manager: &Manager, dict: &Dict<'_, u64, [u8]>, list: &List<'_, [u8]>) {
    let mut keys = HashSet::new();
    for entry in dict.iter() {
        let (key, value) = entry.unwrap();
        assert!(is_whole(Some(key), &value), "torn: {key}");
        assert!(keys.insert(key), "twice: {key}");
        assert_eq!(dict.get(&key).unwrap(), Some(value));
    }
    assert_eq!(dict.len().unwrap(), keys.len());
    let items = list.slice(..).unwrap();
    assert_eq!(list.len().unwrap(), items.len());
    assert!(items.iter().all(|item| is_whole(None, item)), "a torn item");
    // Each collection's next operation has run: nothing is lost.
    for other in 0..10 {
        manager.dict::<u64, u64>(&format!("other {other}")).unwrap().len().unwrap();
    }
    manager.__check().unwrap();
}

fn storm() {
    let kills: u64 = std::env::var("FORQ_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(600);
    // Full, now and then.
    let manager = Manager::new(160 << 10).unwrap();
    let (dict, list) = (manager.dict("dict").unwrap(), manager.list("list").unwrap());
    for other in 0..10 {
        manager.dict::<u64, u64>(&format!("other {other}")).unwrap();
    }
    let mut random = Random(3);
    for round in 0..kills.div_ceil(2) {
        let mut children: Vec<Process> =
            (0..2).map(|child| Process::spawn(|| at_random(&manager, round * 2 + child)).unwrap()).collect();
        std::thread::sleep(Duration::from_micros(100 + random.below(900)));
        for child in &mut children {
            child.kill().unwrap();
            assert_eq!(child.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
        }
        check_all(&manager, &dict, &list);
        progress();
    }
}

fn nothing_left() {
    let name = format!("test-manager-{}", std::process::id());
    let make = || {
        let manager = Manager::create(&name, 1 << 18).unwrap();
        let other = Manager::open(&name).unwrap();
        manager.list::<u8>("x").unwrap().push(&1).unwrap();
        other.dict::<u8, u8>("y").unwrap().set(&1, &1).unwrap();
        Segment::unlink(&name).unwrap();
    };
    make();
    let maps = || std::fs::read_to_string("/proc/self/maps").unwrap().matches("forq").count();
    let before = (resources(), maps());
    for _ in 0..20 {
        make();
    }
    eventually("nothing is left", || (resources(), maps()) == before);
}
