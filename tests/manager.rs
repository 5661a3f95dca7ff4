//! Lists and dicts do what std's do, for any operations in any order, and keep account of every block.

use std::collections::HashMap;

use forq::{Error, Handle, Manager};
use proptest::collection::vec;
use proptest::prelude::*;

/// Short, long, and too long for what is left.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        vec(any::<u8>(), 0..600),
        (any::<u8>(), 0usize..30_000).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

#[derive(Clone, Debug)]
enum OnList {
    Push(Vec<u8>),
    Set(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    Remove(usize),
    Pop,
    Extend(Vec<Vec<u8>>),
    Clear,
}

fn on_list() -> impl Strategy<Value = OnList> {
    let index = 0usize..50;
    prop_oneof![
        6 => bytes().prop_map(OnList::Push),
        6 => (index.clone(), bytes()).prop_map(|(index, item)| OnList::Set(index, item)),
        6 => (index.clone(), bytes()).prop_map(|(index, item)| OnList::Insert(index, item)),
        5 => index.prop_map(OnList::Remove),
        3 => Just(OnList::Pop),
        2 => vec(bytes(), 0..8).prop_map(OnList::Extend),
        1 => Just(OnList::Clear),
    ]
}

#[derive(Clone, Debug)]
enum OnDict {
    Set(Vec<u8>, Vec<u8>),
    Append(Vec<u8>, Vec<u8>),
    GetOrInsert(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    Clear,
}

/// Few, so that they meet; some are long.
fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0u8..60).prop_map(|key| vec![key]),
        2 => (0u8..20, 0usize..300).prop_map(|(byte, length)| vec![byte; length]),
        1 => Just(vec![7; 4096]),
    ]
}

fn on_dict() -> impl Strategy<Value = OnDict> {
    prop_oneof![
        10 => (keys(), bytes()).prop_map(|(key, value)| OnDict::Set(key, value)),
        4 => (keys(), bytes()).prop_map(|(key, value)| OnDict::Append(key, value)),
        3 => (keys(), bytes()).prop_map(|(key, value)| OnDict::GetOrInsert(key, value)),
        7 => keys().prop_map(OnDict::Remove),
        1 => Just(OnDict::Clear),
    ]
}

/// Whether there was room; any other error is none here.
fn had_room(result: forq::Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(Error::OutOfSpace) => false,
        Err(other) => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_does_what_a_vec_does(operations in vec(on_list(), 0..120)) {
        let manager = Manager::new(1 << 16).unwrap();
        let list = manager.list::<[u8]>("list").unwrap();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for operation in operations {
            let used = manager.used().unwrap();
            let mut had = true;
            match operation {
                OnList::Push(item) => {
                    had = had_room(list.push(&item));
                    if had { model.push(item); }
                }
                OnList::Set(index, item) if index < model.len() => {
                    had = had_room(list.set(index, &item));
                    if had { model[index] = item; }
                }
                OnList::Insert(index, item) if index <= model.len() => {
                    had = had_room(list.insert(index, &item));
                    if had { model.insert(index, item); }
                }
                OnList::Remove(index) if index < model.len() => {
                    list.remove(index).unwrap();
                    model.remove(index);
                }
                OnList::Set(index, item) => prop_assert_eq!(list.set(index, &item), Err(Error::OutOfRange)),
                OnList::Insert(index, item) => prop_assert_eq!(list.insert(index, &item), Err(Error::OutOfRange)),
                OnList::Remove(index) => prop_assert_eq!(list.remove(index), Err(Error::OutOfRange)),
                OnList::Pop => prop_assert_eq!(list.pop().unwrap(), model.pop()),
                OnList::Extend(items) => {
                    let borrowed: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
                    had = had_room(list.extend(&borrowed));
                    if had { model.extend(items); }
                }
                OnList::Clear => {
                    list.clear().unwrap();
                    model.clear();
                }
            }
            // An array may have grown for what then did not fit; nothing else stays.
            prop_assert!(had || manager.used().unwrap() <= used + 16 * 1024);
            prop_assert_eq!(list.len().unwrap(), model.len());
            prop_assert_eq!(&list.slice(..).unwrap(), &model);
            manager.__check().unwrap();
        }
    }

    #[test]
    fn a_dict_does_what_a_hash_map_does(operations in vec(on_dict(), 0..200), size in 16u32..21) {
        let manager = Manager::new(1 << size).unwrap();
        let dict = manager.dict::<[u8], [u8]>("dict").unwrap();
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for operation in operations {
            match operation {
                OnDict::Set(key, value) => {
                    if had_room(dict.set(&key, &value)) { model.insert(key, value); }
                }
                OnDict::Append(key, more) => {
                    let before = model.get(&key).cloned();
                    let after = [before.clone().unwrap_or_default(), more].concat();
                    let update = dict.update(&key, |value| {
                        assert_eq!(value, before);
                        Some(after.clone())
                    });
                    if had_room(update) { model.insert(key, after); }
                }
                OnDict::GetOrInsert(key, value) => match dict.get_or_insert(&key, &value) {
                    Ok(got) => prop_assert_eq!(&got, model.entry(key).or_insert(value)),
                    Err(error) => prop_assert_eq!(error, Error::OutOfSpace),
                },
                OnDict::Remove(key) => {
                    prop_assert_eq!(dict.remove(&key).unwrap(), model.remove(&key).is_some());
                }
                OnDict::Clear => {
                    dict.clear().unwrap();
                    model.clear();
                }
            }
            prop_assert_eq!(dict.len().unwrap(), model.len());
            manager.__check().unwrap();
        }
        let all: HashMap<_, _> = dict.iter().map(Result::unwrap).collect();
        prop_assert_eq!(dict.iter().count(), model.len());
        prop_assert_eq!(all, model.clone());
        for (key, value) in &model {
            let got = dict.get(key).unwrap();
            prop_assert_eq!(got.as_ref(), Some(value));
        }
    }

    #[test]
    fn what_is_taken_away_leaves_room_for_as_much(sizes in vec(1usize..5000, 1..60)) {
        let manager = Manager::new(1 << 16).unwrap();
        let list = manager.list::<[u8]>("list").unwrap();
        list.push(&[]).unwrap();
        list.clear().unwrap();
        let empty = manager.used().unwrap();
        let largest = |list: &forq::List<'_, [u8]>| {
            let (mut fits, mut not) = (0, 1 << 16);
            while not - fits > 1 {
                let middle = (fits + not) / 2;
                if had_room(list.push(&vec![1; middle])) { fits = middle } else { not = middle }
                list.clear().unwrap();
            }
            fits
        };
        let before = largest(&list);
        for size in sizes {
            had_room(list.push(&vec![2; size]));
        }
        while list.len().unwrap() > 0 {
            list.remove(list.len().unwrap() / 2).unwrap();
        }
        list.clear().unwrap();
        prop_assert_eq!(manager.used().unwrap(), empty);
        prop_assert_eq!(largest(&list), before);
    }
}

