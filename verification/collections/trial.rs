//! One operation: recorded, then killed at each point.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::operations::Operation;
use super::stage::{Contents, Stage};
use super::tracee::{Tracee, trap};

#[derive(Default)]
pub(super) struct Tally {
    pub(super) instructions: usize,
    pub(super) kills: usize,
    pub(super) recoveries: usize,
    /// Of both: those that did not go the recorded way up to their end. They are checked like the others.
    pub(super) strays: usize,
    pub(super) failures: usize,
}

/// Above what any check takes: the library's own bound on sleeps is 60 s in this build, so a death that is not told shows.
const WATCHDOG: u32 = 20;
/// After so many failures of an operation the rest is not tried.
const ENOUGH: usize = 3;

/// The way from one trap to the other.
struct Path {
    addresses: Vec<usize>,
    /// Before which instructions anything that outlives the victim is not what it was before the one before; the kernel may have changed what it keeps.
    points: Vec<usize>,
}

impl Path {
    /// Runs `act` to its end.
    fn record(stage: &Stage, act: &dyn Fn(&Stage)) -> Self {
        let mut path = Self { addresses: Vec::new(), points: Vec::new() };
        with_victim(stage, act, &mut |victim| {
            let (mut image, mut list) = (stage.copy(), victim.robust_list());
            let mut has_called = false;
            loop {
                let at = victim.at();
                let index = path.addresses.len();
                path.addresses.push(at);
                let now = victim.robust_list();
                if stage.follow(&mut image) | (now != list) | (index == 0) | has_called {
                    path.points.push(index);
                }
                (list, has_called) = (now, victim.is_system_call(at));
                if victim.is_at_end(at) {
                    path.points.push(index);
                    return;
                }
                victim.step();
            }
        });
        path
    }

    /// Runs `act` up to an instruction, and kills it there. False: it took another way.
    fn kill_at(&self, stage: &Stage, act: &dyn Fn(&Stage), point: usize) -> bool {
        let mut has_come = false;
        with_victim(stage, act, &mut |victim| {
            let mut at = 0;
            if let Some(anchor) = self.anchor(point) {
                if !victim.run_to(self.addresses[anchor]) {
                    return;
                }
                at = anchor;
            }
            while at < point && !victim.is_at_end(victim.at()) {
                victim.step();
                at += 1;
            }
            has_come = at == point && victim.at() == self.addresses[point];
        });
        has_come
    }

    /// The last instruction up to this one that is not on the way before it: so that a breakpoint stops at the right time.
    fn anchor(&self, point: usize) -> Option<usize> {
        let mut seen = HashSet::new();
        let first_times =
            self.addresses[..=point].iter().enumerate().filter(|&(_, address)| seen.insert(*address));
        first_times.last().map(|(index, _)| index).filter(|&index| index > 8)
    }
}

/// A path may differ: whoever unlocks after a death wakes nobody, and looks at the clock how long that has been so. It is tried again.
fn again(mut attempt: impl FnMut() -> bool) -> bool {
    (0..5).any(|_| attempt())
}

/// Lets `drive` drive a victim that runs `act`, then kills it. All are forked here, from the same place of the stack: what libc does with a buffer
/// depends on where that lies.
#[inline(never)]
fn with_victim(stage: &Stage, act: &dyn Fn(&Stage), drive: &mut dyn FnMut(&Tracee)) {
    on_own_stack(&mut || {
        let victim = Tracee::start(|| {
            // What is learnt of a thread at its first use of forq is not stepped through.
            let _ = forq::is_robust();
            trap();
            act(stage);
            trap();
        });
        drive(&victim);
    });
}

