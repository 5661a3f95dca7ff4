//! Messages as packets of a socket: how they are sent and received.
//!
//! | bytes | what |
//! |---|---|
//! | 0-7 | the kind: 1 a message, 2 a descriptor, which travels with the packet |
//! | 8-15 | a message's size; 0 |
//! | 16- | the message, or its first part: then a sealed memory file with the rest travels with the packet |
//!
//! The header tells an empty message from the end. A packet is queued by one system call, so that a message is there whole or not
//! at all, and several senders' messages do not mix. The first part of a large one is what fills the socket's buffer: so a slow receiver
//! holds its senders up before their files fill the memory.

use core::mem::MaybeUninit;

use super::inbox::{Inbox, Turn, UNBOUNDED};
use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::fd::{self, Fd};
use crate::sys::{sealed, socket};

/// A message of this size at most travels in the packet itself.
const INLINE: usize = 64 << 10;
/// So much of a larger one does. The kernel reports room while a quarter of its buffer, usually 208 KiB, is taken: so a sender makes
/// one file while the receiver copies another.
const FIRST_PART: usize = 32 << 10;

/// A message of this size at most is copied once more, beside its header, for the shorter way into the kernel.
const SMALL: usize = 2032;

const HEADER: usize = 16;
const MESSAGE: u64 = 1;
const DESCRIPTOR: u64 = 2;

fn header(kind: u64, size: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&kind.to_ne_bytes());
    header[8..].copy_from_slice(&(size as u64).to_ne_bytes());
    header
}

/// The packet that is next at an end; still there.
enum Next {
    Message {
        size: usize,
        inline: usize,
        rest: Option<Fd>,
    },
    Descriptor(
        #[cfg_attr(
            not(any(feature = "std", feature = "capi")),
            expect(dead_code, reason = "dropped where nobody can receive it")
        )]
        Fd,
    ),
}

/// Looks at the next packet. Under the turn. `Protocol` for one that forq did not make, which is thrown away.
fn look(socket: i32) -> Result<Next> {
    let mut header = [0; HEADER];
    let seen = socket::peek(socket, &mut header)?;
    parse(header, seen).map_or_else(|| Err(throw_away(socket)), Ok)
}

/// The kind and the size.
fn read(header: [u8; HEADER]) -> (u64, u64) {
    let word = |at: usize| u64::from_ne_bytes(core::array::from_fn(|i| header[at + i]));
    (word(0), word(8))
}

fn parse(header: [u8; HEADER], seen: socket::Seen) -> Option<Next> {
    let inline = seen.length.checked_sub(HEADER)?;
    let (kind, size) = read(header);
    let size = usize::try_from(size).ok()?;
    match (kind, seen.descriptor) {
        (MESSAGE, None) if inline == size => Some(Next::Message { size, inline, rest: None }),
        (MESSAGE, Some(rest)) if inline < size && sealed::is_sealed(&rest) => {
            Some(Next::Message { size, inline, rest: Some(rest) })
        }
        (DESCRIPTOR, Some(descriptor)) if inline == 0 => Some(Next::Descriptor(descriptor)),
        _ => None,
    }
}

fn throw_away(socket: i32) -> Error {
    socket::take(socket, &mut [], &mut []).err().unwrap_or(Error::Protocol)
}

/// Why a call whose time is up ends.
fn out_of_time(deadline: Deadline) -> Error {
    if deadline.is_now() { Error::WouldBlock } else { Error::TimedOut }
}

fn wait_for_room(socket: i32, deadline: Deadline) -> Result<()> {
    if fd::poll_room(socket, deadline)? { Ok(()) } else { Err(out_of_time(deadline)) }
}

/// Sends one packet, waiting for room.
fn send_packet(
    socket: i32,
    header: [u8; HEADER],
    body: &[u8],
    descriptor: Option<i32>,
    deadline: Deadline,
) -> Result<()> {
    when_there_is_room(socket, deadline, || socket::send(socket, &header, body, descriptor))
}

fn when_there_is_room(socket: i32, deadline: Deadline, mut send: impl FnMut() -> Result<()>) -> Result<()> {
    loop {
        match send() {
            Err(Error::WouldBlock) if !deadline.is_now() => wait_for_room(socket, deadline)?,
            other => return other,
        }
    }
}

/// One part and then the other, in a place that has room for both.
fn joined<'a>(first: &[u8], second: &[u8], room: &'a mut [MaybeUninit<u8>]) -> &'a [u8] {
    let place = &mut room[..first.len() + second.len()];
    let (start, end) = place.split_at_mut(first.len());
    for (part, place) in [(first, start), (second, end)] {
        // SAFETY: places of the same length, which do not overlap; bytes.
        unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), place.as_mut_ptr().cast(), part.len()) };
    }
    // SAFETY: all of it was written.
    unsafe { &*(core::ptr::from_ref(place) as *const [u8]) }
}

