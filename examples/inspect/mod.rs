//! What can be seen of running programs from outside, without stopping them, slowing them down, or writing into them: shared by `forq-doctor` and `forq-top`.
#![allow(dead_code, reason = "each program uses a part of it")]

pub(crate) mod locks;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod objects;
pub(crate) mod process;
