//! What pools and their workers have done.

use core::ffi::c_int;

use super::pool::{forq_pool, host};
use super::{borrow_mut, status};
use crate::error::Error;

/// What a pool has done since it was made. A worker that dies is counted, and replaced.
#[repr(C)]
pub struct forq_pool_statistics {
    /// How many workers it has.
    pub workers: u32,
    /// Items run, counted at the end of each chunk.
    pub items: u64,
    /// Workers that died of an item.
    pub crashes: u64,
    /// Workers replaced, whatever ended them.
    pub replaced: u64,
    /// Nanoseconds that workers were busy, all together.
    pub busy_ns: u64,
    /// Nanoseconds since the pool was made. busy_ns / wall_ns: mean concurrency, an estimate of the speed-up.
    pub wall_ns: u64,
    /// Zero.
    pub reserved: [u64; 8],
}

/// What one worker has done, with its predecessors in the same place: numbers outlive who dies.
#[repr(C)]
pub struct forq_worker_statistics {
    /// Its process id; 0 while it is being replaced.
    pub pid: i32,
    /// Items run.
    pub items: u64,
    /// How often an item ended it.
    pub crashes: u64,
    /// Nanoseconds busy.
    pub busy_ns: u64,
    /// The other nanoseconds since the pool was made.
    pub idle_ns: u64,
    /// Zero.
    pub reserved: [u64; 8],
}

/// What a pool has done. Returns 0; -EPERM; -EINVAL.
///
/// # Safety
/// `p` must be NULL or a pool, `stats_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_stats(p: *const forq_pool, stats_out: *mut forq_pool_statistics) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { host(p).and_then(|host| Ok((host, borrow_mut(stats_out)?))) };
    status(both.and_then(|(host, stats_out)| {
        let told = host.enter(|host| Ok(host.statistics()))?;
        *stats_out = forq_pool_statistics {
            workers: told.workers,
            items: told.items,
            crashes: told.crashes,
            replaced: told.replaced,
            busy_ns: told.busy_ns,
            wall_ns: told.wall_ns,
            reserved: [0; 8],
        };
        Ok(())
    }))
}

/// What one worker has done, from 0. Returns 0; -ERANGE if there are not so many; -EPERM; -EINVAL.
///
/// # Safety
/// `p` must be NULL or a pool, `stats_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_pool_worker_stats(
    p: *const forq_pool,
    worker: u32,
    stats_out: *mut forq_worker_statistics,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { host(p).and_then(|host| Ok((host, borrow_mut(stats_out)?))) };
    status(both.and_then(|(host, stats_out)| {
        let told = host.enter(|host| host.worker_statistics(worker as usize).ok_or(Error::OutOfRange))?;
        *stats_out = forq_worker_statistics {
            pid: told.pid,
            items: told.items,
            crashes: told.crashes,
            busy_ns: told.busy_ns,
            idle_ns: told.idle_ns,
            reserved: [0; 8],
        };
        Ok(())
    }))
}
