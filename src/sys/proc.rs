//! Process and thread ids, and what /proc tells about other processes.

use super::atomic::{AtomicU64, Ordering};
use super::errno::{self, ESRCH};
use super::fd::Fd;
use super::{clock, thread};

/// The kernel's flag of a task that runs no user code any more.
const PF_EXITING: u64 = 0x4;

/// A directory for each thread of this process.
const TASKS: &core::ffi::CStr = c"/proc/self/task";

/// This process's id.
pub(crate) fn pid() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::getpid() as u32 }
}

/// The parent's id.
pub(crate) fn parent_pid() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::getppid() as u32 }
}

/// This thread's id.
pub(crate) fn tid() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// Whether no process or thread of this id exists any more, or only its remains.
pub(crate) fn is_gone(tid: u32) -> bool {
    !exists(tid) || matches!(Stat::of(tid), Some(Stat { state: b'Z' | b'X', .. }))
}

/// Whether a process has ended, or is ending and will run no user code again. One that was just
/// killed may still look alive for a moment: such a one is watched for a while.
pub(crate) fn has_ended(pid: u32) -> bool {
    for _ in 0..100 {
        if !exists(pid) {
            return true;
        }
        if let Some(stat) = Stat::of(pid) {
            let leader_ended = matches!(stat.state, b'Z' | b'X') || stat.flags & PF_EXITING != 0;
            if leader_ended && stat.threads <= 1 {
                return true;
            }
        }
        clock::sleep(1_000_000);
    }
    false
}

/// When this process began, in the unit of [`is_process_gone`]; 0 without /proc. Asked for once per process.
pub(crate) fn start_time() -> u64 {
    static TIME: AtomicU64 = AtomicU64::new(0);
    static KNOWN_IN: AtomicU64 = AtomicU64::new(0);
    let generation = thread::generation();
    // Acquire pairs with the Release below. Threads that race here store the same.
    if KNOWN_IN.load(Ordering::Acquire) != generation {
        TIME.store(Stat::own().map_or(0, |stat| stat.start), Ordering::Relaxed);
        KNOWN_IN.store(generation, Ordering::Release);
    }
    TIME.load(Ordering::Relaxed)
}

/// Whether the process of this id that began at `start` has ended, or only its remains are there. The id may have been given to another
/// one since: that is told by the start, unless it is 0, not known. Of `start` the bits in `mask` count.
pub(crate) fn is_process_gone(pid: u32, start: u64, mask: u64) -> bool {
    let Some(stat) = Stat::of(pid) else { return !exists(pid) };
    let is_another = start != 0 && (stat.start ^ start) & mask != 0;
    is_another || matches!(stat.state, b'Z' | b'X') && stat.threads <= 1
}

fn exists(tid: u32) -> bool {
    let Ok(id) = i32::try_from(tid) else { return false };
    // SAFETY: signal 0 only asks.
    errno::preserve(|| unsafe { libc::kill(id, 0) }) != Err(ESRCH)
}

/// Whether this process surely has only this thread. Those that are ending are waited for, for a second at most: one that was just joined
/// may be there for a moment still.
pub(crate) fn is_single_threaded() -> bool {
    for _ in 0..10_000 {
        if thread_count() == Some(1) {
            return true;
        }
        if others_are_ending() != Some(true) {
            return false;
        }
        clock::sleep(100_000);
    }
    false
}

/// How many threads the kernel has of this process; `None` without /proc.
fn thread_count() -> Option<libc::nlink_t> {
    let mut status = core::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: a C string and a place for the result.
    let result = errno::preserve(|| unsafe { libc::stat(TASKS.as_ptr(), status.as_mut_ptr()) });
    result.ok()?;
    // A link for each thread's directory, besides the two of every directory.
    // SAFETY: filled by the successful call.
    let links = unsafe { status.assume_init() }.st_nlink;
    Some(links.saturating_sub(2))
}

/// Whether no other thread of this process runs code of the program's any more, and all will soon be gone; `None` if the kernel does not tell.
fn others_are_ending() -> Option<bool> {
    let own = tid();
    let tasks = Fd::open_read(TASKS).ok()?;
    let mut buffer = [0u8; 1024];
    loop {
        let entries = tasks.read_entries(&mut buffer).ok()?;
        if entries.is_empty() {
            return Some(true);
        }
        for name in names(entries) {
            // Not `.` and `..`.
            let Some(id) = core::str::from_utf8(name).ok().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let is_ending = || match Stat::of(id) {
                // The remains of the first thread stay.
                Some(stat) => stat.flags & PF_EXITING != 0 && stat.state != b'Z',
                None => !exists(id),
            };
            if id != own && !is_ending() {
                return Some(false);
            }
        }
    }
}

/// The names in what the kernel tells of a directory: in each entry two numbers of eight bytes, its length, its type, its name and a zero.
fn names(mut entries: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let length = u16::from_ne_bytes(entries.get(16..18)?.try_into().ok()?);
        let (entry, rest) = entries.split_at_checked(length.into())?;
        entries = rest;
        entry.get(19..)?.split(|&byte| byte == 0).next()
    })
}

/// Some fields of /proc/ID/stat.
struct Stat {
    /// One letter: `R`, `S`, `Z` ...
    state: u8,
    flags: u64,
    threads: u64,
    /// In ticks of the clock since the machine started.
    start: u64,
}

impl Stat {
    /// `None` if it cannot be read.
    fn of(id: u32) -> Option<Self> {
        Self::read(stat_path(id, &mut [0; 32]))
    }

    /// This process's. By the name that its main thread has: qemu-user makes up what stands in `/proc/self/stat`, and in the file that it stands
    /// for, so that a forked child seems to have begun when its parent did. Others read the truth.
    fn own() -> Option<Self> {
        Self::read(path([b"/proc/self/task/", b"/stat\0"], pid(), &mut [0; 32]))
    }

    fn read(path: &core::ffi::CStr) -> Option<Self> {
        let mut line = [0u8; 512];
        let file = Fd::open_read(path).ok()?;
        let read = file.read(&mut line).ok()?;
        // The name stands in parentheses and may hold anything; the third field follows the last one.
        let line = &line[..read];
        let end = line.iter().rposition(|&byte| byte == b')')?;
        let mut fields = line.get(end + 2..)?.split(|&byte| byte == b' ');
        let state = *fields.next()?.first()?;
        let mut number =
            |skipped: usize| -> Option<u64> { core::str::from_utf8(fields.nth(skipped)?).ok()?.parse().ok() };
        // The ninth field, the twentieth, the twenty-second.
        Some(Self { state, flags: number(5)?, threads: number(10)?, start: number(1)? })
    }
}

fn stat_path(tid: u32, buffer: &mut [u8; 32]) -> &core::ffi::CStr {
    path([b"/proc/", b"/stat\0"], tid, buffer)
}

/// The link to what a descriptor of this process refers to.
pub(super) fn descriptor_path(raw: i32, buffer: &mut [u8; 32]) -> &core::ffi::CStr {
    path([b"/proc/self/fd/", b"\0"], raw.unsigned_abs(), buffer)
}

/// A path with a number in it.
fn path<'a>([before, after]: [&[u8]; 2], number: u32, buffer: &'a mut [u8; 32]) -> &'a core::ffi::CStr {
    let mut digits = [0u8; 10];
    let mut rest = number;
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let mut length = 0;
    for part in [before, &digits[at..], after] {
        buffer[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    core::ffi::CStr::from_bytes_until_nul(buffer).unwrap_or(c"")
}
