//! No room, and makers that are killed on the way.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use forq::{Error, Manager, Segment};

use super::common::{Name, object};
use super::foreign::{good_bytes, write};

pub(super) fn holes() {
    let name = Name::new();
    let good = good_bytes(&name);
    let file = write(&name, &good[..4096], 0o600);
    file.set_len(good.len() as u64).unwrap();
    let blocks = |file: &File| std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap());
    assert!(blocks(&file) * 512 < good.len() as u64);
    let segment = Segment::open(&name.0).unwrap();
    assert_eq!(blocks(&file) * 512, good.len() as u64);
    assert!(object(&segment, "x").1);
}

/// Moves this process into a user and mount namespace with a /dev/shm of its own of so many KiB. False: not allowed here.
fn own_dev_shm(kib: usize) -> bool {
    let options = std::ffi::CString::new(format!("size={kib}k")).unwrap();
    // SAFETY: C strings; this case is a process of its own.
    unsafe {
        let flags = if libc::geteuid() == 0 { 0 } else { libc::CLONE_NEWUSER };
        libc::unshare(flags | libc::CLONE_NEWNS) == 0
            && libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/dev/shm".as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                options.as_ptr().cast(),
            ) == 0
    }
}

pub(super) fn full() {
    if !own_dev_shm(256) {
        println!("     not run: mounting is not allowed here");
        return;
    }
    let name = Name::new();
    assert_eq!(Segment::create(&name.0, 256 << 10).unwrap_err(), Error::OutOfSpace);
    assert!(!name.path().exists());
    let segment = Segment::create(&name.0, 128 << 10).unwrap();
    assert_eq!(Segment::create("another", 128 << 10).unwrap_err(), Error::OutOfSpace);
    // Fill the rest: what was set aside can be used all the same.
    let filler = File::create("/dev/shm/filler").unwrap();
    let mut at = 0;
    while filler.write_all_at(&[1; 4096], at).is_ok() {
        at += 4096;
    }
    let (place, _) = segment.object_bytes(b"x", 120 << 10).unwrap();
    // SAFETY: the object, which nobody else uses.
    unsafe { place.write_bytes(7, 120 << 10) };
    // A file with holes in a full file system.
    let good = fs::read(name.path()).unwrap();
    drop(segment);
    fs::remove_file(name.path()).unwrap();
    let file = write(&name, &good[..8192], 0o600);
    file.set_len(good.len() as u64).unwrap();
    while filler.write_all_at(&[1; 4096], at).is_ok() {
        at += 4096;
    }
    assert_eq!(Segment::open(&name.0).unwrap_err(), Error::OutOfSpace);
}

pub(super) fn full_manager() {
    if !own_dev_shm(256) {
        println!("     not run: mounting is not allowed here");
        return;
    }
    let name = Name::new();
    assert_eq!(Manager::create(&name.0, 256 << 10).unwrap_err(), Error::OutOfSpace);
    assert!(!name.path().exists());
    let manager = Manager::create(&name.0, 128 << 10).unwrap();
    assert_eq!(Manager::create("another", 128 << 10).unwrap_err(), Error::OutOfSpace);
    let filler = File::create("/dev/shm/filler").unwrap();
    let mut at = 0;
    while filler.write_all_at(&[1; 4096], at).is_ok() {
        at += 4096;
    }
    // All that was set aside can be used, to the last block; then it is the manager that is full.
    let dict = manager.dict::<u64, [u8]>("dict").unwrap();
    let mut key = 0;
    for size in [4000, 100, 0] {
        while dict.set(&key, &vec![7; size]) != Err(Error::OutOfSpace) {
            key += 1;
        }
    }
    manager.__check().unwrap();
    let (used, capacity) = (manager.used().unwrap(), manager.capacity().unwrap());
    assert!(used + 64 > capacity, "{used} of {capacity} bytes");
    dict.clear().unwrap();
    dict.set(&1, &[1; 1000]).unwrap();
}

/// Stops a child at its `n`th entry to or exit from the kernel, and kills it there. True: it had ended before.
fn kill_at_call(n: usize, body: impl FnOnce()) -> bool {
    // SAFETY: this program has one thread; the child is traced and killed, or runs to its end.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
            body();
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(pid, &mut status, 0);
        for _ in 0..n {
            libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, 0);
            libc::waitpid(pid, &mut status, 0);
            if libc::WIFEXITED(status) {
                assert_eq!(status, 0);
                return true;
            }
            assert!(libc::WIFSTOPPED(status));
        }
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, &mut status, 0);
        assert!(libc::WIFSIGNALED(status));
        false
    }
}

pub(super) fn killed_creators() {
    let name = Name::new();
    let (mut whole, mut none) = (0, 0);
    for n in 0.. {
        let ended = kill_at_call(n, || {
            object(&Segment::create(&name.0, 10_000).unwrap(), "x").0.store(1, Relaxed);
        });
        let started = Instant::now();
        let segment = match Segment::open(&name.0) {
            Ok(segment) => {
                whole += 1;
                segment
            }
            Err(error) => {
                assert_eq!(error, Error::NotFound, "killed at call {n}");
                none += 1;
                Segment::create(&name.0, 10_000).unwrap()
            }
        };
        object(&segment, "x");
        // Nobody waits for a creator that is dead.
        assert!(started.elapsed() < Duration::from_secs(30), "killed at call {n}");
        Segment::unlink(&name.0).unwrap();
        if ended {
            break;
        }
    }
    assert!(whole > 0 && none > 10, "{whole} whole, {none} none");
}