/// Sends a message, whole or not at all.
pub(super) fn send(socket: i32, to: &Inbox, message: &[u8], deadline: Deadline) -> Result<()> {
    let header = header(MESSAGE, message.len());
    if message.len() <= SMALL {
        to.announce(message.len() as u64, deadline)?;
        let mut room = [MaybeUninit::uninit(); HEADER + SMALL];
        let packet = joined(&header, message, &mut room);
        return when_there_is_room(socket, deadline, || socket::send_bytes(socket, packet));
    }
    let mut inline = if message.len() <= INLINE { message.len() } else { FIRST_PART };
    loop {
        let (here, rest) = message.split_at(inline);
        let file = if rest.is_empty() {
            None
        } else {
            // Before memory is used: so a sender that waits has none.
            wait_for_room(socket, deadline)?;
            Some(sealed::make(rest)?)
        };
        to.announce(if file.is_some() { UNBOUNDED } else { message.len() as u64 }, deadline)?;
        match send_packet(socket, header, here, file.as_ref().map(Fd::raw), deadline) {
            // This system's buffers are small.
            Err(Error::MessageSize) if inline > 0 => inline = 0,
            other => return other,
        }
    }
}

/// Sends a copy of a descriptor.
#[cfg(any(feature = "std", feature = "capi"))]
pub(super) fn send_descriptor(socket: i32, to: &Inbox, descriptor: i32, deadline: Deadline) -> Result<()> {
    if descriptor < 0 {
        return Err(Error::InvalidArgument);
    }
    to.announce(UNBOUNDED, deadline)?;
    send_packet(socket, header(DESCRIPTOR, 0), &[], Some(descriptor), deadline)
}

/// What there was to receive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message of this size, in the buffer.
    Message(usize),
    /// Nothing: the message of this size does not fit, and stays.
    TooLarge(usize),
}

/// Receives the next message.
pub(super) fn receive(
    socket: i32,
    inbox: &Inbox,
    buffer: &mut [MaybeUninit<u8>],
    deadline: Deadline,
) -> Result<Received> {
    in_turn(socket, inbox, deadline, |turn| {
        let largest = turn.largest();
        if largest <= buffer.len() as u64 {
            return take(socket, largest, buffer).map(Received::Message);
        }
        let Next::Message { size, inline, rest } = look(socket)? else { return Err(Error::Protocol) };
        let Some(buffer) = buffer.get_mut(..size) else { return Ok(Received::TooLarge(size)) };
        let (here, there) = buffer.split_at_mut(inline);
        if let Some(file) = rest {
            // Taken only after this: a receiver that is killed in the middle leaves the message to the next.
            match sealed::read(&file, there) {
                Err(Error::Protocol) => return Err(throw_away(socket)),
                other => other?,
            }
        }
        socket::take(socket, &mut [0; HEADER], here)?;
        Ok(Received::Message(size))
    })
}

/// Takes the next packet, a message that fits, which `largest` promises; returns its size. Under the turn.
fn take(socket: i32, largest: u64, buffer: &mut [MaybeUninit<u8>]) -> Result<usize> {
    let mut header = [0; HEADER];
    let length = if largest <= SMALL as u64 {
        let mut room = [MaybeUninit::uninit(); HEADER + SMALL];
        let (length, packet) = socket::take_bytes(socket, &mut room)?;
        // Longer than anything that was announced: forq did not send it, and here is only its beginning.
        if length > packet.len() {
            return Err(Error::Protocol);
        }
        if let Some((head, body)) = packet.split_first_chunk() {
            header = *head;
            // One that is larger than the buffer is refused below.
            for (to, from) in buffer.iter_mut().zip(body) {
                to.write(*from);
            }
        }
        length
    } else {
        socket::take(socket, &mut header, buffer)?
    };
    match (read(header), length.checked_sub(HEADER)) {
        ((MESSAGE, size), Some(inline)) if size == inline as u64 && inline <= buffer.len() => Ok(inline),
        _ => Err(Error::Protocol),
    }
}

/// The size of the next message, which stays.
pub(super) fn next_size(socket: i32, inbox: &Inbox, deadline: Deadline) -> Result<usize> {
    in_turn(socket, inbox, deadline, |_| match look(socket)? {
        Next::Message { size, .. } => Ok(size),
        Next::Descriptor(_) => Err(Error::Protocol),
    })
}

/// Receives the next descriptor.
#[cfg(any(feature = "std", feature = "capi"))]
pub(super) fn receive_descriptor(socket: i32, inbox: &Inbox, deadline: Deadline) -> Result<Fd> {
    in_turn(socket, inbox, deadline, |_| {
        let Next::Descriptor(descriptor) = look(socket)? else { return Err(Error::Protocol) };
        let descriptor = descriptor.above_standard()?;
        socket::take(socket, &mut [0; HEADER], &mut [])?;
        Ok(descriptor)
    })
}

/// Calls `act` when there is a packet, as the only receiver of this end. It says `WouldBlock` if there is none.
fn in_turn<R>(
    socket: i32,
    inbox: &Inbox,
    deadline: Deadline,
    mut act: impl FnMut(&Turn<'_>) -> Result<R>,
) -> Result<R> {
    loop {
        let turn = inbox.take(deadline)?;
        match act(&turn) {
            Err(Error::WouldBlock) => {}
            other => return other,
        }
        drop(turn);
        // Others may come first, so that there is nothing again.
        if deadline.is_now() || !fd::poll([socket], deadline)?[0] {
            return Err(out_of_time(deadline));
        }
    }
}
