//! What processes promise to Rust programs.

mod support;

use std::os::unix::fs::MetadataExt;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use forq::{Error, ExitStatus, Mutex, Process, ProcessOptions, Shared};
use support::{eventually, is_running, resources};

fn main() {
    support::run(&[
        ("a_child_may_borrow_and_its_value_is_its_exit_code", exit_codes),
        ("a_signal_is_told_from_a_code", signalled),
        ("joining_again_gives_the_same_answer", join_again),
        ("a_time_limit_ends_the_wait_and_not_the_child", time_limit),
        ("a_panic_ends_only_the_child", panicking),
        ("forking_beside_other_threads_is_refused", beside_threads),
        ("a_thread_that_was_just_joined_is_no_other_thread", beside_remains_of_threads),
        ("a_process_that_is_dropped_runs_on", dropped),
        ("signals_never_reach_another_process", signal_after_end),
        ("a_forked_child_may_ask_but_not_join", joined_by_a_child),
        ("a_daemon_ends_with_its_parent_process", daemon),
        ("a_daemon_outlives_the_thread_that_spawned_it", daemon_of_a_thread),
        ("a_host_that_reaps_everything_still_leaves_the_true_status", reaped_by_the_host),
        ("a_host_that_ignores_sigchld_still_gets_the_status", sigchld_ignored),
        ("a_child_that_others_collect_at_once_is_still_ours", collected_at_once),
        ("a_daemon_of_a_thread_that_blocks_all_signals_ends_too", daemon_of_a_blocking_thread),
        ("options_do_what_they_say", options),
        ("two_hundred_processes_leave_nothing_behind", no_leaks),
        ("what_was_printed_before_the_fork_is_printed_once", printed_once),
    ]);
}

fn exit_codes() {
    let local = String::from("borrowed");
    let mut child = Process::spawn(|| local.len() as i32).unwrap();
    assert_eq!(child.join().unwrap(), ExitStatus::Exited(8));
    assert_eq!(Process::spawn(|| 300).unwrap().join().unwrap(), ExitStatus::Exited(44));
    assert_eq!(Process::spawn(|| -1).unwrap().join().unwrap(), ExitStatus::Exited(255));
    assert_eq!(Process::spawn(|| 7u8).unwrap().join().unwrap(), ExitStatus::Exited(7));
    assert!(Process::spawn(|| ()).unwrap().join().unwrap().success());
    assert!(Process::spawn(|| Ok::<(), Error>(())).unwrap().join().unwrap().success());
    assert_eq!(Process::spawn(|| Err::<(), _>("no")).unwrap().join().unwrap(), ExitStatus::Exited(1));
}

fn sleeper() -> Process {
    Process::spawn(|| std::thread::sleep(Duration::from_secs(1000))).unwrap()
}

fn signalled() {
    let mut child = sleeper();
    assert!(child.is_alive());
    assert!(is_running(child.pid()));
    child.terminate().unwrap();
    assert_eq!(child.join().unwrap(), ExitStatus::Signaled(libc::SIGTERM));
    assert!(!child.is_alive());
}

fn join_again() {
    let mut child = Process::spawn(|| 3).unwrap();
    for _ in 0..3 {
        assert_eq!(child.join().unwrap(), ExitStatus::Exited(3));
        assert_eq!(child.join_timeout(Duration::ZERO).unwrap(), ExitStatus::Exited(3));
        assert_eq!(child.try_join().unwrap(), Some(ExitStatus::Exited(3)));
    }
}

fn time_limit() {
    let mut child = sleeper();
    assert_eq!(child.try_join().unwrap(), None);
    assert_eq!(child.join_timeout(Duration::ZERO), Err(Error::WouldBlock));
    let started = Instant::now();
    assert_eq!(child.join_timeout(Duration::from_millis(20)), Err(Error::TimedOut));
    assert!(started.elapsed() >= Duration::from_millis(20));
    assert!(child.is_alive());
    child.kill().unwrap();
    assert_eq!(child.join_timeout(Duration::MAX).unwrap(), ExitStatus::Signaled(libc::SIGKILL));
}

