//! A /dev/shm of this program's own, in which every byte can be accounted for.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

static IS_OWN: OnceLock<bool> = OnceLock::new();

/// Mounts it, where that is allowed.
pub(super) fn take() {
    // SAFETY: C strings; this program has one thread.
    let is_own = unsafe {
        let (none, here) = (c"none".as_ptr(), c"/dev/shm".as_ptr());
        let private = libc::MS_REC | libc::MS_PRIVATE;
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()) == 0
            && libc::mount(none, here, c"tmpfs".as_ptr(), 0, c"size=4m".as_ptr().cast()) == 0
    };
    if !is_own {
        println!("mounting is not allowed here: what is left in /dev/shm is not counted");
    }
    let _ = IS_OWN.set(is_own);
}

/// How many bytes of it are in use; `None`: it is not our own.
pub(super) fn used() -> Option<u64> {
    if !*IS_OWN.get()? {
        return None;
    }
    let mut status = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: a C string and a place for the result.
    assert_eq!(unsafe { libc::statvfs(c"/dev/shm".as_ptr(), status.as_mut_ptr()) }, 0);
    // SAFETY: filled by the successful call.
    let status = unsafe { status.assume_init() };
    Some((status.f_blocks - status.f_bfree) * status.f_frsize)
}
