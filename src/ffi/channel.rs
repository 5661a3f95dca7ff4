//! Channels.

use core::ffi::{c_char, c_int, c_void};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;

use super::{borrow, borrow_mut, deadline, object_name, status};
use crate::channel::Channel;
use crate::channel::side::{Consuming, End, Producing, Role};
use crate::error::{Error, Result};
use crate::pipe::Received;

/// A ring of messages in shared memory: one producer, one consumer, threads of any processes. Messages have a size each, up to a limit.
///
/// Each side is used by one thread at a time: to see to that is the callers' duty, within a process and between processes. Another process
/// takes a side over by calling it, when the one before is not inside a call, or is dead; a call while it is gives -EPERM, and so does one
/// that would have to wait while another thread of its process is in a call. This finds mistakes, but is no lock: of two that
/// begin at the same instant both may be let in, and then messages are lost. A thread must not end inside a call. Between reserve and commit, and between peek and release, a call is under way.
///
/// While the channel is neither full nor empty a put or a get is a fixed number of instructions, none of them locked, whatever the other
/// side does, be it stopped or killed.
///
/// Deaths: nobody hangs, and no message is torn or doubled. A put that had not returned may have arrived or not; a message whose get had not
/// returned is there for the next consumer, or it was taken. A call that has to wait for a side whose process has ended, or has freed the
/// channel, gives a successor half a second to come; then it gives -EPIPE. Whenever another process takes that side over all goes on.
///
/// A handle holds in every later fork, where it is used and freed like the parent's.
pub struct forq_channel {
    _opaque: [u8; 0],
}

/// This process's handle of a side.
///
/// # Safety
/// As [`borrow`]; no other thread of this process may be in a call on the side.
unsafe fn end<R: Role>(c: *mut forq_channel) -> Result<ManuallyDrop<End<R>>> {
    // SAFETY: by contract; a channel is a pointer to what this process knows of it.
    let channel = unsafe { borrow(c.cast::<Channel>()) }?;
    // SAFETY: by contract.
    Ok(ManuallyDrop::new(unsafe { End::new(NonNull::from(channel)) }))
}

/// Makes an empty channel for capacity messages of up to message_size bytes, in memory of its own, which every later fork shares. Pages
/// come with their first use.
///
/// Returns 0; -EINVAL for NULL, 0, a capacity above 2^32 - 1, or a product that overflows; -ENOMEM.
///
/// # Safety
/// `channel_out` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_channel_new(
    capacity: usize,
    message_size: usize,
    channel_out: *mut *mut forq_channel,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(channel_out) }.and_then(|channel_out| {
        let (producer, consumer) = Channel::create(capacity, message_size, false, 0)?;
        *channel_out = producer.address().as_ptr().cast();
        // They are the handle's: until forq_channel_free.
        core::mem::forget((producer, consumer));
        Ok(())
    });
    status(result)
}

/// Ends this process's use of a channel, on which no thread of it is in a call any more. NULL does nothing.
///
/// The sides that this process used last have nobody then: the other side's calls that have to wait give -EPIPE, unless another process
/// takes over. Messages stay.
///
/// # Safety
/// `c` must be NULL or a channel, and not be used again in this process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_channel_free(c: *mut forq_channel) {
    // SAFETY: by contract.
    if let (Ok(producer), Ok(consumer)) = unsafe { (end::<Producing>(c), end::<Consuming>(c)) } {
        drop((ManuallyDrop::into_inner(producer), ManuallyDrop::into_inner(consumer)));
    }
}

/// Puts a message, waiting for room for at most timeout_ns. (NULL, 0) is an empty one, which is not the end.
///
/// Returns 0; -EMSGSIZE if it is larger than messages may be; -ESHUTDOWN; -EAGAIN or -ETIMEDOUT; -EPIPE if there is no room and the
/// consumer is gone; -EPERM if another one is just putting; -EPROTO if the shared memory holds what cannot be; -EINVAL, also between reserve and
/// commit.
///
/// # Safety
/// `c` must be NULL or a channel, `message` readable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_channel_put(
    c: *mut forq_channel,
    message: *const c_void,
    size: usize,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { end::<Producing>(c) }.and_then(|mut producer| {
        let deadline = deadline(timeout_ns)?;
        if message.is_null() && size > 0 {
            return Err(Error::InvalidArgument);
        }
        if size > isize::MAX as usize {
            return Err(Error::MessageSize);
        }
        let message = if size == 0 {
            &[]
        } else {
            // SAFETY: by contract; not null, and of a size that slices may have.
            unsafe { core::slice::from_raw_parts(message.cast::<u8>(), size) }
        };
        producer.put(message, deadline)
    });
    status(result)
}

