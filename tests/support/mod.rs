//! Runs cases that fork: each in a child of its own, under a watchdog that kills the whole process group.
//! A case must leave no process behind. The watchdog measures the time since the last [`progress`], so that a long case on a loaded machine is not
//! taken for one that hangs.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Far above what any case takes, or a step of one that tells of its [`progress`]: it only ends what hangs.
const WATCHDOG: Duration = Duration::from_secs(120);

/// A test's name, which is the promise, and the test.
pub(crate) type Case = (&'static str, fn());

/// Runs the cases whose names contain the program's first argument, and leaves the process.
pub(crate) fn run(cases: &[Case]) -> ! {
    let filter = std::env::args().nth(1).filter(|argument| !argument.starts_with('-')).unwrap_or_default();
    // SAFETY: no pointers; orphans of a case come to us.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let (mut passed, mut failed) = (0, 0);
    for &(name, case) in cases.iter().filter(|(name, _)| name.contains(&filter)) {
        let started = Instant::now();
        let outcome = run_case(case);
        let taken = started.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("ok   {name} ({taken:.2} s)");
            }
            Err(why) => {
                failed += 1;
                println!("FAIL {name}: {why}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}

/// How often the cases have told that they go on. Shared with all of their processes.
fn steps() -> &'static AtomicU64 {
    static STEPS: OnceLock<&AtomicU64> = OnceLock::new();
    STEPS.get_or_init(shared_count)
}

/// Tells the watchdog that the case goes on: to be called after each of many steps.
pub(crate) fn progress() {
    steps().fetch_add(1, Ordering::Relaxed);
}

fn run_case(case: fn()) -> Result<(), String> {
    steps().store(0, Ordering::Relaxed);
    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: no pointers.
        unsafe { libc::setpgid(0, 0) };
        let good = catch_unwind(|| {
            case();
            let fastest = FASTEST_WAKE.load(Ordering::Relaxed);
            assert!(
                fastest == u64::MAX || fastest < 240_000_000,
                "nobody was woken: all were found by looking"
            );
        })
        .is_ok();
        // SAFETY: the child of the test ends here.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let mut status = 0;
    let (mut done, mut since) = (0, Instant::now());
    loop {
        // SAFETY: a place for the result.
        if unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == child {
            break;
        }
        let now_done = steps().load(Ordering::Relaxed);
        if now_done != done {
            (done, since) = (now_done, Instant::now());
        }
        if since.elapsed() > WATCHDOG {
            tell_where_all_are();
            // SAFETY: the group of our own child.
            unsafe { libc::kill(-child, libc::SIGKILL) };
            // SAFETY: a place for the result.
            unsafe { libc::waitpid(child, &mut status, 0) };
            collect_rest(child);
            return Err(format!("hangs after {done} steps"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let left = collect_rest(child);
    if !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) != 0 {
        return Err(format!("wait status {status:#x}"));
    }
    if left > 0 {
        return Err(format!("{left} processes outlived it"));
    }
    Ok(())
}

/// Ends what a case left behind; how many there were that had to be killed.
fn collect_rest(group: i32) -> usize {
    // What was ending when the case ended may take a second, on a loaded machine some.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut killed = 0;
    loop {
        // SAFETY: no place for the result is given.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            -1 => return killed,
            0 if Instant::now() > deadline => {
                for pid in children() {
                    killed += 1;
                    // SAFETY: our own children.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                }
                // SAFETY: the group of our own child.
                unsafe { libc::kill(-group, libc::SIGKILL) };
                std::thread::sleep(Duration::from_millis(20));
            }
            0 => std::thread::sleep(Duration::from_millis(1)),
            _ => {}
        }
    }
}

/// Prints what each process below this one waits for, as far as the kernel tells it.
fn tell_where_all_are() {
    let mut pids = children();
    while let Some(pid) = pids.pop() {
        let told = |what: &str| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
        println!(
            "     process {pid}: {:?}, in {}, call {}",
            state(pid as u32),
            told("wchan"),
            told("syscall").trim()
        );
        print!("{}", told("stack"));
        let below = told(&format!("task/{pid}/children"));
        pids.extend(below.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
}

fn children() -> Vec<i32> {
    let listed = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    listed.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Open descriptors and mappings of this process.
pub(crate) fn resources() -> (usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").count();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    // The heap and the stack may grow or split by themselves; what forq maps is shared or has no name.
    (descriptors, maps.lines().filter(|line| line.contains("/dev/zero")).count())
}

/// Waits until something is so; fails after a time far above what it takes.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process of this id exists, and is not just waiting to be collected.
pub(crate) fn is_running(pid: u32) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

/// The shortest time, in nanoseconds, in which a sleeper of this case was gone after it had to be woken.
static FASTEST_WAKE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Notes that a sleeper that had to be woken at `started` is gone. Sleepers look by themselves after 250 ms; the
/// fastest of a case must have been faster. (Each of them: the crash points, where nobody looks.)
pub(crate) fn note_wake(started: Instant) {
    FASTEST_WAKE.fetch_min(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
}

fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// Whether a process sleeps in a futex call.
pub(crate) fn is_asleep(pid: u32) -> bool {
    let Ok(line) = std::fs::read_to_string(format!("/proc/{pid}/syscall")) else { return false };
    let call = line.split_ascii_whitespace().next().and_then(|number| number.parse().ok());
    matches!(call, Some(libc::SYS_futex | libc::SYS_futex_waitv)) && state(pid) == Some('S')
}

/// Whether a worker of a pool has begun. One that ends before counts as one that cannot: five of them in a row, with no other left, are the pool's end.
pub(crate) fn has_begun(worker: i32) -> bool {
    worker != 0
        && std::fs::read_to_string(format!("/proc/{worker}/comm")).is_ok_and(|name| name == "forq-worker\n")
}

/// Whether a process is stopped by a signal.
pub(crate) fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// Runs it in a child in which any system call but the end is deadly.
pub(crate) fn allows_no_system_call(body: impl FnOnce()) {
    allows_no_system_call_after(|| (), |()| body());
}

/// As [`allows_no_system_call`], after a part in which they are allowed.
pub(crate) fn allows_no_system_call_after<T>(before: impl FnOnce() -> T, body: impl FnOnce(T)) {
    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        let prepared = before();
        // SAFETY: no pointers. The strict mode of seccomp leaves read, write, exit and sigreturn.
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
        let good = catch_unwind(AssertUnwindSafe(|| body(prepared))).is_ok();
        // SAFETY: the child ends here; `_exit` is another call, which is not allowed.
        unsafe { libc::syscall(libc::SYS_exit, i32::from(!good)) };
    }
    let mut status = 0;
    // SAFETY: a place for the result.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0, "a system call was made, or it failed");
}

/// Sends a signal to a process of this test.
pub(crate) fn send(pid: u32, signal: i32) {
    // SAFETY: no pointers.
    unsafe { libc::kill(pid as i32, signal) };
}

/// Counts from here on the panics of this process and of those forked later, before anything else is done about one: whoever panics
/// may be killed before it has ended.
pub(crate) fn count_panics() -> &'static AtomicU64 {
    let count = shared_count();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |why| {
        count.fetch_add(1, Ordering::Relaxed);
        usual(why);
    }));
    count
}

/// 0, in memory that this process shares with those forked later.
fn shared_count() -> &'static AtomicU64 {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, of zeroes, which stays.
    unsafe {
        let page = libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast::<AtomicU64>()
    }
}

/// A small generator of pseudo-random numbers (xorshift64*, S. Vigna 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}
