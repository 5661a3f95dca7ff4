//! Bells: sockets that become readable when somebody in another process, who need not be related, rings them by their name.
//!
//! An eventfd would do between a process and those forked after it was made; but not for a process that was there before. A datagram socket with a name
//! that is no file (the abstract namespace of `unix(7)`) can be reached from any process of the network namespace, and is gone with its last descriptor.

use super::errno::{self, EAGAIN, EINTR};
use super::fd::Fd;
use crate::error::{Error, Result};

/// The name of a bell: one of several of an object that has a number of its own.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    pub(crate) object: u64,
    pub(crate) index: u8,
}

/// "forq-" and 18 hexadecimal digits, behind a zero byte.
const LENGTH: usize = 1 + 5 + 18;

impl Name {
    fn address(self) -> (libc::sockaddr_un, libc::socklen_t) {
        // SAFETY: zero bytes are a value of it.
        let mut address: libc::sockaddr_un = unsafe { core::mem::zeroed() };
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
        let number = u128::from(self.object) << 8 | u128::from(self.index);
        let digits = (0..18).rev().map(|at| digit((number >> (4 * at)) as u8 & 15));
        let name = core::iter::once(0).chain(*b"forq-").chain(digits);
        for (place, byte) in address.sun_path.iter_mut().zip(name) {
            *place = byte as libc::c_char;
        }
        let length = core::mem::offset_of!(libc::sockaddr_un, sun_path) + LENGTH;
        (address, length as libc::socklen_t)
    }
}

fn failed(code: i32) -> Error {
    match code {
        libc::EADDRINUSE => Error::AlreadyExists,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS => Error::OutOfMemory,
        other => Error::from_errno(other),
    }
}

fn socket() -> Result<Fd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers.
    let made = errno::preserve(|| unsafe { libc::socket(libc::AF_UNIX, kind, 0) });
    // SAFETY: the kernel made it for us.
    unsafe { Fd::from_raw(made.map_err(failed)?) }.above_standard()
}

#[cfg(any(feature = "std", feature = "capi"))]
/// Makes a bell. `AlreadyExists`: there is one of that name.
pub(crate) fn make(name: Name) -> Result<Fd> {
    let bell = socket()?;
    let (address, length) = name.address();
    // SAFETY: an address of that length, which outlives the call.
    errno::preserve(|| unsafe { libc::bind(bell.raw(), (&raw const address).cast(), length) })
        .map_err(failed)?;
    Ok(bell)
}

/// Rings those of an object that `bits` name. A bell that has been rung already, or is gone, is none to ring. An error: none was rung.
pub(crate) fn ring(object: u64, bits: u32) -> Result<()> {
    let sender = socket()?;
    for index in (0..u32::BITS as u8).filter(|index| bits & 1 << index != 0) {
        let (address, length) = Name { object, index }.address();
        loop {
            // SAFETY: no bytes, and an address of that length, which outlives the call.
            let sent = errno::preserve(|| unsafe {
                libc::sendto(
                    sender.raw(),
                    core::ptr::null(),
                    0,
                    libc::MSG_NOSIGNAL,
                    (&raw const address).cast(),
                    length,
                ) as i64
            });
            match sent {
                Err(EINTR) => {}
                // Refused: nobody is there; no room: it has been rung.
                _ => break,
            }
        }
    }
    Ok(())
}

/// Makes it unreadable until it is rung again.
pub(crate) fn silence(bell: &Fd) {
    loop {
        // SAFETY: no bytes are wanted.
        let taken = errno::preserve(|| unsafe {
            libc::recv(bell.raw(), core::ptr::null_mut(), 0, libc::MSG_DONTWAIT) as i64
        });
        if !matches!(taken, Ok(_) | Err(EINTR)) {
            debug_assert!(matches!(taken, Err(EAGAIN)));
            return;
        }
    }
}

#[cfg(any(feature = "std", feature = "capi"))]
/// A number that nobody else has: random, not 0.
pub(crate) fn object_number() -> u64 {
    let mut number = 0u64;
    // SAFETY: a place for eight bytes.
    let filled = errno::preserve(|| unsafe {
        libc::syscall(libc::SYS_getrandom, &raw mut number, size_of::<u64>(), libc::GRND_NONBLOCK)
    });
    if filled != Ok(8) {
        // A machine that has just started: any number will do that is unlikely to be another's.
        number = super::clock::now() << 16 ^ u64::from(super::proc::pid());
    }
    number.max(1)
}
