//! The way that a process goes to its next sleep, on which others like it follow in few moves.

use std::collections::HashMap;
use std::time::Duration;

use crate::support::{eventually, is_running};
use crate::tracee::{Tracee, is_asleep_anywhere};

/// The instructions that it executes.
pub(crate) struct Path {
    places: Vec<usize>,
    /// For each, after which one it does not come by it before.
    earliest: Vec<usize>,
    /// Those that are not jumped across: see [`Call`].
    calls: Vec<usize>,
}

/// A system call after which there are others to be thought of.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "there, all are stepped"))]
enum Call {
    /// It forks: the child would have our breakpoint too.
    Fork,
    /// It kills a process, which may take its time to die: all wait for that, so that all go the same way from there.
    Kill(u32),
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
    /// Steps it until it sleeps with all done that it was to do.
    pub(crate) fn record(tracee: &Tracee, is_over: impl Fn() -> bool) -> Self {
        let mut path = Self { places: vec![place(tracee)], earliest: vec![0], calls: vec![] };
        let mut last = HashMap::from([(path.places[0], 0)]);
        while let Some(is_call) = step(tracee, &is_over) {
            if is_call {
                path.calls.push(path.places.len() - 1);
            }
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
    /// the first time; by steps where there is none, and from where it takes another way. How many they were: fewer if it sleeps, with all done,
    /// and may then not be let go.
    pub(crate) fn lead(&self, tracee: &Tracee, count: usize, is_over: impl Fn() -> bool) -> usize {
        let mut at = 0;
        while at < count {
            let next_call = self.calls.get(self.calls.partition_point(|&call| call < at));
            let to = next_call.map_or(count, |&call| call.min(count)).min(self.places.len() - 1);
            if let Some(next) = (at + 2..=to).rev().find(|&next| self.earliest[next] <= at) {
                match run_to(tracee, self.places[next], &is_over) {
                    Stop::There => at = next,
                    Stop::Asleep => return at,
                    Stop::Elsewhere => return at + tracee.step_until(count - at, &is_over),
                }
                continue;
            }
            if step(tracee, &is_over).is_none() {
                return at;
            }
            at += 1;
            if self.places.get(at) != Some(&place(tracee)) {
                return at + tracee.step_until(count - at, &is_over);
            }
        }
        count
    }
}

/// One instruction: whether it was one of those calls; `None`: it sleeps, with all done.
fn step(tracee: &Tracee, is_over: impl Fn() -> bool) -> Option<bool> {
    let call = next_call(tracee);
    if tracee.step_until(1, is_over) == 0 {
        return None;
    }
    if let Some(Call::Kill(pid)) = call {
        eventually("it is dead", || !is_running(pid));
    }
    Some(call.is_some())
}

#[cfg(target_arch = "x86_64")]
const FORKS: [libc::c_long; 4] = [libc::SYS_fork, libc::SYS_vfork, libc::SYS_clone, libc::SYS_clone3];

/// Whether it stands in a call that forks.
#[cfg(target_arch = "x86_64")]
fn is_forking(tracee: &Tracee) -> bool {
    let call = std::mem::offset_of!(libc::user_regs_struct, orig_rax);
    FORKS.contains(&(read(tracee, libc::PTRACE_PEEKUSER, call) as libc::c_long))
}

#[cfg(not(target_arch = "x86_64"))]
fn is_forking(_: &Tracee) -> bool {
    false
}

/// Which of those calls it makes next.
#[cfg(target_arch = "x86_64")]
fn next_call(tracee: &Tracee) -> Option<Call> {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    use std::mem::offset_of;
    if !read(tracee, libc::PTRACE_PEEKDATA, place(tracee)).to_ne_bytes().starts_with(&SYSCALL) {
        return None;
    }
    let register = |at| read(tracee, libc::PTRACE_PEEKUSER, at);
    match register(offset_of!(libc::user_regs_struct, rax)) as libc::c_long {
        call if FORKS.contains(&call) => Some(Call::Fork),
        libc::SYS_kill if register(offset_of!(libc::user_regs_struct, rsi)) == libc::SIGKILL as usize => {
            Some(Call::Kill(register(offset_of!(libc::user_regs_struct, rdi)) as u32))
        }
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn next_call(_: &Tracee) -> Option<Call> {
    None
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

/// Where a run to an instruction ended.
enum Stop {
    There,
    /// With all done; the breakpoint is still there.
    Asleep,
    /// On another way, before a fork at the latest.
    Elsewhere,
}

/// Runs it to the next time that it comes to an instruction.
fn run_to(tracee: &Tracee, address: usize, is_over: impl Fn() -> bool) -> Stop {
    let Some(counter) = COUNTER else { return Stop::Elsewhere };
    let (start, byte) = (address & !7, address & 7);
    let own = read(tracee, libc::PTRACE_PEEKDATA, start);
    let mut trapped = own.to_ne_bytes();
    trapped[byte] = TRAP;
    request(tracee, libc::PTRACE_POKEDATA, start, usize::from_ne_bytes(trapped));
    loop {
        request(tracee, libc::PTRACE_SYSCALL, 0, 0);
        // It may only be waiting for a CPU, or for what it has to do.
        while !tracee.stopped(Duration::from_millis(20)) {
            if is_over() && is_asleep_anywhere(tracee.pid() as u32) {
                return Stop::Asleep;
            }
        }
        let is_there = place(tracee) == address + 1;
        if !is_there && !is_forking(tracee) {
            continue;
        }
        request(tracee, libc::PTRACE_POKEDATA, start, own);
        if !is_there {
            return Stop::Elsewhere;
        }
        request(tracee, libc::PTRACE_POKEUSER, counter, address);
        return Stop::There;
    }
}