fn panicking() {
    let mut child = Process::spawn(|| -> i32 {
        std::panic::set_hook(Box::new(|_| ()));
        panic!("only here")
    })
    .unwrap();
    assert_eq!(child.join().unwrap(), ExitStatus::Exited(101));
}

fn beside_threads() {
    let stop = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while stop.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(Process::spawn(|| ()).unwrap_err(), Error::MultiThreaded);
        // SAFETY: the child only leaves.
        let mut child = unsafe { Process::spawn_unchecked(|| 4) }.unwrap();
        assert_eq!(child.join().unwrap(), ExitStatus::Exited(4));
        stop.store(1, Ordering::Relaxed);
    });
    eventually("the thread is gone", || Process::spawn(|| ()).is_ok_and(|mut child| child.join().is_ok()));
}

fn beside_remains_of_threads() {
    let mut met = 0;
    for _ in 0..500 {
        let thread = std::thread::spawn(|| ()).into_pthread_t();
        // Joined without sleep: so soon the kernel is often not yet done with it.
        // SAFETY: a thread that nobody has joined; its value is not asked for.
        while unsafe { libc::pthread_tryjoin_np(thread, std::ptr::null_mut()) } != 0 {
            std::hint::spin_loop();
        }
        met += u32::from(std::fs::metadata("/proc/self/task").unwrap().nlink() > 3);
        assert!(Process::spawn(|| ()).unwrap().join().unwrap().success());
        support::progress();
    }
    let alone = std::thread::available_parallelism().unwrap().get() == 1;
    assert!(met > 0 || alone, "no thread was seen after it was joined");
}

fn dropped() {
    let ran = Shared::new(AtomicU32::new(0)).unwrap();
    let child = Process::spawn(|| {
        std::thread::sleep(Duration::from_millis(30));
        ran.store(1, Ordering::Relaxed);
    })
    .unwrap();
    drop(child);
    eventually("it ran on", || ran.load(Ordering::Relaxed) == 1);
}

fn signal_after_end() {
    let mut child = Process::spawn(|| ()).unwrap();
    eventually("it has ended", || !child.is_alive());
    assert_eq!(child.kill(), Err(Error::NoSuchProcess), "not yet joined");
    child.join().unwrap();
    assert_eq!(child.signal(0), Err(Error::NoSuchProcess));
    let living = sleeper();
    assert_eq!(living.signal(9999), Err(Error::InvalidArgument));
    living.kill().unwrap();
}

