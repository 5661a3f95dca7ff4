//! What is no segment, no longer one, or another's.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink};

use forq::{Error, Manager, Segment};

use super::common::Name;

/// The bytes of a good segment.
pub(super) fn good_bytes(name: &Name) -> Vec<u8> {
    drop(Segment::create(&name.0, 4096).unwrap());
    let bytes = fs::read(name.path()).unwrap();
    Segment::unlink(&name.0).unwrap();
    bytes
}

pub(super) fn write(name: &Name, bytes: &[u8], mode: u32) -> File {
    let _ = fs::remove_file(name.path());
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(name.path()).unwrap();
    file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

pub(super) fn hostile() {
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

pub(super) fn no_manager() {
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