/// Takes the next message into a buffer, waiting for it for at most timeout_ns.
///
/// size_out: its size. A message that does not fit stays: -EMSGSIZE, and size_out is the size needed, so (NULL, 0) asks for it (an empty message
/// fits, and is taken).
/// Returns 0; -EMSGSIZE; -ESHUTDOWN if the channel is closed and nothing is left; -EAGAIN or -ETIMEDOUT; -EPIPE if nothing is left and the producer
/// is gone; -EPERM if another one is just getting; -EPROTO if the shared memory holds what cannot be; -EINVAL, also between peek and release.
///
/// # Safety
/// `c` must be NULL or a channel, `buffer_out` writable for `capacity` bytes, `size_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_channel_get(
    c: *mut forq_channel,
    buffer_out: *mut c_void,
    capacity: usize,
    size_out: *mut usize,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { end::<Consuming>(c).and_then(|consumer| Ok((consumer, borrow_mut(size_out)?))) };
    status(both.and_then(|(mut consumer, size_out)| {
        let deadline = deadline(timeout_ns)?;
        if buffer_out.is_null() && capacity > 0 {
            return Err(Error::InvalidArgument);
        }
        let buffer: &mut [MaybeUninit<u8>] = if capacity == 0 {
            &mut []
        } else {
            // No message is larger than what slices may have.
            let capacity = capacity.min(isize::MAX as usize);
            // SAFETY: by contract; not null.
            unsafe { core::slice::from_raw_parts_mut(buffer_out.cast(), capacity) }
        };
        let (size, result) = match consumer.get(buffer, deadline)? {
            Received::Message(size) => (size, Ok(())),
            Received::TooLarge(size) => (size, Err(Error::MessageSize)),
        };
        *size_out = size;
        result
    }))
}

/// Gives a place in the channel to write the next message to, waiting for room for at most timeout_ns: no copy is made.
///
/// slot_out: message_size bytes, aligned as an array of types of message_size bytes would be (from 1024 bytes on to 64). What stands there is
/// left from earlier messages. Until forq_channel_commit the same place is given again; in a process that is killed, nothing was put.
/// Returns as forq_channel_put.
///
/// # Safety
/// `c` must be NULL or a channel, `slot_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_channel_reserve(
    c: *mut forq_channel,
    slot_out: *mut *mut c_void,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { end::<Producing>(c).and_then(|producer| Ok((producer, borrow_mut(slot_out)?))) };
    status(both.and_then(|(mut producer, slot_out)| {
        *slot_out = producer.reserve(deadline(timeout_ns)?)?.cast();
        Ok(())
    }))
}

/// Puts the message that was written to the reserved place: its first size bytes.
///
/// Returns 0; -EMSGSIZE if the place has fewer: it stays reserved; -ESHUTDOWN: it is given up; -EINVAL if this process has reserved none.
///
/// # Safety
/// `c` must be NULL or a channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_channel_commit(c: *mut forq_channel, size: usize) -> c_int {
    // SAFETY: by contract.
    status(unsafe { end::<Producing>(c) }.and_then(|mut producer| producer.commit(size)))
}

/// Gives the next message where it is, waiting for it for at most timeout_ns: no copy is made.
///
/// message_out and size_out: the message, which stays there until forq_channel_release; until then the same is given again. In a process
/// that is killed, it was not taken.
/// Returns as forq_channel_get, but -EMSGSIZE.
///
/// # Safety
/// `c` must be NULL or a channel, `message_out` and `size_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_channel_peek(
    c: *mut forq_channel,
    message_out: *mut *const c_void,
    size_out: *mut usize,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract; two places.
    let all = unsafe {
        end::<Consuming>(c)
            .and_then(|consumer| Ok((consumer, borrow_mut(message_out)?, borrow_mut(size_out)?)))
    };
    status(all.and_then(|(mut consumer, message_out, size_out)| {
        let (message, size) = consumer.peek(deadline(timeout_ns)?)?;
        (*message_out, *size_out) = (message.cast(), size);
        Ok(())
    }))
}

/// Takes the message that forq_channel_peek gave: its place may be used for another one.
///
/// Returns 0; -EINVAL if this process has looked at none.
///
/// # Safety
/// `c` must be NULL or a channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_channel_release(c: *mut forq_channel) -> c_int {
    // SAFETY: by contract.
    status(unsafe { end::<Consuming>(c) }.and_then(|mut consumer| consumer.release()))
}

/// No more messages are put: puts give -ESHUTDOWN; gets what is left, then -ESHUTDOWN. Wakes who waits. Again: changes nothing.
///
/// Any process may close it, in a call of a side or not. One that is killed in it has closed the channel or has not.
/// Returns 0; -EINVAL.
///
/// # Safety
/// `c` must be NULL or a channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_channel_close(c: *mut forq_channel) -> c_int {
    // SAFETY: by contract.
    status(unsafe { borrow(c.cast::<Channel>()) }.map(Channel::close))
}

/// Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
///
/// Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
/// have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
///
/// # Safety
/// `c` must be NULL or a channel, `name` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_channel_set_name(c: *const forq_channel, name: *const c_char) -> c_int {
    // SAFETY: by contract.
    status(unsafe { borrow(c.cast::<Channel>()).and_then(|channel| channel.set_name(object_name(name))) })
}