fn joined_by_a_child() {
    let mut child = sleeper();
    let mut other = Process::spawn(|| {
        let refused = child.join() == Err(Error::NotPermitted) && child.is_alive();
        child.kill().unwrap();
        i32::from(refused)
    })
    .unwrap();
    assert_eq!(other.join().unwrap(), ExitStatus::Exited(1));
    assert_eq!(child.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
}

fn daemon() {
    let pid = Shared::new(AtomicU32::new(0)).unwrap();
    let mut parent = Process::spawn(|| {
        let options = ProcessOptions::new().daemon(true);
        let child = options.spawn(|| std::thread::sleep(Duration::from_secs(1000))).unwrap();
        pid.store(child.pid(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(1000));
    })
    .unwrap();
    eventually("it was spawned", || pid.load(Ordering::Relaxed) != 0);
    std::thread::sleep(Duration::from_millis(20));
    assert!(is_running(pid.load(Ordering::Relaxed)));
    parent.kill().unwrap();
    parent.join().unwrap();
    eventually("the daemon ends", || !is_running(pid.load(Ordering::Relaxed)));
}

fn daemon_of_a_thread() {
    let mut child = std::thread::spawn(|| {
        let options = ProcessOptions::new().daemon(true);
        // SAFETY: the child only sleeps.
        unsafe { options.spawn_unchecked(|| std::thread::sleep(Duration::from_secs(1000))) }.unwrap()
    })
    .join()
    .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(child.is_alive());
    child.kill().unwrap();
    child.join().unwrap();
}

fn kernel_tells_afterwards() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).filter_map(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

fn reaped_by_the_host() {
    let mut child = Process::spawn(|| 9).unwrap();
    let mut status = 0;
    // SAFETY: a place for the result.
    assert_eq!(unsafe { libc::waitpid(-1, &mut status, 0) }, child.pid() as i32);
    let told = if kernel_tells_afterwards() { ExitStatus::Exited(9) } else { ExitStatus::Unknown };
    assert_eq!(child.join().unwrap(), told);
    assert!(!child.is_alive());
}

fn sigchld_ignored() {
    // SAFETY: not a handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let mut child = sleeper();
    child.kill().unwrap();
    let told =
        if kernel_tells_afterwards() { ExitStatus::Signaled(libc::SIGKILL) } else { ExitStatus::Unknown };
    assert_eq!(child.join().unwrap(), told);
}

fn collected_at_once() {
    // SAFETY: not a handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let told = |code| if kernel_tells_afterwards() { ExitStatus::Exited(code) } else { ExitStatus::Unknown };
    for code in 0..200 {
        assert_eq!(Process::spawn(move || code).unwrap().join().unwrap(), told(code));
    }
}

fn daemon_of_a_blocking_thread() {
    let pid = Shared::new(AtomicU32::new(0)).unwrap();
    let mut parent = Process::spawn(|| {
        // SAFETY: a set that is filled before it is used.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
        }
        let child = ProcessOptions::new()
            .daemon(true)
            .spawn(|| std::thread::sleep(Duration::from_secs(1000)))
            .unwrap();
        pid.store(child.pid(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(1000));
    })
    .unwrap();
    eventually("it was spawned", || pid.load(Ordering::Relaxed) != 0);
    parent.kill().unwrap();
    parent.join().unwrap();
    eventually("the daemon ends", || !is_running(pid.load(Ordering::Relaxed)));
}

fn options() {
    let report = Shared::new(Mutex::new([0i32; 3])).unwrap();
    let options = ProcessOptions::new().name(c"a-rather-long-name").own_group(true).nice(5);
    let mut child = options
        .spawn(|| {
            let name = std::fs::read_to_string("/proc/self/comm").unwrap();
            // SAFETY: no pointers.
            let (group, nice) = unsafe { (libc::getpgrp(), libc::getpriority(libc::PRIO_PROCESS, 0)) };
            *report.lock().unwrap() = [i32::from(name.trim() == "a-rather-long-n"), group, nice];
        })
        .unwrap();
    child.join().unwrap();
    // SAFETY: no pointers.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    assert_eq!(*report.lock().unwrap(), [1, child.pid() as i32, (nice + 5).min(19)]);
    assert_eq!(ProcessOptions::new().nice(40).spawn(|| ()).unwrap_err(), Error::InvalidArgument);
    assert_eq!(ProcessOptions::new().nice(i32::MIN).spawn(|| ()).unwrap_err(), Error::InvalidArgument);
}

fn no_leaks() {
    let before = resources();
    for code in 0..200u8 {
        let mut child = Process::spawn(move || code).unwrap();
        assert_eq!(child.join().unwrap(), ExitStatus::Exited(code));
    }
    assert_eq!(resources(), before);
    // SAFETY: no place for the result.
    assert_eq!(unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) }, -1, "all were collected");
}

fn printed_once() {
    let path = std::env::temp_dir().join(format!("forq-printed-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    let mut printer = Process::spawn(|| {
        use std::os::fd::AsRawFd;
        // SAFETY: both descriptors are open.
        unsafe { libc::dup2(file.as_raw_fd(), 1) };
        print!("parent;");
        // SAFETY: a C string.
        unsafe { libc::printf(c"c-parent;".as_ptr()) };
        let mut children: Vec<_> =
            (0..4).map(|index| Process::spawn(move || print!("child{index};")).unwrap()).collect();
        children.iter_mut().for_each(|child| assert!(child.join().unwrap().success()));
    })
    .unwrap();
    assert!(printer.join().unwrap().success());
    let printed = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for text in ["parent;", "child0;", "child1;", "child2;", "child3;"] {
        let times = printed.matches(text).count() - usize::from(text == "parent;");
        assert_eq!(times, 1, "{text} in {printed}");
    }
}
