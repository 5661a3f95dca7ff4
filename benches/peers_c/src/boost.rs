//! Boost.Interprocess's message queue (package libboost-dev).

#[cfg(has_boost)]
mod c {
    unsafe extern "C" {
        pub fn peer_boost_new(
            name: *const libc::c_char,
            capacity: usize,
            message_size: usize,
        ) -> *mut libc::c_void;
        pub fn peer_boost_free(made: *mut libc::c_void);
        pub fn peer_boost_put(made: *mut libc::c_void, message: *const libc::c_void, size: usize) -> bool;
        pub fn peer_boost_get(made: *mut libc::c_void, buffer: *mut libc::c_void, size: usize) -> bool;
    }
}

/// A queue.
pub struct Queue(#[allow(dead_code, reason = "without the header")] *mut libc::c_void);

// SAFETY: made for many threads of many processes.
unsafe impl Sync for Queue {}

#[cfg(has_boost)]
impl Queue {
    /// For so many messages of so many bytes.
    #[must_use]
    pub fn new(capacity: usize, message_size: usize) -> Option<Self> {
        let name = std::ffi::CString::new(format!("forq-bench-{}", std::process::id())).ok()?;
        // SAFETY: a C string.
        let made = unsafe { c::peer_boost_new(name.as_ptr(), capacity, message_size) };
        assert!(!made.is_null(), "Boost's queue cannot be made");
        Some(Self(made))
    }

    /// Puts, waiting while it is full.
    pub fn put(&self, message: &[u8]) {
        // SAFETY: a queue, and a slice.
        assert!(unsafe { c::peer_boost_put(self.0, message.as_ptr().cast(), message.len()) });
    }

    /// Gets, waiting while it is empty.
    pub fn get(&self, message: &mut [u8]) {
        // SAFETY: a queue, and a slice.
        assert!(unsafe { c::peer_boost_get(self.0, message.as_mut_ptr().cast(), message.len()) });
    }
}

#[cfg(has_boost)]
impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: ours, used no more.
        unsafe { c::peer_boost_free(self.0) }
    }
}

#[cfg(not(has_boost))]
impl Queue {
    /// Not here.
    #[must_use]
    pub fn new(_capacity: usize, _message_size: usize) -> Option<Self> {
        None
    }

    /// Not here.
    pub fn put(&self, _message: &[u8]) {
        unreachable!()
    }

    /// Not here.
    pub fn get(&self, _message: &mut [u8]) {
        unreachable!()
    }
}
