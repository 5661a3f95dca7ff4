//! The program whose main is Rust's: makes the queue, starts the producer, which is C's, as a process, and consumes.
//!
//!     cargo run --release --manifest-path examples/mixed/Cargo.toml

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use forq::{Process, Queue, Result};

const CAPACITY: usize = 64;
const COUNT: u64 = 100_000;

unsafe extern "C" {
    /// As `c/mixed.h` says.
    fn mixed_produce(memory: *mut c_void, size: usize, count: u64) -> c_int;
}

fn main() -> Result<()> {
    let size = Queue::<u64>::required_size(CAPACITY);
    let memory = shared(size);
    // SAFETY: new memory, which stays until the program ends.
    let numbers = unsafe { Queue::<u64>::make_in(memory, size, CAPACITY) }?;
    // SAFETY: the queue that was just made.
    let produce = || assert_eq!(unsafe { mixed_produce(memory.as_ptr().cast(), size, COUNT) }, 0);
    let mut producer = Process::spawn(produce)?;
    let sum = mixed::sum(&numbers)?;
    assert!(producer.join()?.success());
    println!("Rust's main: the numbers below {COUNT} add up to {sum}");
    assert_eq!(sum, COUNT * (COUNT - 1) / 2);
    Ok(())
}

/// Memory that every later fork shares.
fn shared(size: usize) -> NonNull<u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping where the kernel likes.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED, "memory is to be had");
    NonNull::new(memory.cast()).expect("the kernel maps nothing at 0")
}
