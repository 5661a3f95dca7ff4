//! How many CPUs this process may use, and how long a pause lasts.

use super::atomic::{AtomicU32, Ordering};
use super::fd::Fd;
use super::{clock, errno};

/// CPUs this process may use: those of its affinity mask, or fewer if its control group has a quota.
/// At least 1.
pub(crate) fn count() -> u32 {
    let affinity = affinity_count();
    quota().map_or(affinity, |quota| affinity.min(quota)).max(1)
}

fn affinity_count() -> u32 {
    affinity().map_or(1, |mask| mask.iter().map(|word| word.count_ones()).sum())
}

/// Which CPUs this thread may run on. Larger than any machine's mask, as the kernel refuses one that is too small.
fn affinity() -> Option<[u64; 1024]> {
    let mut mask = [0u64; 1024];
    // SAFETY: the mask is as large as we say.
    let size = errno::preserve(|| unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr())
    });
    size.is_ok().then_some(mask)
}

/// Keeps this thread on one of the CPUs that it may use: the `index`th, counted around.
pub(crate) fn pin(index: usize) {
    let Some(mask) = affinity() else { return };
    let allowed = || (0..mask.len() * 64).filter(|cpu| mask[cpu / 64] >> (cpu % 64) & 1 != 0);
    let Some(cpu) = allowed().nth(index % allowed().count().max(1)) else { return };
    let mut one = [0u64; 1024];
    one[cpu / 64] = 1 << (cpu % 64);
    // SAFETY: the mask is as large as we say. An error leaves it where it was.
    let _ = errno::preserve(|| unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&one), one.as_ptr())
    });
}

/// The quota of this process's control group (version 2), in CPUs, rounded up.
fn quota() -> Option<u32> {
    const ROOT: &[u8] = b"/sys/fs/cgroup";
    let mut path = [0u8; 512];
    path[..ROOT.len()].copy_from_slice(ROOT);
    let mut groups = [0u8; 512];
    let file = Fd::open_read(c"/proc/self/cgroup").ok()?;
    let read = file.read(&mut groups).ok()?;
    // "0::/the/group"
    let line = groups[..read].split(|&byte| byte == b'\n').find(|line| line.starts_with(b"0::/"))?;
    let mut group = &line[3..];
    let mut least = None;
    // The group's own quota and those above it all hold.
    loop {
        let own = if group == b"/" { &[][..] } else { group };
        let mut end = ROOT.len();
        for part in [own, b"/cpu.max\0"] {
            path.get_mut(end..end + part.len())?.copy_from_slice(part);
            end += part.len();
        }
        if let Some(quota) = core::ffi::CStr::from_bytes_until_nul(&path).ok().and_then(quota_in) {
            least = Some(least.map_or(quota, |before: u32| before.min(quota)));
        }
        match own.iter().rposition(|&byte| byte == b'/') {
            Some(0) if own.len() > 1 => group = b"/",
            Some(at) if at > 0 => group = &own[..at],
            _ => return least,
        }
    }
}

/// What a file `cpu.max` says: "quota period" or "max period", in microseconds.
fn quota_in(path: &core::ffi::CStr) -> Option<u32> {
    let mut text = [0u8; 64];
    let read = Fd::open_read(path).ok()?.read(&mut text).ok()?;
    let mut fields = core::str::from_utf8(&text[..read]).ok()?.split_ascii_whitespace();
    let quota: u64 = fields.next()?.parse().ok()?;
    let period: u64 = fields.next()?.parse().ok().filter(|&period| period > 0)?;
    u32::try_from(quota.div_ceil(period)).ok()
}

/// What a pause lasts on the machine that back-off was tuned on: the unit of waits.
pub(crate) const STEP_NANOS: u64 = 26;

/// Pauses for about so many steps, once at least. How long a pause lasts here, from a few to some 50 ns, is measured once.
pub(crate) fn pause(steps: u32) {
    for _ in 0..(u64::from(steps) * pauses_per_1024_steps() / 1024).max(1) {
        core::hint::spin_loop();
    }
}

fn pauses_per_1024_steps() -> u64 {
    static PAUSES: AtomicU32 = AtomicU32::new(0);
    const ROUNDS: u64 = 32;
    // Relaxed: threads that race here measure the same.
    match PAUSES.load(Ordering::Relaxed) {
        // The crash points want every run to take the same way.
        _ if cfg!(forq_steady) => 1024,
        0 => {
            // The shortest of three: the others may have been interrupted.
            let taken = (0..3).map(|_| time_pauses(ROUNDS)).min().unwrap_or(1).max(1);
            let pauses = (1024 * STEP_NANOS * ROUNDS / taken).clamp(1024 / 16, 1024 * 16) as u32;
            PAUSES.store(pauses, Ordering::Relaxed);
            pauses.into()
        }
        pauses => pauses.into(),
    }
}

fn time_pauses(rounds: u64) -> u64 {
    let before = clock::now();
    for _ in 0..rounds {
        core::hint::spin_loop();
    }
    clock::now() - before
}

/// Asks for a cache line that will be written soon, wherever the address points, also nowhere.
#[inline(always)]
pub(crate) fn prefetch_to_write(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which neither faults nor changes anything; processors without it ignore it.
    unsafe {
        core::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Lets another process run on this CPU.
pub(crate) fn yield_now() {
    // SAFETY: no arguments; cannot fail on Linux.
    unsafe { libc::sched_yield() };
}
