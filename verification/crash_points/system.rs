//! System calls as the harness uses them: processes that cannot outlive it, waits that end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Whatever waits longer has lost its wake-up.
pub(super) const WATCHDOG: Duration = Duration::from_secs(10);
/// Between two looks: so long at most, and no more is counted of the time in which this process itself did not run.
const GLANCE: Duration = Duration::from_millis(100);

/// A limit on waiting that does not run out while the whole machine, or this process, stands still.
pub(super) struct Watchdog {
    left: Duration,
    seen: Instant,
}

impl Watchdog {
    pub(super) fn new(limit: Duration) -> Self {
        Self { left: limit, seen: Instant::now() }
    }

    /// How long to wait until the next look; `None`: it bites.
    pub(super) fn patience(&mut self) -> Option<Duration> {
        let passed = self.seen.elapsed();
        self.seen += passed;
        self.left = self.left.saturating_sub(passed.min(GLANCE));
        (!self.left.is_zero()).then(|| self.left.min(GLANCE))
    }
}

/// Children that have not been waited for: no other process is ever signalled.
fn children() -> MutexGuard<'static, Vec<i32>> {
    static CHILDREN: Mutex<Vec<i32>> = Mutex::new(Vec::new());
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Exited(i32),
    Killed(i32),
    Stopped(i32),
}

/// Forks a child that runs `body` and exits with the code it returns; it is killed when its parent dies.
pub(super) fn fork(body: impl FnOnce() -> i32) -> i32 {
    let parent = std::process::id() as i32;
    // SAFETY: the harness's processes are single-threaded.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid != 0 {
        children().push(pid);
        return pid;
    }
    children().clear();
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: no arguments.
    let orphaned = unsafe { libc::getppid() } != parent;
    let code = if orphaned { 1 } else { catch_unwind(AssertUnwindSafe(body)).unwrap_or(101) };
    // SAFETY: never returns; the parent's buffers and destructors are the parent's.
    unsafe { libc::_exit(code) }
}

/// What has changed about the child since the last look, without waiting.
pub(super) fn look(pid: i32) -> Option<Change> {
    wait_for(pid, libc::WNOHANG)
}

/// Waits for the next stop of a traced child that cannot be blocked.
pub(super) fn wait_stop(pid: i32) -> Option<Change> {
    wait_for(pid, 0)
}

fn wait_for(pid: i32, flags: i32) -> Option<Change> {
    let mut status = 0;
    // SAFETY: `status` is a place for the result.
    let result = unsafe { libc::waitpid(pid, &mut status, flags | libc::__WALL) };
    let change = if result != pid {
        return None;
    } else if libc::WIFEXITED(status) {
        Change::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Change::Killed(libc::WTERMSIG(status))
    } else {
        return Some(Change::Stopped(libc::WSTOPSIG(status)));
    };
    children().retain(|&child| child != pid);
    Some(change)
}

/// Waits for a change of the child; `None` when the watchdog bites. Needs [`hold_child_signals`].
pub(super) fn wait(pid: i32) -> Option<Change> {
    let mut watchdog = Watchdog::new(WATCHDOG);
    let signals = child_signals();
    loop {
        if let Some(change) = look(pid) {
            return Some(change);
        }
        let patience = timespec(watchdog.patience()?);
        // SAFETY: the set and the time are valid; no information is asked for.
        unsafe { libc::sigtimedwait(&signals, std::ptr::null_mut(), &patience) };
    }
}

/// Keeps SIGCHLD pending, for [`wait`] to take.
pub(super) fn hold_child_signals() {
    // SAFETY: a valid set; the old one is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &child_signals(), std::ptr::null_mut()) };
}

fn child_signals() -> libc::sigset_t {
    // SAFETY: an initialised set of one signal.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        set
    }
}

/// Kills a child of ours and waits until it is gone, its locks with it. False: the watchdog bit. One that has been
/// waited for is gone already; its id may be another's by now.
pub(super) fn kill_and_reap(pid: i32) -> bool {
    if !children().contains(&pid) {
        return true;
    }
    // SAFETY: no pointers; the child has not been waited for, so the id is its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    loop {
        match wait(pid) {
            Some(Change::Stopped(_)) => {}
            Some(_) => return true,
            None => return false,
        }
    }
}

/// Ends the children that are left, so that no failure outlives its case; how many there were.
pub(super) fn end_children() -> usize {
    let left = children().clone();
    for &pid in &left {
        kill_and_reap(pid);
    }
    left.len()
}

/// Whether this process has children, zombies included.
pub(super) fn has_children() -> bool {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: a place for the result.
    unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) == 0 }
}

/// Whether the process is asleep in a futex call on the word at `address`.
pub(super) fn is_asleep(pid: i32, address: usize) -> bool {
    let Ok(line) = std::fs::read_to_string(format!("/proc/{pid}/syscall")) else { return false };
    let mut fields = line.split_ascii_whitespace();
    let call = fields.next().and_then(|field| field.parse().ok());
    let word = fields.next().and_then(|field| usize::from_str_radix(field.trim_start_matches("0x"), 16).ok());
    // One that is stopped on its way out of the call looks the same here.
    call == Some(libc::SYS_futex) && word == Some(address) && state(pid) == Some('S')
}

