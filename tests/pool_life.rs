//! A pool's life as users of Python's know it: beside threads, within itself, at its end; and results of any size.

#[path = "support/gate.rs"]
mod gate;
mod support;

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use forq::{Error, Pool, Process, Shared, TaskError, fork_map, fork_map_bytes};
use support::{eventually, is_running, resources, send};

fn main() {
    support::run(&[
        ("the_default_pool_has_a_worker_for_each_cpu", default_size),
        ("inputs_may_be_changed_once_an_async_call_has_returned", inputs_are_copied),
        ("descriptors_open_at_the_start_stay_open_in_the_workers", descriptors),
        ("an_idle_worker_that_is_killed_is_replaced", killed_at_rest),
        ("jobs_of_many_threads_share_the_workers", many_threads),
        ("pools_may_be_made_in_tasks_and_end_with_them", nested),
        ("an_interrupt_ends_a_map_with_an_error_and_says_nothing", interrupt),
        ("what_is_copied_out_early_is_right_whatever_happens_later", early),
        ("a_map_takes_memory_for_its_arrays_and_little_more", memory),
        ("a_limit_of_address_space_leaves_room_beside_the_arena", limited),
        ("byte_strings_may_be_fetched_later", bytes_later),
        ("fork_map_bytes_captures_anything", captured_bytes),
    ]);
}

fn default_size() {
    let pool = Pool::new(0).unwrap();
    assert_eq!(pool.statistics().workers, forq::cpu_count() as u32);
    assert_eq!(pool.map(|x| x + 1, &[1u8, 2]).unwrap(), [2, 3]);
}

fn inputs_are_copied() {
    gate::close();
    let pool = Pool::new(1).unwrap();
    let mut inputs: Vec<u64> = (0..100_000).collect();
    let first = pool.apply_async(|x| (gate::pass(), *x).1, &7u64).unwrap();
    let later = pool.map_async(|x| x * 2, &inputs).unwrap();
    let bytes = pool.map_bytes_async(10, |input| input.to_vec(), &[String::from("kept")]).unwrap();
    inputs.fill(0);
    drop(inputs);
    assert!(!later.ready() && !bytes.ready());
    gate::open();
    assert_eq!(first.get(), Ok(7));
    assert!(later.get().unwrap().iter().zip(0..).all(|(double, x): (&u64, u64)| *double == 2 * x));
    assert_eq!(bytes.get().unwrap(), [b"kept"]);
}

fn descriptors() {
    let mut ends = [0; 2];
    // SAFETY: room for two.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: both are ours, and new.
    let [mut reader, writer] = ends.map(|end| unsafe { std::fs::File::from_raw_fd(end) });
    let pool = Pool::new(2).unwrap();
    let task = |&fd: &i32| {
        // SAFETY: three bytes that live as long as the call.
        unsafe { libc::write(fd, b"one".as_ptr().cast(), 3) as i64 }
    };
    assert_eq!(pool.map(task, &[writer.as_raw_fd(); 2]).unwrap(), [3, 3]);
    drop(writer);
    let mut said = [0; 6];
    reader.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"oneone");
    drop(pool);
    assert_eq!(reader.read(&mut said).unwrap(), 0, "the workers' copies ended with them");
}

fn killed_at_rest() {
    let pool = Pool::new(2).unwrap();
    for round in 1..=5 {
        let pid = pool.worker_statistics(0).unwrap().pid as u32;
        send(pid, libc::SIGKILL);
        eventually("it is replaced", || {
            let now = pool.worker_statistics(0).unwrap().pid as u32;
            now != 0 && now != pid && pool.statistics().replaced == round
        });
    }
    assert_eq!(pool.statistics().crashes, 0, "no item was lost");
    assert_eq!(pool.map(|x| x + 1, &[1u8; 100]).unwrap(), [2; 100]);
}

