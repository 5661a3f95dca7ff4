//! Models of the locks for loom, a file for each: every interleaving up to a bound on preemptions, and every value that the orderings let a load
//! see. Nobody dies here, and sleeps have no bound: a lost wake-up is a deadlock, which loom reports.
//!
//! `verification/loom.sh` runs them, and shows that they find planted faults. Without `--cfg loom` there is nothing here.
#![cfg(all(test, loom))]

mod barrier;
mod channel;
mod condvar;
mod event;
mod mutex;
mod semaphore;

use std::time::Duration;

use forq::{Mutex, MutexGuard};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

/// Accesses that nothing orders are found by loom.
type Counter = Mutex<UnsafeCell<u32>>;

fn counter() -> Counter {
    Mutex::new(UnsafeCell::new(0))
}

fn read(guard: &MutexGuard<'_, UnsafeCell<u32>>) -> u32 {
    // SAFETY: the guard's holder is alone, or loom says that it is not.
    guard.with(|value| unsafe { *value })
}

fn add(guard: &MutexGuard<'_, UnsafeCell<u32>>, more: u32) {
    // SAFETY: as above.
    guard.with_mut(|value| unsafe { *value += more });
}

/// Checks a model of three threads or more, up to the bound.
fn model(f: impl Fn() + Sync + Send + 'static) {
    loom::model(f);
}

/// Checks a model of two threads: so few, that two preemptions more can be afforded.
fn model_of_two(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound + 2);
    builder.check(f);
}

/// Checks a model of three threads in which much happens, with one preemption less.
fn model_of_many_steps(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound - 1);
    builder.check(f);
}

/// Any time: in a model it passes whenever it may.
const A_WHILE: Duration = Duration::from_secs(1);

fn spawn<T: Sync + Send + 'static, R: 'static>(
    shared: &Arc<T>,
    f: impl FnOnce(&T) -> R + 'static,
) -> JoinHandle<R> {
    let shared = shared.clone();
    thread::spawn(move || f(&shared))
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