/// Calls `body` with the stack at the start of a page.
fn on_own_stack(body: &mut dyn FnMut()) {
    #[repr(align(4096))]
    struct Stack {
        _room: [u8; 1 << 20],
    }
    static mut STACK: Stack = Stack { _room: [0; 1 << 20] };
    extern "C" fn call(body: *mut &mut dyn FnMut()) {
        // SAFETY: what `on_own_stack` passed on.
        unsafe { (*body)() }
    }
    let mut body = body;
    let top = (&raw mut STACK).addr() + size_of::<Stack>();
    // SAFETY: this program has one thread, and does not nest these calls; the call returns to the stack that it came from. A panic
    // does not cross it: it would end the program, as it should.
    unsafe {
        core::arch::asm!(
            "mov r12, rsp",
            "mov rsp, {top}",
            "call {call}",
            "mov rsp, r12",
            top = in(reg) top,
            call = sym call,
            in("rdi") &raw mut body,
            out("r12") _,
            clobber_abi("C"),
        );
    }
}

pub(super) fn run(operation: &Operation, stride: usize, from: usize) -> Tally {
    let stage = Stage::new(operation.size, operation.prepare);
    let before = stage.look().expect("it is whole");
    stage.restore();
    (operation.act)(&stage);
    let after = stage.look().expect("it is whole");
    stage.restore();
    let path = Path::record(&stage, &operation.act);
    let mut tally = Tally { instructions: path.addresses.len() - 1, ..Tally::default() };
    for (number, &point) in path.points.iter().enumerate() {
        let goes_on = |tally: &mut Tally, result: Result<(), String>, kind: &str| {
            if let Err(why) = result {
                println!(
                    "FAILED {}: {kind} instruction {point} of {}: {why}",
                    operation.name, tally.instructions
                );
                tally.failures += 1;
            }
            tally.failures < ENOUGH
        };
        let killed = again(|| {
            stage.restore();
            path.kill_at(&stage, &operation.act, point)
        });
        tally.kills += 1;
        let left = stage.copy();
        tally.strays += usize::from(!killed);
        let result = check(&stage, &before, &after);
        if !goes_on(&mut tally, result, "killed before") {
            break;
        }
        if number % stride != from {
            continue;
        }
        // Whoever comes next is killed, too, and the next one finds what either left.
        stage.restore_to(&left);
        let next = Stage::touch;
        let recovery = Path::record(&stage, &next);
        // Once it has recovered, nothing but locks changes; a reader's later points are as its earlier ones.
        let most = if stride == 1 { usize::MAX } else { 100 };
        for &second in recovery.points.iter().take(most).step_by(2) {
            let killed = again(|| {
                stage.restore_to(&left);
                recovery.kill_at(&stage, &next, second)
            });
            tally.recoveries += 1;
            tally.strays += usize::from(!killed);
            let result = check(&stage, &before, &after);
            if !goes_on(&mut tally, result, &format!("recovery killed before {second}, after a death before"))
            {
                break;
            }
        }
    }
    tally
}

/// Whoever comes next finds one or the other, and can go on.
fn check(stage: &Stage, before: &Contents, after: &Contents) -> Result<(), String> {
    // SAFETY: no pointers.
    unsafe { libc::alarm(WATCHDOG) };
    let result = catch_unwind(AssertUnwindSafe(|| {
        let found = stage.look().map_err(|error| format!("look: {error}"))?;
        if found != *before && found != *after {
            return Err(format!("neither before nor after: {found:?}"));
        }
        stage.manager.__check().map_err(|error| format!("the account: {error}"))?;
        let (dict, list) = (stage.dict(), stage.list());
        let works = || {
            dict.set(b"afterwards", b"x")?;
            dict.remove(b"afterwards")?;
            list.push(b"afterwards")?;
            list.pop()
        };
        match works() {
            Ok(_) | Err(forq::Error::OutOfSpace) => {}
            Err(error) => return Err(format!("afterwards: {error}")),
        }
        stage.manager.__check().map_err(|error| format!("the account afterwards: {error}"))
    }));
    // SAFETY: no pointers.
    unsafe { libc::alarm(0) };
    result.unwrap_or_else(|_| Err("a check failed".into()))
}
