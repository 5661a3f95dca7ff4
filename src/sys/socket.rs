//! Pairs of sockets that carry packets: each whole or not at all, whoever is killed, with a descriptor if wanted.
//!
//! No call here waits, and none raises SIGPIPE: `WouldBlock` where it would have to.

use core::mem::MaybeUninit;

use super::errno::{self, EAGAIN, EINTR, EMSGSIZE, EPIPE};
use super::fd::Fd;
use crate::error::{Error, Result};

/// Two connected ends.
pub(crate) fn pair() -> Result<(Fd, Fd)> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    errno::preserve(|| unsafe {
        libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr())
    })
    .map_err(failed)?;
    // SAFETY: the kernel made both for us.
    let [one, other] = ends.map(|raw| unsafe { Fd::from_raw(raw) });
    Ok((one.above_standard()?, other.above_standard()?))
}

/// Ends the connection for both ends, and for all copies of either: each polls as readable.
pub(crate) fn shut(socket: i32) {
    // SAFETY: no pointers.
    let _ = errno::preserve(|| unsafe { libc::shutdown(socket, libc::SHUT_RDWR) });
}

/// An end of nothing: it cannot send or receive, and polls as ready.
pub(super) fn unconnected() -> Result<Fd> {
    // SAFETY: no pointers.
    let made = errno::preserve(|| unsafe {
        libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0)
    });
    // SAFETY: the kernel made it for us.
    unsafe { Fd::from_raw(made.map_err(failed)?) }.above_standard()
}

/// The error that an errno of a socket's calls stands for.
fn failed(code: i32) -> Error {
    match code {
        EAGAIN => Error::WouldBlock,
        EMSGSIZE => Error::MessageSize,
        EPIPE | libc::ECONNRESET | libc::ECONNREFUSED | libc::ENOTCONN => Error::Disconnected,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ETOOMANYREFS => Error::OutOfMemory,
        // A descriptor to send, which is not open.
        libc::EBADF => Error::InvalidArgument,
        other => Error::from_errno(other),
    }
}

/// Room for one control message with one descriptor, aligned as the kernel's structures are.
#[repr(C)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; CONTROL],
}

/// What a control message with one descriptor takes.
// SAFETY: arithmetic.
const CONTROL: usize = unsafe { libc::CMSG_SPACE(size_of::<i32>() as u32) } as usize;
/// The same without the padding: so that the kernel hands out one descriptor at most.
// SAFETY: arithmetic.
const ONE_DESCRIPTOR: usize = unsafe { libc::CMSG_LEN(size_of::<i32>() as u32) } as usize;

/// A message made of `parts`, without control data.
fn message(parts: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: all bytes zero: no name, no parts, no control data.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len() as _;
    message
}

