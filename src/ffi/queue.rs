//! Bounded queues.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::NonNull;

use super::{borrow, borrow_mut, count, deadline, object_name, status};
use crate::error::{Error, Result};
use crate::queue::memory::Memory;
use crate::queue::ring::{Got, Ring};
use crate::sys::map::Mapping;

/// A bounded first-in first-out queue in shared memory: any number of producers and consumers, threads of any processes.
///
/// Messages have a length each, up to a limit. When a put has returned, every process sees the message; what one producer puts comes
/// out in its order. Putting waits while the queue is full, getting while it is empty.
///
/// Deaths: nobody hangs, no message is torn or doubled, and at most the one in the dead one's hands (of a batch: those) is gone.
/// A put that had not returned may have arrived or not; what a consumer took and died with stays unfinished for
/// forq_queue_join. A process that is stopped while it waits stops nobody.
///
/// A handle holds in every later fork, where it is used and freed like the parent's.
pub struct forq_queue {
    _opaque: [u8; 0],
}

/// What a queue has done since it was made.
#[repr(C)]
pub struct forq_queue_statistics {
    /// Messages put.
    pub put: u64,
    /// Messages taken out, those lost included.
    pub got: u64,
    /// Messages taken out by a process that died before its call had returned: as many as can be seen.
    pub lost: u64,
    /// Calls that had to wait for room.
    pub full_waits: u64,
    /// Calls that had to wait for a message.
    pub empty_waits: u64,
    /// Zero.
    pub reserved: [u64; 8],
}

/// What a handle points to: in a private page, where no other process can change it.
struct Handle {
    memory: Memory,
    /// The page itself, unmapped when the handle is freed.
    page: Mapping,
}

/// Puts a handle in a page of its own.
fn handle(memory: Memory) -> Result<*mut forq_queue> {
    let page = Mapping::private(size_of::<Handle>())?;
    let place = page.start().cast::<Handle>().as_ptr();
    // SAFETY: a new page, larger than a handle, for which this is the only use.
    unsafe { place.write(Handle { memory, page }) };
    Ok(place.cast())
}

/// # Safety
/// As [`borrow`].
unsafe fn memory<'a>(q: *const forq_queue) -> Result<&'a Memory> {
    // SAFETY: by contract; a queue is a pointer to a handle.
    unsafe { borrow(q.cast::<Handle>()) }.map(|handle| &handle.memory)
}

/// # Safety
/// As [`borrow`].
unsafe fn ring<'a>(q: *const forq_queue) -> Result<&'a Ring> {
    // SAFETY: by contract.
    unsafe { memory(q) }.map(|memory| &memory.ring)
}

/// Makes an empty queue for capacity messages of up to message_size bytes, in memory of its own, which every later fork shares. Pages
/// come with their first use.
///
/// Returns 0; -EINVAL for NULL, 0, more than 2^31 messages or 2^32 - 1 bytes, or a product that overflows; -ENOMEM.
///
/// # Safety
/// `queue_out` must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_new(
    capacity: usize,
    message_size: usize,
    queue_out: *mut *mut forq_queue,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(queue_out) }.and_then(|queue_out| {
        *queue_out = handle(Memory::new(capacity, message_size, (0, 0))?)?;
        Ok(())
    });
    status(result)
}

/// The bytes that forq_queue_init needs; 0 if there can be no such queue.
#[unsafe(no_mangle)]
pub extern "C" fn forq_queue_required_size(capacity: usize, message_size: usize) -> usize {
    Ring::required_size(capacity, message_size)
}

/// Makes an empty queue in the caller's memory, 64-aligned and mapped MAP_SHARED, which is never freed. Others that have mapped it, at
/// whatever address, find the queue by forq_queue_attach.
///
/// Returns 0; -EINVAL for NULL, memory that is misaligned or smaller than forq_queue_required_size says, or as forq_queue_new; -ENOMEM.
///
/// # Safety
/// `memory` must be NULL or writable for `size` bytes, stay mapped until the queue is freed, and be used by nobody meanwhile. `queue_out`
/// must be NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_init(
    memory: *mut c_void,
    size: usize,
    capacity: usize,
    message_size: usize,
    queue_out: *mut *mut forq_queue,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(queue_out) }.and_then(|queue_out| {
        let memory = NonNull::new(memory.cast()).ok_or(Error::InvalidArgument)?;
        // SAFETY: by contract.
        *queue_out = handle(unsafe { Memory::make_in(memory, size, capacity, message_size) }?)?;
        Ok(())
    });
    status(result)
}

