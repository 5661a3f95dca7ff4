//! What the tests of segments need.

use std::fs::{self};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use forq::{Process, Segment};

/// A name of this case's own, gone with it.
pub(super) struct Name(pub(super) String);

impl Name {
    pub(super) fn new() -> Self {
        Self(format!("test-{}", std::process::id()))
    }

    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/dev/shm/forq-{}", self.0))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

pub(super) fn object<'a>(segment: &'a Segment, name: &str) -> (&'a AtomicU64, bool) {
    // SAFETY: all use these names for this type.
    unsafe { segment.object::<AtomicU64>(name) }.unwrap()
}

pub(super) fn join_all(children: &mut [Process]) {
    assert!(children.iter_mut().all(|child| child.join().unwrap().success()));
}
