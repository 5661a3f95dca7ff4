//! Concurrency Kit's ring (package libck-dev).

#[cfg(has_ck)]
mod c {
    unsafe extern "C" {
        pub fn peer_ck_size(slots: libc::c_uint) -> usize;
        pub fn peer_ck_init(memory: *mut libc::c_void, slots: libc::c_uint);
        pub fn peer_ck_put(memory: *mut libc::c_void, message: u64);
        pub fn peer_ck_get(memory: *mut libc::c_void) -> u64;
    }
}

/// A ring in shared memory, which is never unmapped.
#[derive(Clone, Copy)]
pub struct Ring(#[allow(dead_code, reason = "without the header")] *mut libc::c_void);

// SAFETY: made for many threads of many processes.
unsafe impl Sync for Ring {}

#[cfg(has_ck)]
impl Ring {
    /// With so many slots, a power of two, of which one stays empty.
    #[must_use]
    pub fn new(slots: u32) -> Option<Self> {
        // SAFETY: new memory, large enough.
        unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
            let memory =
                libc::mmap(std::ptr::null_mut(), c::peer_ck_size(slots), protection, flags, -1, 0);
            assert_ne!(memory, libc::MAP_FAILED);
            c::peer_ck_init(memory, slots);
            Some(Self(memory))
        }
    }

    /// Puts, spinning while it is full.
    pub fn put(&self, message: u64) {
        // SAFETY: a ring.
        unsafe { c::peer_ck_put(self.0, message) }
    }

    /// Gets, spinning while it is empty.
    #[must_use]
    pub fn get(&self) -> u64 {
        // SAFETY: a ring.
        unsafe { c::peer_ck_get(self.0) }
    }
}

#[cfg(not(has_ck))]
impl Ring {
    /// Not here.
    #[must_use]
    pub fn new(_slots: u32) -> Option<Self> {
        None
    }

    /// Not here.
    pub fn put(&self, _message: u64) {
        unreachable!()
    }

    /// Not here.
    #[must_use]
    pub fn get(&self) -> u64 {
        unreachable!()
    }
}