/// Whether the process is asleep in any futex call.
pub(super) fn is_asleep_anywhere(pid: i32) -> bool {
    let Ok(line) = std::fs::read_to_string(format!("/proc/{pid}/syscall")) else { return false };
    let call = line.split_ascii_whitespace().next().and_then(|field| field.parse().ok());
    matches!(call, Some(libc::SYS_futex | libc::SYS_futex_waitv)) && state(pid) == Some('S')
}

fn state(pid: i32) -> Option<char> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    line.rsplit_once(") ")?.1.chars().next()
}

/// Repeats `done` until it says something or the watchdog bites.
pub(super) fn poll<T>(mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let mut watchdog = Watchdog::new(WATCHDOG);
    for round in 0u64.. {
        if let Some(result) = done() {
            return Some(result);
        }
        if watchdog.patience().is_none() {
            break;
        }
        match round {
            // With the real bound time matters, and on a busy CPU a yield lasts as long as a whole slice of another's.
            0..50 if cfg!(forq_long_sleeps) => std::thread::yield_now(),
            _ => std::thread::sleep(Duration::from_micros(if round < 50 { 20 } else { MOMENT })),
        }
    }
    None
}

/// Between two looks, in microseconds: short, unless everybody waits for the real bound.
const MOMENT: u64 = if cfg!(forq_long_sleeps) { 5 } else { 1000 };

/// Lets others run for a moment.
pub(super) fn breathe() {
    std::thread::sleep(Duration::from_micros(MOMENT));
}

/// A cue between processes: nought, then another value.
pub(super) fn give(cue: &AtomicU32, value: u32) {
    // Release pairs with the Acquire of `await_cue`.
    cue.store(value, Ordering::Release);
    // SAFETY: the kernel uses the address as a key.
    unsafe { libc::syscall(libc::SYS_futex, cue.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// Waits for a cue; `None` when the watchdog bites.
pub(super) fn await_cue(cue: &AtomicU32, limit: Duration) -> Option<u32> {
    let mut watchdog = Watchdog::new(limit);
    loop {
        match cue.load(Ordering::Acquire) {
            0 => {}
            value => return Some(value),
        }
        let patience = timespec(watchdog.patience()?);
        // SAFETY: the word and the time are valid during the call.
        unsafe {
            libc::syscall(libc::SYS_futex, cue.as_ptr(), libc::FUTEX_WAIT, 0, &patience, null::<u32>(), 0)
        };
    }
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec { tv_sec: time.as_secs() as libc::time_t, tv_nsec: i64::from(time.subsec_nanos()) }
}

/// Stays on one of the CPUs that it may use, and so do its children: handing over from one process to
/// another is cheaper then, and no more than one of them needs to run at a time.
pub(super) fn stay_on_cpu(index: usize) {
    // Of the whole run, not of a process that stays already.
    static ALLOWED: OnceLock<Vec<usize>> = OnceLock::new();
    // SAFETY: sets of the size that is said, integers.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of_val(&set);
        let cpus = ALLOWED.get_or_init(|| {
            libc::sched_getaffinity(0, size, &mut set);
            (0..8 * size).filter(|&cpu| libc::CPU_ISSET(cpu, &set)).collect()
        });
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        if !cpus.is_empty() {
            libc::CPU_SET(cpus[index % cpus.len()], &mut one);
            libc::sched_setaffinity(0, size, &one);
        }
    }
}

/// Whether the process runs only when its CPU has nothing else to do.
pub(super) fn run_when_idle(pid: i32, idle: bool) {
    let policy = if idle { libc::SCHED_IDLE } else { libc::SCHED_OTHER };
    // SAFETY: integers.
    let none: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: a place that is read. Where it is refused the process is only slower.
    unsafe { libc::sched_setscheduler(pid, policy, &none) };
}

/// Short sleeps are short, and a new group that a sweep can end as a whole.
pub(super) fn become_group_leader() {
    // SAFETY: no pointers.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
        libc::setpgid(0, 0);
    }
}

/// Children of children that end come to this process.
pub(super) fn adopt_orphans() {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Whether the child ends in time. It is not waited for: its id stays its own.
pub(super) fn ends_before(pid: i32, end: Instant) -> bool {
    loop {
        // SAFETY: integers.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: a place for the result.
        let result = unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, flags) };
        // SAFETY: filled, or still zero, by the call.
        if result != 0 || unsafe { info.si_pid() } == pid {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends whatever is left of the group that a child of ours leads, and takes the remains: how the
/// leader ended, and how many others there were.
pub(super) fn sweep(leader: i32) -> (Option<Change>, usize) {
    // SAFETY: no pointers; the leader has not been waited for, so the group is its own.
    unsafe { libc::kill(-leader, libc::SIGKILL) };
    let end = wait(leader);
    let mut others = 0;
    // Orphans become our children as soon as their parent has ended.
    loop {
        let mut status = 0;
        // SAFETY: a place for the result.
        if unsafe { libc::waitpid(-leader, &mut status, libc::__WALL) } <= 0 {
            return (end, others);
        }
        others += 1;
    }
}