fn many_threads() {
    std::panic::set_hook(Box::new(|_| ()));
    let pool = Pool::new(2).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..6u64 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..20 {
                    let inputs: Vec<u64> = (0..500).map(|x| x + 1000 * thread + round).collect();
                    let pending: Vec<_> =
                        (0..4).map(|_| pool.map_async(|x| x * 3, &inputs).unwrap()).collect();
                    let bytes = pool.apply_bytes_async(9, |input| input.to_vec(), &[thread as u8]).unwrap();
                    let streamed: Vec<u64> =
                        pool.imap(|x| x + 1, inputs.clone(), 64).unwrap().collect::<Result<_, _>>().unwrap();
                    let crashed: Result<u8, _> = match round {
                        7 => pool.apply(|_| std::process::abort(), &0u8),
                        _ => pool.apply(|_| panic!("quietly"), &0u8),
                    };
                    assert!(matches!(crashed, Err(Error::Task { index: 0, .. })), "{crashed:?}");
                    assert!(streamed.iter().zip(&inputs).all(|(output, input)| *output == input + 1));
                    assert_eq!(bytes.get().unwrap(), [thread as u8]);
                    for result in pending.iter().rev() {
                        let outputs = result.get().unwrap();
                        assert!(outputs.iter().zip(&inputs).all(|(output, input)| *output == input * 3));
                    }
                }
            });
        }
    });
    assert_eq!(pool.statistics().crashes, 6);
}

fn nested() {
    static PIDS: std::sync::OnceLock<Shared<[AtomicU64; 4]>> = std::sync::OnceLock::new();
    let pids = PIDS.get_or_init(|| Shared::new([const { AtomicU64::new(0) }; 4]).unwrap());
    let outer = Pool::new(2).unwrap();
    let sums = outer.map(
        |&n: &u64| {
            let inner = Pool::new(2).expect("a worker has one thread");
            let twice =
                inner.map(|x| fork_map(2, &[*x, *x], |x| x * 2).unwrap().iter().sum::<u64>(), &[n, 1]);
            twice.expect("the inner pool works").iter().sum::<u64>()
        },
        &[10, 100],
    );
    assert_eq!(sums.unwrap(), [44, 404]);
    let crashed: Result<u8, _> = outer.apply(
        |_| {
            let inner = Pool::new(4).expect("a worker has one thread");
            let pids = PIDS.get().unwrap();
            for (worker, pid) in pids.iter().enumerate() {
                pid.store(inner.worker_statistics(worker).unwrap().pid as u64, Ordering::Relaxed);
            }
            std::process::abort()
        },
        &0u8,
    );
    assert_eq!(crashed, Err(Error::Task { index: 0, error: TaskError::Signaled(libc::SIGABRT) }));
    let pids = pids.each_ref().map(|pid| pid.load(Ordering::Relaxed) as u32);
    assert!(pids.iter().all(|&pid| pid != 0));
    eventually("the inner pool ends with its maker", || !pids.iter().any(|&pid| is_running(pid)));
    assert_eq!(outer.map(|x| *x, &[5u8; 10]).unwrap(), [5; 10]);
}