fn part_of(bytes: &[u8]) -> libc::iovec {
    // The kernel only reads what is sent.
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// Sends `head` and `body` as one packet, and a descriptor with it.
///
/// `Disconnected` if the other end is gone; `MessageSize` if the socket's buffer could never hold it.
pub(crate) fn send(socket: i32, head: &[u8], body: &[u8], descriptor: Option<i32>) -> Result<()> {
    let mut parts = [part_of(head), part_of(body)];
    let mut message = message(&mut parts);
    let mut control = Control { bytes: [0; CONTROL] };
    if let Some(descriptor) = descriptor {
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = ONE_DESCRIPTOR as _;
        control.header.cmsg_len = ONE_DESCRIPTOR as _;
        control.header.cmsg_level = libc::SOL_SOCKET;
        control.header.cmsg_type = libc::SCM_RIGHTS;
        // SAFETY: the control buffer holds a header and a descriptor.
        unsafe { libc::CMSG_DATA(&raw const control.header).cast::<i32>().write_unaligned(descriptor) };
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    loop {
        // SAFETY: the parts and the control data outlive the call.
        match errno::preserve(|| unsafe { libc::sendmsg(socket, &message, flags) as i64 }) {
            Ok(_) => return Ok(()),
            Err(EINTR) => {}
            Err(code) => return Err(failed(code)),
        }
    }
}

/// As [`send`], of bytes in one place: less work for the kernel.
pub(crate) fn send_bytes(socket: i32, packet: &[u8]) -> Result<()> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    loop {
        // SAFETY: a slice, which the kernel only reads.
        let sent = errno::preserve(|| unsafe {
            libc::send(socket, packet.as_ptr().cast(), packet.len(), flags) as i64
        });
        match sent {
            Ok(_) => return Ok(()),
            Err(EINTR) => {}
            Err(code) => return Err(failed(code)),
        }
    }
}

/// What is known of a packet that was looked at.
pub(crate) struct Seen {
    /// In bytes, also if fewer were asked for.
    pub(crate) length: usize,
    /// The descriptor that travels with it: this process's own copy.
    pub(crate) descriptor: Option<Fd>,
}

/// Looks at the next packet, which stays: its beginning, its length, a copy of its descriptor.
///
/// `Disconnected` at the end; `OutOfMemory` if there is no room for its descriptor.
pub(crate) fn peek(socket: i32, head: &mut [u8]) -> Result<Seen> {
    let mut parts = [libc::iovec { iov_base: head.as_mut_ptr().cast(), iov_len: head.len() }];
    let mut message = message(&mut parts);
    let mut control = Control { bytes: [0; CONTROL] };
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = ONE_DESCRIPTOR as _;
    let length = receive(socket, &mut message, libc::MSG_PEEK)?;
    // SAFETY: the control buffer is there; the kernel says in the message how much of it is filled.
    let descriptor = unsafe {
        let first = libc::CMSG_FIRSTHDR(&message);
        let is_descriptor = !first.is_null()
            && (*first).cmsg_level == libc::SOL_SOCKET
            && (*first).cmsg_type == libc::SCM_RIGHTS
            && (*first).cmsg_len as usize >= ONE_DESCRIPTOR;
        is_descriptor.then(|| Fd::from_raw(libc::CMSG_DATA(first).cast::<i32>().read_unaligned()))
    };
    if descriptor.is_none() && message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(Error::OutOfMemory);
    }
    Ok(Seen { length, descriptor })
}

/// Takes the next packet: past `skipped` bytes, as much as fits in `body`. Returns its length.
pub(crate) fn take(socket: i32, skipped: &mut [u8], body: &mut [MaybeUninit<u8>]) -> Result<usize> {
    let mut parts = [
        libc::iovec { iov_base: skipped.as_mut_ptr().cast(), iov_len: skipped.len() },
        libc::iovec { iov_base: body.as_mut_ptr().cast(), iov_len: body.len() },
    ];
    receive(socket, &mut message(&mut parts), 0)
}

/// As [`take`], into one place, where a descriptor that came with it is closed: less work for the kernel. The packet's length, and as much of it as there
/// was room for.
pub(crate) fn take_bytes(socket: i32, place: &mut [MaybeUninit<u8>]) -> Result<(usize, &[u8])> {
    // SAFETY: a slice, into which the kernel writes.
    let length =
        retry(|| unsafe { libc::recv(socket, place.as_mut_ptr().cast(), place.len(), TAKING) as i64 })?;
    let written = &place[..length.min(place.len())];
    // SAFETY: the kernel has written so many bytes.
    Ok((length, unsafe { &*(core::ptr::from_ref(written) as *const [u8]) }))
}

const TAKING: i32 = libc::MSG_DONTWAIT | libc::MSG_TRUNC | libc::MSG_CMSG_CLOEXEC;

fn receive(socket: i32, message: &mut libc::msghdr, flags: i32) -> Result<usize> {
    // SAFETY: the parts and the control data outlive the call.
    retry(|| unsafe { libc::recvmsg(socket, message, flags | TAKING) as i64 })
}

/// The length of the packet received, which is never 0.
fn retry(mut receive: impl FnMut() -> i64) -> Result<usize> {
    loop {
        match errno::preserve(&mut receive) {
            // No packet of ours is empty.
            Ok(0) => return Err(Error::Disconnected),
            Ok(length) => return Ok(length as usize),
            // Told once, when the other end was closed with packets of ours unread. Theirs may still be there.
            Err(EINTR | libc::ECONNRESET) => {}
            Err(code) => return Err(failed(code)),
        }
    }
}
