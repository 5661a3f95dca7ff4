//! The way that a process goes to its next sleep, on which others like it follow in few moves.

use std::collections::HashMap;
use std::time::Duration;

use crate::tracee::{Tracee, is_asleep_anywhere};

/// The instructions that it executes.
pub(crate) struct Path {
    places: Vec<usize>,
    /// For each, after which one it does not come by it before.
    earliest: Vec<usize>,
}

const TRAP: u8 = 0xcc;
/// Where ptrace has the address of the next instruction. Elsewhere none is known: all are taken for one, so that every way is stepped.
const COUNTER: Option<usize> = {
    #[cfg(target_arch = "x86_64")]
    let counter = Some(std::mem::offset_of!(libc::user_regs_struct, rip));
    #[cfg(not(target_arch = "x86_64"))]
    let counter = None;
    counter
};

impl Path {
    /// Steps it until it sleeps.
    pub(crate) fn record(tracee: &Tracee) -> Self {
        let mut path = Self { places: vec![place(tracee)], earliest: vec![0] };
        let mut last = HashMap::from([(path.places[0], 0)]);
        while tracee.step(1) == 1 {
            let place = place(tracee);
            path.earliest.push(last.insert(place, path.places.len()).map_or(0, |at: usize| at + 1));
            path.places.push(place);
        }
        path
    }

    /// After so many instructions it sleeps.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Leads one that is at the beginning over so many instructions: by breakpoints, each as far on as there is one that it comes by for
    /// the first time; by steps where there is none. False: it took another way, and may not be stopped.
    pub(crate) fn lead(&self, tracee: &Tracee, count: usize) -> bool {
        let mut at = 0;
        while at < count {
            let farthest = (at + 2..=count).rev().find(|&next| self.earliest[next] <= at);
            let next = farthest.unwrap_or(at + 1);
            let has_moved =
                if farthest.is_some() { run_to(tracee, self.places[next]) } else { tracee.step(1) == 1 };
            if !has_moved || place(tracee) != self.places[next] {
                return false;
            }
            at = next;
        }
        true
    }
}

fn request(tracee: &Tracee, request: libc::c_uint, address: usize, value: usize) {
    // SAFETY: the requests made here write the process only, or the place that `value` points to.
    let result = unsafe { libc::syscall(libc::SYS_ptrace, request, tracee.pid(), address, value) };
    assert!(result >= 0, "ptrace: {}", std::io::Error::last_os_error());
}

fn read(tracee: &Tracee, what: libc::c_uint, address: usize) -> usize {
    let mut word = 0usize;
    request(tracee, what, address, (&raw mut word).addr());
    word
}

/// The instruction that it will execute next.
fn place(tracee: &Tracee) -> usize {
    COUNTER.map_or(0, |counter| read(tracee, libc::PTRACE_PEEKUSER, counter))
}

/// Runs it to the next time that it comes to an instruction. False: it sleeps, or stopped elsewhere.
fn run_to(tracee: &Tracee, address: usize) -> bool {
    let Some(counter) = COUNTER else { return false };
    let (start, byte) = (address & !7, address & 7);
    let own = read(tracee, libc::PTRACE_PEEKDATA, start);
    let mut trapped = own.to_ne_bytes();
    trapped[byte] = TRAP;
    request(tracee, libc::PTRACE_POKEDATA, start, usize::from_ne_bytes(trapped));
    request(tracee, libc::PTRACE_CONT, 0, 0);
    // It may only be waiting for a CPU.
    while !tracee.stopped(Duration::from_millis(20)) {
        if is_asleep_anywhere(tracee.pid() as u32) {
            return false;
        }
    }
    request(tracee, libc::PTRACE_POKEDATA, start, own);
    request(tracee, libc::PTRACE_POKEUSER, counter, place(tracee) - 1);
    true
}