#[test]
fn a_dict_of_many_entries_grows_and_finds_them_all() {
    const MANY: u64 = 50_000;
    let manager = Manager::new(16 << 20).unwrap();
    let dict = manager.dict::<u64, [u64; 2]>("dict").unwrap();
    for number in 0..MANY {
        dict.set(&number, &[number, !number]).unwrap();
    }
    manager.__check().unwrap();
    assert_eq!(dict.len().unwrap() as u64, MANY);
    for number in 0..MANY {
        assert_eq!(dict.get(&number).unwrap(), Some([number, !number]));
        assert!(!dict.contains(&(number + MANY)).unwrap());
    }
    let mut seen: Vec<u64> = dict.iter().map(|entry| entry.unwrap().0).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..MANY));
    for number in 0..MANY {
        assert!(dict.remove(&number).unwrap());
    }
    assert!(dict.is_empty().unwrap());
    manager.__check().unwrap();
}

#[test]
fn a_cursor_gives_what_stays_once_and_what_comes_or_goes_at_most_once() {
    let manager = Manager::new(4 << 20).unwrap();
    let dict = manager.dict::<u32, u32>("dict").unwrap();
    for key in 0..2000 {
        dict.set(&key, &0).unwrap();
    }
    let (mut cursor, mut seen, mut step) = (0, HashMap::new(), 0);
    while let Some((key, value)) = dict.next(&mut cursor).unwrap() {
        *seen.entry(key).or_insert(0) += 1;
        assert!(value == 0 || value == 1);
        // Even keys stay; odd ones go, and come again; others come, and the dict grows.
        for odd in [(step * 37 % 2000) | 1, (step * 91 % 2000) | 1] {
            if !dict.remove(&odd).unwrap() {
                dict.set(&odd, &1).unwrap();
            }
        }
        for new in (0..10).filter(|_| step < 500) {
            dict.set(&(10_000 + step * 10 + new), &1).unwrap();
        }
        dict.set(&(step * 2 % 2000), &1).unwrap();
        step += 1;
    }
    assert!(
        (0..2000).step_by(2).all(|key| seen.get(&key) == Some(&1)),
        "an entry that stayed did not come once"
    );
    assert!(seen.values().all(|&times| times == 1));
    assert_eq!(dict.next(&mut cursor).unwrap(), None);
}

#[test]
fn collections_nest_by_handle_and_names_have_one_kind() {
    let manager = Manager::new(1 << 18).unwrap();
    let outer = manager.list::<Handle>("outer").unwrap();
    for number in 0..3u32 {
        let inner = manager.new_dict::<str, u32>().unwrap();
        inner.set("number", &number).unwrap();
        outer.push(&inner.handle()).unwrap();
    }
    for number in 0..3 {
        let inner = manager.dict_of::<str, u32>(outer.get(number).unwrap()).unwrap();
        assert_eq!(inner.get("number").unwrap(), Some(number as u32));
        assert_eq!(manager.list_of::<u32>(inner.handle()).unwrap_err(), Error::Protocol);
    }
    assert_eq!(manager.dict::<u8, u8>("outer").unwrap_err(), Error::AlreadyExists);
    manager.dict::<u8, u8>("d").unwrap();
    assert_eq!(manager.list::<u8>("d").unwrap_err(), Error::AlreadyExists);
    for bad in ["", ".", "..", "a/b", &"x".repeat(201)] {
        assert_eq!(manager.list::<u8>(bad).unwrap_err(), Error::InvalidArgument);
        assert_eq!(manager.dict::<u8, u8>(bad).unwrap_err(), Error::InvalidArgument);
    }
    manager.__check().unwrap();
}

