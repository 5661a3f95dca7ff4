//! What segments promise: to be found whole or not at all, to be refused when they are not what they should be, and to
//! have each object made once.

mod support;

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use forq::{Connection, Error, ExitStatus, Manager, Mutex, Process, Segment, Shared};
use support::{eventually, resources};

fn main() {
    support::run(&[
        ("an_unrelated_program_finds_what_another_made", unrelated),
        ("an_object_is_made_by_exactly_one_of_64_processes", race),
        ("objects_have_names_and_sizes_and_an_end", objects),
        ("a_maker_of_objects_that_is_killed_leaves_no_half_made_one", killed_makers),
        ("a_name_that_is_none_is_refused", names),
        ("a_size_that_cannot_be_is_refused", sizes),
        ("a_taken_name_stays_who_has_it", taken),
        ("unlinked_it_goes_on_for_those_who_have_it", unlinked),
        ("what_is_no_segment_is_refused", hostile),
        ("what_is_no_manager_is_refused", no_manager),
        ("holes_are_filled_before_use", holes),
        ("a_full_file_system_is_an_error_and_no_signal", full),
        ("a_manager_in_a_full_file_system_is_an_error_and_no_signal", full_manager),
        ("a_creator_killed_at_any_system_call_leaves_a_whole_one_or_none", killed_creators),
        ("its_descriptor_is_enough", by_descriptor),
        ("another_pid_namespace_is_refused", other_namespace),
        ("what_is_scribbled_over_is_an_error", scribbled),
        ("nothing_is_left_of_it", nothing_left),
    ]);
}

/// A name of this case's own, gone with it.
struct Name(String);

