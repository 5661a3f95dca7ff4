//! Every operation on collections in which words were overwritten: errors, or something that is wrong, but no harm, and an end.
#![no_main]

use arbitrary::Arbitrary;
use forq::{Handle, Manager};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Operation {
    Scribble(u32, Word),
    Dict(u8, Vec<u8>, u8),
    List(u8, u8, Vec<u8>),
    Name(u8, bool),
}

/// What is written over a word.
#[derive(Arbitrary, Debug)]
enum Word {
    Any(u64),
    /// An offset in the memory.
    Offset(u32),
    Small(u8),
    /// What was there, and a little.
    Add(i8),
}

fuzz_target!(|operations: Vec<Operation>| {
    let manager = Manager::new(1 << 17).expect("memory is to be had");
    let (dict, list) =
        (manager.dict::<[u8], [u8]>("dict").expect("room"), manager.list::<[u8]>("list").expect("room"));
    for number in 0..20u8 {
        dict.set(&[number; 3], &vec![number; usize::from(number) * 9]).expect("room");
        list.push(&vec![number; usize::from(number) * 7]).expect("room");
    }
    dict.remove(&[4; 3]).expect("it is whole");
    list.remove(7).expect("it is whole");
    let locks = manager.__locks().expect("it is whole");
    let (start, size) = manager.__memory();
    for operation in operations {
        match operation {
            Operation::Scribble(at, value) => {
                // Behind the header, which is read once.
                let at = 4096 + at as usize % (size - 4096) / 8 * 8;
                // SAFETY: inside the memory.
                let word = unsafe { start.add(at).cast::<u64>().as_mut() };
                *word = match value {
                    Word::Any(value) => value,
                    Word::Offset(offset) => u64::from(offset) % size as u64 / 8 * 8,
                    Word::Small(value) => value.into(),
                    Word::Add(value) => word.wrapping_add_signed(value.into()),
                };
                // A lock that says that a living process holds it is waited for, rightly.
                for &lock in &locks {
                    // SAFETY: inside the memory; nobody holds them.
                    unsafe { start.add(lock).write_bytes(0, 128) };
                }
            }
            Operation::Dict(what, bytes, key) => {
                let key = [key % 32; 3];
                let _ = match what % 9 {
                    0 => dict.set(&key, &bytes),
                    1 => dict.get(&key).map(drop),
                    2 => dict.remove(&key).map(drop),
                    3 => dict.update(&key, |_| Some(bytes)),
                    4 => dict.clear(),
                    5 => dict.len().map(drop),
                    6 => dict.get_or_insert(&key, &bytes).map(drop),
                    7 => dict.set(&bytes, &key),
                    _ => dict.iter().take(100).try_for_each(|entry| entry.map(drop)),
                };
            }
            Operation::List(what, index, bytes) => {
                let index = usize::from(index % 32);
                let _ = match what % 9 {
                    0 => list.push(&bytes),
                    1 => list.get(index).map(drop),
                    2 => list.set(index, &bytes),
                    3 => list.insert(index, &bytes),
                    4 => list.remove(index),
                    5 => list.pop().map(drop),
                    6 => list.clear(),
                    7 => list.extend(&[&bytes, &bytes[..bytes.len() / 2]]),
                    _ => list.slice(index..index + 2).map(drop),
                };
            }
            Operation::Name(name, is_list) => {
                let name = format!("{}", name % 4);
                let handle: Option<Handle> = if is_list {
                    manager.list::<u8>(&name).ok().map(|list| list.handle())
                } else {
                    manager.dict::<u8, u8>(&name).ok().map(|dict| dict.handle())
                };
                if let Some(handle) = handle {
                    let _ = (manager.list_of::<u8>(handle), manager.dict_of::<u8, u8>(handle));
                }
            }
        }
    }
    let _ = manager.__check();
});