#[test]
fn an_update_may_not_use_its_manager_and_a_panic_in_it_changes_nothing() {
    let manager = Manager::new(1 << 18).unwrap();
    let (dict, list) = (manager.dict::<u8, u8>("dict").unwrap(), manager.list::<u8>("list").unwrap());
    dict.set(&1, &1).unwrap();
    dict.update(&1, |value| {
        for key in 0..20 {
            assert_eq!(dict.get(&key), Err(Error::Deadlock));
        }
        assert_eq!(dict.set(&2, &2), Err(Error::Deadlock));
        assert_eq!(dict.len(), Err(Error::Deadlock));
        assert_eq!(dict.clear(), Err(Error::Deadlock));
        assert_eq!(list.push(&1), Err(Error::Deadlock));
        assert_eq!(manager.list::<u8>("another").unwrap_err(), Error::Deadlock);
        let other = Manager::new(1 << 16).unwrap();
        other.list::<u8>("list").unwrap().push(&1).unwrap();
        value.map(|value| value + 1)
    })
    .unwrap();
    assert_eq!(dict.get(&1).unwrap(), Some(2));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        dict.update(&1, |_| panic!("in an update")).unwrap();
    }));
    assert!(panicked.is_err());
    assert_eq!(dict.get(&1).unwrap(), Some(2));
    assert_eq!(dict.try_update(&1, |_| Err(Error::Closed)), Err(Error::Closed));
    dict.update(&1, |_| None).unwrap();
    assert_eq!((dict.get(&1).unwrap(), dict.is_empty().unwrap()), (None, true));
    assert_eq!(dict.set(&2, &2), Ok(()));
    manager.__check().unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    assert_eq!(Manager::new(65_535).unwrap_err(), Error::InvalidArgument);
    assert_eq!(Manager::new(usize::MAX).unwrap_err(), Error::InvalidArgument);
    let manager = Manager::new(1 << 16).unwrap();
    let dict = manager.dict::<[u8], [u8]>("dict").unwrap();
    assert_eq!(dict.set(&[1; 4097], &[]), Err(Error::InvalidArgument));
    assert_eq!(dict.get(&[1; 4097]), Err(Error::InvalidArgument));
    assert_eq!(dict.set(&[1; 4096], &[2; 60_000]), Err(Error::OutOfSpace));
    dict.set(&[1; 4096], &[2; 40_000]).unwrap();
    assert_eq!(dict.get(&[1; 4096]).unwrap().unwrap(), [2; 40_000]);
    // Of another type than what is there.
    let other = manager.dict::<[u8], u64>("dict").unwrap();
    assert_eq!(other.get(&[1; 4096]), Err(Error::Protocol));
}

#[test]
fn slices_are_ranges() {
    let manager = Manager::new(1 << 16).unwrap();
    let list = manager.list::<str>("list").unwrap();
    list.extend(&["a", "b", "c", "d"]).unwrap();
    assert_eq!(list.slice(1..3).unwrap(), ["b", "c"]);
    assert_eq!(list.slice(..=1).unwrap(), ["a", "b"]);
    assert_eq!(list.slice(4..).unwrap(), [""; 0]);
    for (from, to) in [(5, 5), (0, 5), (3, 2)] {
        assert_eq!(list.slice(from..to).unwrap_err(), Error::OutOfRange);
    }
}

#[test]
fn sizes_that_nothing_can_have_are_told_to_nobody() {
    let mut changed = 0;
    let mut at = 4096;
    loop {
        let manager = Manager::new(1 << 16).unwrap();
        let (list, dict) =
            (manager.list::<[u8]>("list").unwrap(), manager.dict::<[u8], [u8]>("dict").unwrap());
        for size in [0, 20, 300] {
            list.push(&vec![1; size]).unwrap();
            dict.set(&[size as u8; 3], &vec![1; size]).unwrap();
        }
        let (start, size) = manager.__memory();
        if at >= size {
            break;
        }
        // A lock's owner would be waited for.
        let is_lock = manager.__locks().unwrap().iter().any(|&lock| (lock..lock + 128).contains(&at));
        // SAFETY: a word of the memory, which nobody else uses.
        let word = unsafe { start.add(at).cast::<u64>().as_mut() };
        if *word != 0 && !is_lock {
            // Much more than a machine has.
            *word = word.wrapping_add(1 << 46);
            changed += 1;
            for index in 0..3 {
                let _ = list.get(index);
            }
            for size in [0, 20, 300u16] {
                let _ = dict.get(&[size as u8; 3]);
            }
            let _ = dict.iter().take(100).try_for_each(|entry| entry.map(drop));
            let _ = list.slice(..);
            let _ = list.pop();
        }
        at += 8;
    }
    assert!(changed > 30);
}
