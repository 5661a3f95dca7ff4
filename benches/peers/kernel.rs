//! The kernel's own message queues: pipe, socket pair, POSIX message queue. For messages of one size.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `pipe(2)`: a stream, so several readers need messages below its atomic size, which ours are.
pub(crate) struct Pipe {
    from: File,
    to: File,
}

impl Pipe {
    pub(crate) fn new() -> Self {
        let mut ends = [0; 2];
        // SAFETY: a place for the result.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "descriptors are to be had");
        // SAFETY: two new descriptors.
        let [from, to] = ends.map(|end| unsafe { File::from_raw_fd(end) });
        Self { from, to }
    }

    pub(crate) fn put(&self, message: &[u8]) {
        (&self.to).write_all(message).expect("the other end is open");
    }

    pub(crate) fn get(&self, message: &mut [u8]) {
        (&self.from).read_exact(message).expect("the other end is open");
    }
}

/// A pair of SEQPACKET sockets.
pub(crate) struct SocketPair([OwnedFd; 2]);

impl SocketPair {
    pub(crate) fn new() -> Self {
        let mut ends = [0; 2];
        // SAFETY: a place for the result.
        let made = unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, ends.as_mut_ptr()) };
        assert_eq!(made, 0, "sockets are to be had");
        // SAFETY: two new descriptors.
        Self(ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) }))
    }

    pub(crate) fn put(&self, message: &[u8]) {
        // SAFETY: a slice.
        let sent = unsafe { libc::send(self.0[0].as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
        assert_eq!(sent, message.len() as isize);
    }

    pub(crate) fn get(&self, message: &mut [u8]) {
        let (place, size) = (message.as_mut_ptr().cast(), message.len());
        // SAFETY: a slice.
        let received = unsafe { libc::recv(self.0[1].as_raw_fd(), place, size, 0) };
        assert_eq!(received, size as isize);
    }
}

/// A POSIX message queue, as deep as the system allows by default.
pub(crate) struct MessageQueue(libc::mqd_t);

impl MessageQueue {
    /// `None` where the system has none.
    pub(crate) fn new(message_size: usize) -> Option<Self> {
        let name = std::ffi::CString::new(format!("/forq-bench-{}", std::process::id())).ok()?;
        // SAFETY: zero is a value of it; then a C string and attributes, which outlive the call.
        let queue = unsafe {
            let mut attributes: libc::mq_attr = std::mem::zeroed();
            attributes.mq_maxmsg = 10;
            attributes.mq_msgsize = message_size as _;
            let queue = libc::mq_open(
                name.as_ptr(),
                libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
                0o600,
                &mut attributes,
            );
            libc::mq_unlink(name.as_ptr());
            queue
        };
        (queue >= 0).then_some(Self(queue))
    }

    pub(crate) fn put(&self, message: &[u8]) {
        // SAFETY: a slice.
        assert_eq!(unsafe { libc::mq_send(self.0, message.as_ptr().cast(), message.len(), 0) }, 0);
    }

    pub(crate) fn get(&self, message: &mut [u8]) {
        let (place, size) = (message.as_mut_ptr().cast(), message.len());
        // SAFETY: a slice; the priority is not wanted.
        let received = unsafe { libc::mq_receive(self.0, place, size, std::ptr::null_mut()) };
        assert_eq!(received, size as isize);
    }
}

impl Drop for MessageQueue {
    fn drop(&mut self) {
        // SAFETY: ours, used no more.
        unsafe { libc::mq_close(self.0) };
    }
}
