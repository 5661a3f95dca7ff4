//! Two programs that know nothing of each other but a name share a dict. The other one is `c-examples/dict_by_name.c`.
//!
//!     cargo run --example dict_by_name -- NAME &
//!     c-examples/build/dict_by_name NAME
//!
//! Each finds the manager of this name or makes it, says in its dict who it is, waits for the other to say so, and adds to a sum. Without a
//! name this one plays both parts.

use std::time::{Duration, Instant};

use forq::{Error, Manager, Result, Segment};

fn main() -> Result<()> {
    match std::env::args().nth(1) {
        Some(name) => meet(&name, "Rust", "C"),
        None => {
            let name = format!("example-{}", std::process::id());
            let other = std::thread::spawn({
                let name = name.clone();
                move || meet(&name, "C", "Rust")
            });
            meet(&name, "Rust", "C")?;
            other.join().expect("it did not panic")
        }
    }
}

/// Whoever loses the race to make it finds it.
fn find_or_make(name: &str) -> Result<Manager> {
    match Manager::open(name) {
        Err(Error::NotFound) => match Manager::create(name, 1 << 16) {
            Err(Error::AlreadyExists) => Manager::open(name),
            made => made,
        },
        found => found,
    }
}

fn meet(name: &str, me: &str, other: &str) -> Result<()> {
    let manager = find_or_make(name)?;
    let who = manager.dict::<str, u32>("who")?;
    let sums = manager.dict::<str, i64>("sums")?;
    who.set(me, &std::process::id())?;
    let deadline = Instant::now() + Duration::from_secs(30);
    let its_id = loop {
        match who.get(other)? {
            Some(id) => break id,
            None if Instant::now() > deadline => return Err(Error::TimedOut),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    for number in 1..=100 {
        sums.update("sum", |sum| Some(sum.unwrap_or(0) + number))?;
    }
    sums.update("done", |done| Some(done.unwrap_or(0) + 1))?;
    while sums.get("done")? != Some(2) {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("{me} met {other}, process {its_id}; together they summed up {}", sums.get("sum")?.unwrap_or(0));
    assert_eq!(sums.get("sum")?, Some(2 * 5050));
    // Of the two, one comes first.
    match Segment::unlink(name) {
        Err(Error::NotFound) => Ok(()),
        result => result,
    }
}
