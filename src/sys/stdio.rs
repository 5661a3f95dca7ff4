//! Flushing C's standard streams around a fork, so that nothing is printed twice or lost.

use super::errno;

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

/// Streams whose buffers were empty at a fork: what a child finds in them is its own.
#[derive(Clone, Copy)]
pub(crate) enum Streams {
    All,
    Some { output: bool, error: bool },
}

/// Flushes all streams, if this is the only thread; otherwise only standard output and error, and
/// each only if nobody is using it: flushing all hangs while another thread waits for input.
pub(crate) fn flush(single_threaded: bool) -> Streams {
    if single_threaded {
        errno::keeping(flush_all);
        return Streams::All;
    }
    // SAFETY: libc's own streams, which live for ever.
    let (output, error) = unsafe { (stdout, stderr) };
    errno::keeping(|| Streams::Some { output: flush_one(output), error: flush_one(error) })
}

impl Streams {
    /// Writes out what a child has printed to them.
    pub(crate) fn flush(self) {
        // SAFETY: libc's own streams, which live for ever.
        let (out, err) = unsafe { (stdout, stderr) };
        errno::keeping(|| match self {
            Self::All => flush_all(),
            Self::Some { output, error } => {
                let _ = output && flush_one(out);
                let _ = error && flush_one(err);
            }
        });
    }
}

fn flush_all() {
    // SAFETY: a null stream means all.
    unsafe { libc::fflush(core::ptr::null_mut()) };
}

/// Whether nobody was using the stream.
fn flush_one(stream: *mut File) -> bool {
    // SAFETY: one of libc's own streams.
    unsafe {
        if stream.is_null() || ftrylockfile(stream) != 0 {
            return false;
        }
        libc::fflush(stream.cast());
        funlockfile(stream);
    }
    true
}