impl Name {
    fn new() -> Self {
        Self(format!("test-{}", std::process::id()))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/dev/shm/forq-{}", self.0))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

fn object<'a>(segment: &'a Segment, name: &str) -> (&'a AtomicU64, bool) {
    // SAFETY: all use these names for this type.
    unsafe { segment.object::<AtomicU64>(name) }.unwrap()
}

fn join_all(children: &mut [Process]) {
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
}

fn unrelated() {
    let name = Name::new();
    let mut maker = Process::spawn(|| {
        let segment = Segment::create(&name.0, 4096).unwrap();
        object(&segment, "answer").0.store(42, Relaxed);
        // SAFETY: all use the name for this type.
        let (lock, _) = unsafe { segment.object::<Mutex<u64>>("lock") }.unwrap();
        *lock.lock().unwrap() = 7;
    })
    .unwrap();
    assert!(maker.join().unwrap().success());
    let segment = Segment::open(&name.0).unwrap();
    assert_eq!((object(&segment, "answer").0.load(Relaxed), object(&segment, "answer").1), (42, false));
    // SAFETY: all use the name for this type.
    let (lock, is_new) = unsafe { segment.object::<Mutex<u64>>("lock") }.unwrap();
    assert!(!is_new);
    assert_eq!(*lock.lock().unwrap(), 7);
    let metadata = fs::metadata(name.path()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
}

fn race() {
    const NAMES: usize = 20;
    let name = Name::new();
    let segment = Segment::create(&name.0, 1 << 20).unwrap();
    let made = Shared::slice_with(NAMES, |_| AtomicU32::new(0)).unwrap();
    let go = Shared::new(AtomicU32::new(0)).unwrap();
    let mut children: Vec<Process> = (0..64)
        .map(|i| {
            let (name, made, go) = (&name, &made, &go);
            Process::spawn(move || {
                let segment = Segment::open(&name.0).unwrap();
                while go.load(Relaxed) == 0 {
                    std::thread::yield_now();
                }
                for round in 0..NAMES {
                    let number = (round + i) % NAMES;
                    let (counter, is_new) = object(&segment, &format!("object {number}"));
                    made[number].fetch_add(is_new.into(), Relaxed);
                    counter.fetch_add(1, Relaxed);
                }
            })
            .unwrap()
        })
        .collect();
    go.store(1, Relaxed);
    join_all(&mut children);
    for number in 0..NAMES {
        assert_eq!(made[number].load(Relaxed), 1);
        assert_eq!(object(&segment, &format!("object {number}")).0.load(Relaxed), 64);
    }
}

fn objects() {
    let segment = Segment::anonymous(8192).unwrap();
    let (first, is_new) = segment.object_bytes(b"first", 100).unwrap();
    assert!(is_new && first.addr().get() % 64 == 0);
    // SAFETY: so many bytes, nobody else uses them.
    assert!(unsafe { first.cast::<[u8; 100]>().read() } == [0; 100]);
    // SAFETY: as above.
    unsafe { first.cast::<[u8; 100]>().write([0xff; 100]) };
    assert_eq!(segment.object_bytes(b"first", 100).unwrap(), (first, false));
    assert_eq!(segment.object_bytes(b"first", 101).unwrap_err(), Error::AlreadyExists);
    assert_eq!(segment.object_bytes(b"empty", 0).unwrap_err(), Error::InvalidArgument);
    for size in [8192, 9000, usize::MAX, usize::MAX - 200, isize::MAX as usize] {
        assert_eq!(segment.object_bytes(b"large", size).unwrap_err(), Error::OutOfSpace);
    }
    let mut count = 0;
    let full = loop {
        match segment.object_bytes(format!("{count}").as_bytes(), 1) {
            Ok((place, true)) => {
                // SAFETY: the object.
                assert_eq!(unsafe { place.read() }, 0);
                count += 1;
            }
            other => break other,
        }
    };
    assert_eq!(full.unwrap_err(), Error::OutOfSpace);
    assert_eq!(count, (8192 - 192) / 128);
    assert!(!segment.object_bytes(b"0", 1).unwrap().1);
    let longest = "x".repeat(200);
    let larger = Segment::anonymous(4096).unwrap();
    assert!(object(&larger, &longest).1 && !object(&larger, &longest).1);
}

fn killed_makers() {
    let name = Name::new();
    let segment = Segment::create(&name.0, 64 << 20).unwrap();
    for round in 0..300u64 {
        let mut maker = Process::spawn(|| {
            for number in 0u64.. {
                object(&segment, &format!("{round} {number}"));
            }
        })
        .unwrap();
        std::thread::sleep(Duration::from_micros(300 + round * 7 % 500));
        maker.kill().unwrap();
        assert_eq!(maker.join().unwrap(), ExitStatus::Signaled(libc::SIGKILL));
        let (mark, is_new) = object(&segment, &format!("mark {round}"));
        assert!(is_new);
        assert_eq!(mark.fetch_add(1, Relaxed), 0, "made, but not zeroed");
    }
}

fn names() {
    let long = "x".repeat(201);
    let longer = "x".repeat(300);
    let segment = Segment::anonymous(4096).unwrap();
    for bad in ["", ".", "..", "/", "a/b", "../x", "/etc/passwd", "a\0b", &long, &longer] {
        assert_eq!(Segment::create(bad, 1).unwrap_err(), Error::InvalidArgument, "{bad:?}");
        assert_eq!(Segment::open(bad).unwrap_err(), Error::InvalidArgument, "{bad:?}");
        assert_eq!(Segment::unlink(bad).unwrap_err(), Error::InvalidArgument, "{bad:?}");
        assert_eq!(segment.object_bytes(bad.as_bytes(), 1).unwrap_err(), Error::InvalidArgument, "{bad:?}");
    }
    let absent = Name::new();
    assert_eq!(Segment::open(&absent.0).unwrap_err(), Error::NotFound);
    assert_eq!(Segment::unlink(&absent.0).unwrap_err(), Error::NotFound);
}

fn sizes() {
    let name = Name::new();
    for size in [0, usize::MAX, usize::MAX - 4096, isize::MAX as usize] {
        assert_eq!(Segment::create(&name.0, size).unwrap_err(), Error::InvalidArgument);
        assert_eq!(Segment::anonymous(size).unwrap_err(), Error::InvalidArgument);
    }
    assert_eq!(Segment::create(&name.0, 1 << 50).unwrap_err(), Error::OutOfSpace);
    assert_eq!(Segment::anonymous(1 << 50).unwrap_err(), Error::OutOfMemory);
    assert!(!name.path().exists());
    assert_eq!(Segment::anonymous(1).unwrap().size(), 4096);
    // The limit on file sizes would end the process by a signal.
    let limit = libc::rlimit { rlim_cur: 1 << 16, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a valid limit.
    unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) };
    assert_eq!(Segment::create(&name.0, 1 << 20).unwrap_err(), Error::OutOfSpace);
    assert_eq!(Segment::anonymous(1 << 20).unwrap_err(), Error::OutOfMemory);
}

fn taken() {
    let name = Name::new();
    let first = Segment::create(&name.0, 4096).unwrap();
    object(&first, "x").0.store(1, Relaxed);
    assert_eq!(Segment::create(&name.0, 4096).unwrap_err(), Error::AlreadyExists);
    assert_eq!(object(&Segment::open(&name.0).unwrap(), "x").0.load(Relaxed), 1);
    // Of many that create it at once, one does.
    Segment::unlink(&name.0).unwrap();
    let created = Shared::new(AtomicU32::new(0)).unwrap();
    let mut children: Vec<Process> = (0..16)
        .map(|_| {
            Process::spawn(|| match Segment::create(&name.0, 1 << 20) {
                Ok(_) => drop(created.fetch_add(1, Relaxed)),
                Err(error) => assert_eq!(error, Error::AlreadyExists),
            })
            .unwrap()
        })
        .collect();
    join_all(&mut children);
    assert_eq!(created.load(Relaxed), 1);
    Segment::open(&name.0).unwrap();
}

fn unlinked() {
    let name = Name::new();
    let first = Segment::create(&name.0, 4096).unwrap();
    let second = Segment::open(&name.0).unwrap();
    Segment::unlink(&name.0).unwrap();
    assert_eq!(Segment::open(&name.0).unwrap_err(), Error::NotFound);
    object(&first, "x").0.store(3, Relaxed);
    assert_eq!(object(&second, "x").0.load(Relaxed), 3);
    let third = Segment::create(&name.0, 4096).unwrap();
    assert!(object(&third, "x").1);
}

/// The bytes of a good segment.
fn good_bytes(name: &Name) -> Vec<u8> {
    drop(Segment::create(&name.0, 4096).unwrap());
    let bytes = fs::read(name.path()).unwrap();
    Segment::unlink(&name.0).unwrap();
    bytes
}

fn write(name: &Name, bytes: &[u8], mode: u32) -> File {
    let _ = fs::remove_file(name.path());
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(name.path()).unwrap();
    file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn hostile() {
    let name = Name::new();
    let good = good_bytes(&name);
    let opens = || Segment::open(&name.0).map(drop);
    write(&name, &good, 0o600);
    assert_eq!(opens(), Ok(()));
    // Any of the first 48 bytes changed: magic, layout and kind, size, namespace, C library, page.
    for at in 0..48 {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            write(&name, &bad, 0o600);
            assert_eq!(opens(), Err(Error::Protocol), "bit {bit} of byte {at}");
        }
    }
    for length in [0, 1, 47, 48, 4095, 4096, good.len() - 4096, good.len() - 1] {
        write(&name, &good[..length], 0o600);
        assert_eq!(opens(), Err(Error::Protocol), "cut to {length}");
    }
    write(&name, &[&good[..], &[0; 4096]].concat(), 0o600);
    assert_eq!(opens(), Err(Error::Protocol), "longer than it says");
    for mode in [0o640, 0o604, 0o606, 0o666, 0o700, 0o4600, 0o400] {
        write(&name, &good, mode);
        let refused = opens().unwrap_err();
        assert!(matches!(refused, Error::Protocol | Error::NotPermitted), "mode {mode:o}");
    }
    // A second name, by which others may reach it.
    write(&name, &good, 0o600);
    let second = format!("{}-second", name.path().display());
    fs::hard_link(name.path(), &second).unwrap();
    assert_eq!(opens(), Err(Error::Protocol), "two names");
    fs::remove_file(name.path()).unwrap();
    // Links, to good ones too.
    symlink(&second, name.path()).unwrap();
    assert_eq!(opens(), Err(Error::Protocol), "a link");
    assert_eq!(Segment::create(&name.0, 1).unwrap_err(), Error::AlreadyExists);
    fs::remove_file(&second).unwrap();
    assert_eq!(opens(), Err(Error::Protocol), "a link to nothing");
    assert_eq!(Segment::create(&name.0, 1).unwrap_err(), Error::AlreadyExists);
    fs::remove_file(name.path()).unwrap();
    // What is no file at all, and must not be waited for.
    fs::create_dir(name.path()).unwrap();
    assert_eq!(opens(), Err(Error::Protocol), "a directory");
    assert!(Segment::unlink(&name.0).is_err());
    fs::remove_dir(name.path()).unwrap();
    let path = std::ffi::CString::new(name.path().to_str().unwrap()).unwrap();
    // SAFETY: a C string.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    assert_eq!(opens(), Err(Error::Protocol), "a FIFO");
    fs::remove_file(name.path()).unwrap();
    // Another owner, if we may make one.
    write(&name, &good, 0o600);
    // SAFETY: a C string.
    if unsafe { libc::chown(path.as_ptr(), 12345, u32::MAX) } == 0 {
        assert!(matches!(opens().unwrap_err(), Error::Protocol | Error::NotPermitted), "another owner");
    }
}

fn no_manager() {
    let name = Name::new();
    let long = "x".repeat(300);
    for bad in ["", ".", "..", "/", "a/b", "../x", "a\0b", &long] {
        assert_eq!(Manager::create(bad, 1 << 16).unwrap_err(), Error::InvalidArgument, "{bad:?}");
        assert_eq!(Manager::open(bad).unwrap_err(), Error::InvalidArgument, "{bad:?}");
    }
    assert_eq!(Manager::open(&name.0).unwrap_err(), Error::NotFound);
    drop(Segment::create(&name.0, 1 << 16).unwrap());
    assert_eq!(Manager::open(&name.0).unwrap_err(), Error::Protocol, "a segment of objects");
    Segment::unlink(&name.0).unwrap();
    drop(Manager::create(&name.0, 1 << 16).unwrap());
    let good = fs::read(name.path()).unwrap();
    let opens = || Manager::open(&name.0).map(drop);
    write(&name, &good, 0o600);
    assert_eq!(opens(), Ok(()));
    for at in 0..48 {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        write(&name, &bad, 0o600);
        assert_eq!(opens(), Err(Error::Protocol), "byte {at}");
    }
    for length in [0, 1, 48, 4095, 4096, 8192, good.len() - 4096, good.len() - 1] {
        write(&name, &good[..length], 0o600);
        assert_eq!(opens(), Err(Error::Protocol), "cut to {length}");
    }
    // A header that fits a file which is too small for a manager.
    for pages in 2..16 {
        let mut small = good[..pages * 4096].to_vec();
        small[16..24].copy_from_slice(&(pages as u64 * 4096).to_ne_bytes());
        write(&name, &small, 0o600);
        match Manager::open(&name.0) {
            Ok(manager) => drop(manager.dict::<u64, u64>("dict").and_then(|dict| dict.set(&1, &1))),
            Err(error) => assert_eq!(error, Error::Protocol, "{pages} pages"),
        }
    }
    write(&name, &good, 0o666);
    assert!(opens().is_err(), "others may open it");
    // A link to a good one.
    let other = format!("{}-other", name.path().display());
    write(&name, &good, 0o600);
    fs::rename(name.path(), &other).unwrap();
    symlink(&other, name.path()).unwrap();
    assert_eq!(opens(), Err(Error::Protocol), "a link");
    assert_eq!(Manager::create(&name.0, 1 << 16).unwrap_err(), Error::AlreadyExists);
    fs::remove_file(&other).unwrap();
    // Holes, in which there would be zeroes.
    let file = write(&name, &good[..4096], 0o600);
    file.set_len(good.len() as u64).unwrap();
    let manager = Manager::open(&name.0).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512, good.len() as u64);
    // No heap was written there: an error, and nothing outside is touched.
    assert!(manager.dict::<u64, u64>("dict").and_then(|dict| dict.set(&1, &1)).is_err());
}

