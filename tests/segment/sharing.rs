//! Passed on by descriptor; refused elsewhere; gone in the end.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::Relaxed;

use forq::{Connection, Error, Process, Segment};

use super::common::{Name, object};
use crate::support::{eventually, resources};

pub(super) fn by_descriptor() {
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

pub(super) fn other_namespace() {
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

pub(super) fn scribbled() {
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

pub(super) fn nothing_left() {
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
