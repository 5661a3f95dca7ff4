//! Queues and containers of C and C++ in memory that forks share. `None` where the header was not installed at the time of the build.

pub mod boost;
pub mod ck;
pub mod containers;