fn holes() {
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

fn full() {
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

fn full_manager() {
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

fn killed_creators() {
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
        assert!(started.elapsed() < Duration::from_secs(1));
        Segment::unlink(&name.0).unwrap();
        if ended {
            break;
        }
    }
    assert!(whole > 0 && none > 10, "{whole} whole, {none} none");
}

fn by_descriptor() {
    let segment = Segment::anonymous(4096).unwrap();
    object(&segment, "x").0.store(9, Relaxed);
    let take = |end: &mut Connection| {
        let descriptor = end.recv_fd().unwrap();
        let segment = Segment::from_fd(descriptor.as_fd()).unwrap();
        assert_eq!(object(&segment, "x").0.fetch_add(1, Relaxed), 9);
    };
    let (mut child, end) = Process::spawn_piped(|mut end| take(&mut end)).unwrap();
    end.send_fd(segment.as_fd()).unwrap();
    assert!(child.join().unwrap().success());
    assert_eq!(object(&segment, "x").0.load(Relaxed), 10);
    // Nobody changes its size; what is another file is refused.
    let file = File::from(segment.as_fd().try_clone_to_owned().unwrap());
    assert!(file.set_len(0).is_err() && file.set_len(1 << 20).is_err());
    for other in ["/dev/null", "/proc/self/exe", "/dev/shm", "/proc/self/maps"] {
        let other = File::open(other).unwrap();
        assert_eq!(Segment::from_fd(other.as_fd()).unwrap_err(), Error::Protocol);
    }
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(Segment::from_fd(socket.as_fd()).unwrap_err(), Error::Protocol);
}

fn other_namespace() {
    let name = Name::new();
    drop(Segment::create(&name.0, 4096).unwrap());
    // SAFETY: no pointers; this case is a process of its own. Children are born in the new namespace.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        println!("     not run: namespaces are not allowed here");
        return;
    }
    let mut child = Process::spawn(|| {
        // /proc still tells of the old one; in a real container it is mounted anew.
        // SAFETY: C strings.
        let mounted = unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(
                    std::ptr::null(),
                    c"/".as_ptr(),
                    std::ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    std::ptr::null(),
                ) == 0
                && libc::mount(c"none".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), 0, std::ptr::null())
                    == 0
        };
        if mounted {
            assert_eq!(Segment::open(&name.0).unwrap_err(), Error::Protocol);
        } else {
            println!("     not run: mounting is not allowed here");
        }
    })
    .unwrap();
    assert!(child.join().unwrap().success());
}