/// Finds a queue that forq_queue_init has made in this memory, by this process or another.
///
/// Returns 0; -EPROTO if there is none, or one of another version of forq; -EINVAL for NULL or misaligned memory; -ENOMEM.
///
/// # Safety
/// As [`forq_queue_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_attach(
    memory: *mut c_void,
    size: usize,
    queue_out: *mut *mut forq_queue,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { borrow_mut(queue_out) }.and_then(|queue_out| {
        let memory = NonNull::new(memory.cast()).ok_or(Error::InvalidArgument)?;
        // SAFETY: by contract.
        *queue_out = handle(unsafe { Memory::find_in(memory, size) }?)?;
        Ok(())
    });
    status(result)
}

/// Ends this process's use of a queue, which no thread of it uses any more. NULL: nothing. The messages stay with whoever maps the memory;
/// the caller's memory is never freed.
///
/// # Safety
/// `q` must be NULL or a queue that nobody in this process uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_free(q: *mut forq_queue) {
    let place = q.cast::<Handle>();
    if place.is_null() || !place.is_aligned() {
        return;
    }
    // SAFETY: by contract; moved out, so that the page is unmapped last, when nothing is in it.
    let Handle { memory, page } = unsafe { place.read() };
    drop(memory);
    drop(page);
}

/// Whether a pointer may be used for so many bytes: anything for none.
fn checked(pointer: *const c_void, size: usize) -> Result<*const u8> {
    if (pointer.is_null() && size > 0) || size > isize::MAX as usize {
        return Err(Error::InvalidArgument);
    }
    let none = NonNull::<u8>::dangling().as_ptr().cast_const();
    Ok(if size == 0 { none } else { pointer.cast() })
}

/// Puts a message of size bytes, waiting for room for at most timeout_ns. (NULL, 0) is an empty one.
///
/// Returns 0; -EMSGSIZE if it is too large; -ESHUTDOWN after forq_queue_close; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -EINTR, see
/// forq_set_interruptible; -EDEADLK in a signal handler that interrupted another call on the queue; -EPROTO if a stranger has
/// written into the queue; -EINVAL. Otherwise than by 0, nothing was put.
///
/// # Safety
/// `q` must be NULL or a queue, `message` readable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_put(
    q: *mut forq_queue,
    message: *const c_void,
    size: usize,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { ring(q) }.and_then(|ring| {
        // However large: the ring tells that it does not fit.
        let message = checked(message, size.min(isize::MAX as usize))?;
        // SAFETY: by contract and the check.
        unsafe { ring.put(message, size, deadline(timeout_ns)?) }
    });
    status(result)
}

/// Takes the next message into a buffer, waiting for one for at most timeout_ns.
///
/// size_out: its size; NULL if that is not wanted. A message that does not fit stays: -EMSGSIZE, and size_out is the size needed.
/// Returns 0; -EMSGSIZE; -ESHUTDOWN if the queue is closed and nothing is left; else as forq_queue_put.
///
/// # Safety
/// `q` must be NULL or a queue, `buffer_out` writable for `capacity` bytes, `size_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_get(
    q: *mut forq_queue,
    buffer_out: *mut c_void,
    capacity: usize,
    size_out: *mut usize,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let result = unsafe { memory(q) }.and_then(|memory| {
        let buffer = checked(buffer_out, capacity.min(isize::MAX as usize))?.cast_mut();
        // SAFETY: by contract.
        let size_out = if size_out.is_null() { None } else { Some(unsafe { borrow_mut(size_out) }?) };
        // SAFETY: by contract and the check.
        let (size, result) = match unsafe { memory.get(buffer, capacity, deadline(timeout_ns)?) }? {
            Got::Message(size) => (size, Ok(())),
            Got::TooLarge(size) => (size, Err(Error::MessageSize)),
        };
        if let Some(size_out) = size_out {
            *size_out = size;
        }
        result
    });
    status(result)
}

/// How many messages are in the queue now, also after it was closed. -EINVAL.
///
/// # Safety
/// `q` must be NULL or a queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_len(q: *const forq_queue) -> c_int {
    // SAFETY: by contract.
    count(unsafe { ring(q) }.map(Ring::len))
}

/// No more puts, here or anywhere: they give -ESHUTDOWN, those that wait included; gets take what is left, then give it too.
///
/// Returns 0, also when it was closed before; -EINVAL.
///
/// # Safety
/// `q` must be NULL or a queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_close(q: *mut forq_queue) -> c_int {
    // SAFETY: by contract.
    status(unsafe { ring(q) }.map(Ring::close))
}

/// Marks one of the messages that were taken as done, for forq_queue_join.
///
/// Returns 0; -EOVERFLOW if as many have been marked as were put; -EINVAL.
///
/// # Safety
/// `q` must be NULL or a queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_task_done(q: *mut forq_queue) -> c_int {
    // SAFETY: by contract.
    status(unsafe { ring(q) }.and_then(Ring::task_done))
}

