//! Made, found, and each object made once, whoever is killed.

use std::fs::{self};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use forq::{Error, ExitStatus, Mutex, Process, Segment, Shared};

use super::common::{Name, join_all, object};

pub(super) fn unrelated() {
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

pub(super) fn race() {
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

pub(super) fn objects() {
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

pub(super) fn killed_makers() {
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

pub(super) fn names() {
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

pub(super) fn sizes() {
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

pub(super) fn taken() {
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

pub(super) fn unlinked() {
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