fn interrupt() {
    extern "C" fn nothing(_: i32) {}
    let said = std::env::temp_dir().join(format!("forq-interrupt-{}", std::process::id()));
    let pids = Shared::new([const { AtomicU64::new(0) }; 3]).unwrap();
    static RUNNING: std::sync::OnceLock<Shared<AtomicU32>> = std::sync::OnceLock::new();
    let started = RUNNING.get_or_init(|| Shared::new(AtomicU32::new(0)).unwrap());
    let mut host = Process::spawn(|| {
        let file = std::fs::File::create(&said).unwrap();
        // SAFETY: descriptors of our own; a handler that does nothing.
        unsafe {
            libc::setpgid(0, 0);
            libc::dup2(file.as_raw_fd(), 1);
            libc::dup2(file.as_raw_fd(), 2);
            libc::signal(libc::SIGINT, nothing as extern "C" fn(i32) as libc::sighandler_t);
        }
        let pool = Pool::new(3).unwrap();
        for (worker, pid) in pids.iter().enumerate() {
            pid.store(pool.worker_statistics(worker).unwrap().pid as u64, Ordering::Relaxed);
        }
        let task = |_: &u8| {
            RUNNING.get().unwrap().store(1, Ordering::Release);
            std::thread::sleep(Duration::from_secs(1000));
        };
        let ended = pool.map(task, &[0u8; 100]);
        let good = matches!(ended, Err(Error::Task { error: TaskError::Cancelled, .. }));
        i32::from(good && pool.apply(|x| *x, &0u8) == Err(Error::ChildLost))
    })
    .unwrap();
    eventually("the map runs", || started.load(Ordering::Acquire) == 1);
    // SAFETY: the group of our own child.
    unsafe { libc::kill(-(host.pid() as i32), libc::SIGINT) };
    assert_eq!(host.join().unwrap(), forq::ExitStatus::Exited(1));
    let pids = pids.each_ref().map(|pid| pid.load(Ordering::Relaxed) as u32);
    eventually("all workers have ended", || !pids.iter().any(|&pid| is_running(pid)));
    let text = std::fs::read_to_string(&said).unwrap();
    std::fs::remove_file(&said).unwrap();
    assert_eq!(text, "", "Python's workers each print a traceback");
}

fn early() {
    const COUNT: u64 = 400_000;
    std::panic::set_hook(Box::new(|_| ()));
    let pool = Pool::new(2).unwrap();
    let inputs: Vec<u64> = (0..COUNT).collect();
    let task = |&x: &u64| match x {
        300_000 => std::process::abort(),
        x if x % 50_000 == 49_999 => panic!("at {x}"),
        x => x + 1,
    };
    let mut outputs = vec![u64::MAX; inputs.len()];
    let ended = pool.batch().map_into(task, &inputs, &mut outputs);
    let Err(Error::Task { index: 49_999, error: TaskError::Panicked(said) }) = ended else {
        panic!("{ended:?}")
    };
    assert_eq!(said.as_str(), "at 49999");
    let each = pool.batch().try_map(task, &inputs).unwrap();
    for ((x, output), each) in inputs.iter().zip(&outputs).zip(&each) {
        let bad = *x == 300_000 || x % 50_000 == 49_999;
        assert_eq!(*output, if bad { u64::MAX } else { x + 1 });
        assert!(if bad { each.is_err() } else { *each == Ok(x + 1) }, "{x}: {each:?}");
    }
    // Out of time: what was done before is there, the rest is as it was.
    outputs.fill(u64::MAX);
    let stuck = |&x: &u64| {
        if x == 350_000 {
            std::thread::sleep(Duration::from_secs(1000));
        }
        x + 1
    };
    let late = pool.batch().timeout(Duration::from_secs(5)).map_into(stuck, &inputs, &mut outputs);
    assert_eq!(late, Err(Error::TimedOut));
    assert!(outputs.iter().zip(&inputs).all(|(output, x)| *output == x + 1 || *output == u64::MAX));
    assert_eq!((outputs[0], outputs[350_000]), (1, u64::MAX));
}

fn memory() {
    const COUNT: usize = 1_000_000;
    let shared = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssShmem")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    };
    let pool = Pool::new(2).unwrap();
    let inputs: Vec<u64> = (0..COUNT as u64).collect();
    let mut outputs = vec![0u64; COUNT];
    let before = shared();
    pool.batch().map_into(|x| x + 1, &inputs, &mut outputs).unwrap();
    let (taken, arrays) = (shared() - before, 16 * COUNT);
    assert!(taken >= arrays && taken <= arrays + arrays / 20, "{taken} bytes for {arrays}");
    assert!(outputs.iter().zip(&inputs).all(|(output, input)| *output == input + 1));
}