fn scribbled() {
    let name = Name::new();
    let segment = Segment::create(&name.0, 8192).unwrap();
    object(&segment, "first");
    object(&segment, "second");
    let file = OpenOptions::new().read(true).write(true).open(name.path()).unwrap();
    let mut good = vec![0; 4096 + 8192];
    file.read_exact_at(&mut good, 0).unwrap();
    // How much is used is behind the header and a lock; the first record begins the second page.
    let used = 64 + 128;
    for (at, value) in [used, 4096, 4104].into_iter().flat_map(|at| {
        [0, 1, 63, 64, 4096, 8192, 8193, 1 << 20, 1 << 32, u64::MAX - 63, u64::MAX / 2, u64::MAX]
            .map(|value| (at, value))
    }) {
        file.write_all_at(&u64::to_ne_bytes(value), at).unwrap();
        for name in ["second", "third"] {
            // Whatever it says, nothing outside is touched, and nothing hangs.
            let _ = segment.object_bytes(name.as_bytes(), 8);
        }
        file.write_all_at(&good[64..], 64).unwrap();
    }
    assert!(!object(&segment, "second").1);
}

fn nothing_left() {
    let name = Name::new();
    let make = || {
        let one = Segment::create(&name.0, 4096).unwrap();
        let other = Segment::open(&name.0).unwrap();
        object(&one, "x");
        object(&other, "x");
        Segment::unlink(&name.0).unwrap();
        let _ = (Segment::anonymous(4096).unwrap(), Segment::open(&name.0));
        let _ = (Segment::create(".", 1), Segment::create(&name.0, 1 << 50));
    };
    make();
    let maps = || fs::read_to_string("/proc/self/maps").unwrap().matches("forq").count();
    let before = (resources(), maps());
    for _ in 0..20 {
        make();
    }
    eventually("nothing is left", || (resources(), maps()) == before);
    assert!(!name.path().exists());
}
