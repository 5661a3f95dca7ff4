//! Flushing C's standard streams around a fork, so that nothing is printed twice or lost.

#[repr(C)]
pub(crate) struct File {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    static stdout: *mut File;
    static stderr: *mut File;
    fn ftrylockfile(stream: *mut File) -> i32;
    fn funlockfile(stream: *mut File);
}

/// Flushes all streams, if this is the only thread; otherwise only standard output and error, and
/// each only if nobody is using it: flushing all hangs while another thread waits for input.
pub(crate) fn flush(single_threaded: bool) {
    // SAFETY: libc's own streams, which live for ever; a null stream means all. The caller's errno is kept.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        if single_threaded {
            libc::fflush(core::ptr::null_mut());
        } else {
            for stream in [stdout, stderr] {
                if !stream.is_null() && ftrylockfile(stream) == 0 {
                    libc::fflush(stream.cast());
                    funlockfile(stream);
                }
            }
        }
        *errno = before;
    }
}