fn limited() {
    // SAFETY: no pointers.
    let (pages, page) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    let machine = (pages * page) as u64;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let used: u64 = statm.split(' ').next().unwrap().parse::<u64>().unwrap() * page as u64;
    // An eighth of the memory would fit, with a little to spare.
    let most = used + machine / 8 + machine / 64;
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: a valid limit, of this process.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.map(|x| x + 1, &[1u8, 2]).unwrap(), [2, 3]);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, which nobody uses.
    let beside =
        unsafe { libc::mmap(std::ptr::null_mut(), machine as usize / 32, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(beside, libc::MAP_FAILED);
}

fn bytes_later() {
    let pool = Pool::new(2).unwrap();
    let inputs: Vec<Vec<u8>> = (0..300usize).map(|size| vec![size as u8; size * 7 % 1000]).collect();
    let doubled = pool.map_bytes_async(2000, |input| [input, input].concat(), &inputs).unwrap();
    assert_eq!((doubled.len(), doubled.is_empty()), (300, false));
    for _ in 0..2 {
        let doubled = doubled.get().unwrap();
        assert!(doubled.iter().zip(&inputs).all(|(double, input)| *double == [&input[..], input].concat()));
    }
    assert_eq!(pool.apply_bytes(4, |input| [input, b"!"].concat(), b"one").unwrap(), b"one!");
    let one = pool.apply_bytes_async(4, |input| [input, b"!"].concat(), b"one").unwrap();
    assert_eq!((one.get().unwrap(), one.get().unwrap()), (b"one!".to_vec(), b"one!".to_vec()));
    let large = pool.apply_bytes_async(3, |input| [input, b"!"].concat(), b"one").unwrap();
    assert_eq!(large.get(), Err(Error::Task { index: 0, error: TaskError::TooLarge }));
    let slow = pool.apply_bytes_async(
        1,
        |_| {
            std::thread::sleep(Duration::from_secs(1000));
            b""
        },
        b"",
    );
    let slow = slow.unwrap();
    assert_eq!(slow.get_timeout(Duration::from_millis(5)), Err(Error::TimedOut));
    assert_eq!(slow.get_timeout(Duration::ZERO), Err(Error::WouldBlock));
    slow.cancel().unwrap();
    assert_eq!(slow.get(), Err(Error::Task { index: 0, error: TaskError::Cancelled }));
    let nothing = pool.map_bytes_async(1, |_| [], &[] as &[&str]).unwrap();
    assert_eq!((nothing.get().unwrap(), nothing.is_empty()), (vec![], true));
    assert_eq!(pool.map_bytes_async(usize::MAX, |_| [], &["a"]).unwrap_err(), Error::InvalidArgument);
    drop(pool);
    assert_eq!(doubled.get_timeout(Duration::ZERO).unwrap().len(), 300, "it outlives its pool");
}

fn captured_bytes() {
    fork_map_bytes(2, 1, &[1], |_| []).unwrap();
    let before = resources();
    let table: HashMap<String, String> =
        (0..500usize).map(|x| (format!("word {x}"), "long".repeat(x))).collect();
    let words: Vec<String> = (0..500).map(|x| format!("word {x}")).collect();
    let found = fork_map_bytes(3, 2000, &words, |word| table[word].clone()).unwrap();
    assert!(found.iter().zip(&words).all(|(found, word)| found == table[word].as_bytes()));
    let large = fork_map_bytes(2, 1995, &words, |word| table[word].clone());
    assert_eq!(large, Err(Error::Task { index: 499, error: TaskError::TooLarge }));
    let crashed = Pool::builder().workers(2).fork_map_bytes(9, &[1, 2, 3], |&x| match x {
        2 => std::process::abort(),
        x => vec![x],
    });
    assert_eq!(crashed, Err(Error::Task { index: 1, error: TaskError::Signaled(libc::SIGABRT) }));
    assert_eq!(fork_map_bytes(1, usize::MAX, &[1], |_| []), Err(Error::InvalidArgument));
    let other = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !other.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        });
        assert_eq!(fork_map_bytes(1, 1, &[1], |_| []), Err(Error::MultiThreaded));
        other.store(true, Ordering::Relaxed);
    });
    assert_eq!(resources(), before);
}
