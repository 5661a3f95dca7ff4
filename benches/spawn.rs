//! A process made and joined, beside the bare system calls, a program started, and Python's `Process`; with little resident and with 256 MiB,
//! of which a fork copies the page tables.
//!
//! `cargo bench --bench spawn`: `ROUNDS` (11) paired rounds in changing order, each of `SPAWNS` (50) processes one after the other;
//! medians. `CELLS` picks some by parts of their titles. Every child's code is looked at.

#[path = "peers/program.rs"]
mod program;
mod support;

use std::process::Command;
use std::time::Instant;

use forq::Process;
use program::Program;
use support::{Peer, brief, is_picked, is_trial, paired, setting, start};

fn main() {
    start();
    let count = if is_trial() { 1 } else { brief(setting("SPAWNS", 50)) };
    for (title, mebibytes) in
        [("spawn and join, little resident", 0), ("spawn and join, 256 MiB resident", 256)]
    {
        if !is_picked(title) {
            continue;
        }
        // Each page is written to, so that it is there.
        let resident = std::hint::black_box(vec![1u8; mebibytes << 20]);
        let mut peers: Vec<Peer<'_>> = vec![
            ("forq Process", Box::new(|| each(count, forq))),
            ("fork and waitpid", Box::new(|| each(count, fork))),
            ("/bin/true by Command", Box::new(|| each(count, program))),
            ("/bin/true by posix_spawn", Box::new(|| each(count, posix_spawn))),
        ];
        if let Some(mut python) = Program::python("spawn.py", &[&mebibytes.to_string()]) {
            let sample = move || python.sample(&count.to_string()) / count as f64 / 1e3;
            peers.push(("Python Process", Box::new(sample)));
        }
        paired(title, "us (less is better)", 11, &mut peers);
        drop(peers);
        drop(resident);
    }
}

/// Microseconds of each of so many, one after the other.
fn each(count: usize, spawn: impl Fn()) -> f64 {
    let started = Instant::now();
    (0..count).for_each(|_| spawn());
    started.elapsed().as_secs_f64() / count as f64 * 1e6
}

fn forq() {
    let mut child = Process::spawn(|| ()).expect("a process");
    assert!(child.join().expect("a child").success());
}

fn fork() {
    // SAFETY: this process has one thread; the child ends at once.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "a process");
    if pid == 0 {
        // SAFETY: ends this process.
        unsafe { libc::_exit(0) };
    }
    wait(pid);
}

fn wait(pid: libc::pid_t) {
    let mut status = -1;
    // SAFETY: our child, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0);
}

/// What std makes of it.
fn program() {
    assert!(Command::new("/bin/true").status().expect("it is there").success());
}

fn posix_spawn() {
    let (path, mut pid) = (c"/bin/true".as_ptr(), 0);
    let (arguments, environment) = ([path.cast_mut(), std::ptr::null_mut()], [std::ptr::null_mut()]);
    // SAFETY: C strings, and lists of them that a null ends; the child's number has a place.
    let spawned = unsafe {
        let (actions, attributes) = (std::ptr::null(), std::ptr::null());
        libc::posix_spawn(&mut pid, path, actions, attributes, arguments.as_ptr(), environment.as_ptr())
    };
    assert_eq!(spawned, 0, "a process");
    wait(pid);
}
