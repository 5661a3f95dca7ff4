//! What the tests of channels need.

use forq::Process;

use crate::support::{eventually, is_asleep};

pub(super) fn falls_asleep(process: &Process) {
    eventually("it sleeps", || is_asleep(process.pid()));
}

pub(super) fn join(mut process: Process) {
    assert!(process.join().unwrap().success());
}