/// Waits until every message put has been marked done, for at most timeout_ns. What a consumer took and died with stays unfinished.
///
/// Returns 0; -ETIMEDOUT, or -EAGAIN if timeout_ns is 0; -EINTR; -EINVAL.
///
/// # Safety
/// `q` must be NULL or a queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_join(q: *mut forq_queue, timeout_ns: i64) -> c_int {
    // SAFETY: by contract.
    status(unsafe { ring(q) }.and_then(|ring| ring.join(deadline(timeout_ns)?)))
}

/// What the queue has done. Counts read while it is in use may be of slightly different moments.
///
/// Returns 0; -EINVAL.
///
/// # Safety
/// `q` must be NULL or a queue, `stats_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_stats(
    q: *const forq_queue,
    stats_out: *mut forq_queue_statistics,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { ring(q).and_then(|ring| Ok((ring, borrow_mut(stats_out)?))) };
    status(both.map(|(ring, stats_out)| {
        let now = ring.statistics();
        *stats_out = forq_queue_statistics {
            put: now.put,
            got: now.got,
            lost: now.lost,
            full_waits: now.full_waits,
            empty_waits: now.empty_waits,
            reserved: [0; 8],
        };
    }))
}

/// The bytes of count messages of one size, and that they are there.
fn checked_many(pointer: *const c_void, size: usize, count: usize) -> Result<*const u8> {
    checked(pointer, size.checked_mul(count).ok_or(Error::InvalidArgument)?)
}

/// Puts count messages of size bytes each that lie side by side, one after the other, waiting for room for at most timeout_ns in all.
/// For the price of one lock: no other producer's come between, unless the queue fills up.
///
/// done_out: how many were put: all, or fewer if an error came after the first one.
/// Returns 0; else as forq_queue_put: none was put.
///
/// # Safety
/// `q` must be NULL or a queue, `messages` readable for `size * count` bytes, `done_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_put_many(
    q: *mut forq_queue,
    messages: *const c_void,
    size: usize,
    count: usize,
    done_out: *mut usize,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { ring(q).and_then(|ring| Ok((ring, borrow_mut(done_out)?))) };
    status(both.and_then(|(ring, done_out)| {
        let messages = checked_many(messages, size, count)?;
        // SAFETY: by contract and the check.
        *done_out = unsafe { ring.put_many(messages, size, count, deadline(timeout_ns)?) }?;
        Ok(())
    }))
}

/// Takes what messages there are, at most max, waiting for the first one for at most timeout_ns. Each must be of exactly size bytes: it
/// stops before one that is not.
///
/// done_out: how many were taken.
/// Returns 0; -EMSGSIZE if the first one is not of that size; else as forq_queue_get: none was taken.
///
/// # Safety
/// `q` must be NULL or a queue, `buffer_out` writable for `size * max` bytes, `done_out` NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_get_many(
    q: *mut forq_queue,
    buffer_out: *mut c_void,
    size: usize,
    max: usize,
    done_out: *mut usize,
    timeout_ns: i64,
) -> c_int {
    // SAFETY: by contract.
    let both = unsafe { memory(q).and_then(|memory| Ok((memory, borrow_mut(done_out)?))) };
    status(both.and_then(|(memory, done_out)| {
        let buffer = checked_many(buffer_out, size, max)?.cast_mut();
        // SAFETY: by contract and the check.
        match unsafe { memory.get_many(buffer, size, max, deadline(timeout_ns)?) }? {
            Got::Message(taken) => *done_out = taken,
            Got::TooLarge(_) => return Err(Error::MessageSize),
        }
        Ok(())
    }))
}

/// A descriptor of this process that is readable while there may be messages, or the queue is closed: for poll, epoll and forq_wait, not for
/// reading; the queue's. Made at the first call; until somebody asks for one it costs nothing. Who finds it readable calls forq_queue_get with
/// timeout 0 until that gives -EAGAIN, which makes it unreadable. It is a datagram socket, so that processes that were there before reach
/// it, too.
///
/// Returns the descriptor; -ENOMEM without descriptors; -ENOSPC if 32 processes have one; -EINVAL. From then on, a put that ends emptiness gives
/// -ENOMEM if its process has no descriptor left to tell by.
///
/// # Safety
/// `q` must be NULL or a queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_fd(q: *mut forq_queue) -> c_int {
    // SAFETY: by contract.
    count(unsafe { memory(q) }.and_then(|memory| Ok(memory.descriptor()? as usize)))
}

/// Gives it a name, for tools to show, or takes it away: as forq_mutex_set_name.
///
/// Returns 0; -EINVAL if the object is NULL or not in memory mapped MAP_SHARED, or the name has more than 63 bytes; -ENOSPC if 1023 objects
/// have names; -ENOMEM, also without descriptors; -ENOSYS without /proc.
///
/// # Safety
/// `q` must be NULL or a queue, `name` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forq_queue_set_name(q: *const forq_queue, name: *const c_char) -> c_int {
    // SAFETY: by contract.
    status(unsafe { ring(q).and_then(|ring| ring.set_name(object_name(name))) })
}
