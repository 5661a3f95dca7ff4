//! Channels: one producer, one consumer, messages in a ring of shared memory.
//!
//! Each side has a position that it alone moves, by a plain store; so no death leaves anything half done. What a side knows of the
//! other's position it keeps until that is used up. See [`side`] for the order of things, [`ring`] for the words.

mod bytes;
mod gate;
mod message;
mod owner;
mod patience;
mod position;
mod receiver;
mod ring;
mod sender;
pub(crate) mod side;
mod slot;
mod wait;

use core::cell::UnsafeCell;
use core::ptr::NonNull;

pub use bytes::{ByteReceiver, ByteSender};
pub use receiver::Receiver;
pub use sender::Sender;
pub use slot::{Message, Slot};

use bytemuck::Pod;
use gate::Gate;
use ring::Ring;
use side::{Consuming, End, Producing, Side};

use crate::error::Result;
use crate::sync::names::{self, ObjectKind};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::map::{self, Mapping};
use crate::sys::{membarrier, thread};

/// What a process knows of a channel, in a page of its own: a fork copies it.
pub(crate) struct Channel {
    ring: Ring,
    /// Handles of this process.
    handles: AtomicU32,
    sides: [UnsafeCell<Side>; 2],
}

/// A producer's and a consumer's end of a channel for values of `T`, with room for `capacity` of them.
///
/// One process, and one thread of it, puts at a time, and one gets; the ends are `&mut` to use, so that within a process the type system
/// sees to it. Children have copies of both ends: **a side is used by the process that calls it, one at a time**. Another process takes it
/// over when it calls it and the one before is not inside a call (or is dead); if it is, the call is
/// [`Error::NotPermitted`](crate::Error::NotPermitted). This finds mistakes, but is no lock: of two processes that call at the same instant
/// both may be let in, and then messages are lost. So make the channel, fork, and use one end here, the other one there.
///
/// # Progress
/// [`put`](Sender::put) and [`get`](Receiver::get) are *wait-free* while the channel is neither full nor empty: a fixed number of
/// instructions, no locked one among them, whatever the other side does, be it stopped or killed. One that has to wait spins about
/// 1.6 us, yields a few times, then sleeps in the kernel until the other side moves.
///
/// # Deaths
/// A process that is killed in `put` has put its message or has not; one killed in `get` has taken one message, or it is still there for the
/// next. Nothing else is lost, nothing is torn or doubled. Who has to wait for a side whose process has ended, or has dropped its end, gives
/// a successor half a second to come; then it is told, by [`Error::Disconnected`](crate::Error::Disconnected). Whenever another process takes that
/// side over all goes on.
///
/// ```
/// use forq::{Error, Process};
///
/// let (mut sender, mut receiver) = forq::channel::<u64>(100)?;
/// # // Doc tests run in a process with other threads.
/// # let spawn = |f: &mut dyn FnMut()| unsafe { Process::spawn_unchecked(|| f()) };
/// # if false { Process::spawn(|| ())?; }
/// let mut producer = spawn(&mut || {
///     (0..1000).for_each(|n| sender.put(n).expect("the consumer lives"));
///     sender.close();
/// })?;
/// let mut sum = 0;
/// loop {
///     match receiver.get() {
///         Ok(number) => sum += number,
///         Err(Error::Closed) => break,
///         Err(error) => return Err(error),
///     }
/// }
/// assert_eq!(sum, 499_500);
/// producer.join()?;
/// # Ok::<(), Error>(())
/// ```
///
/// The ring with free-running positions is L. Lamport's, "Specifying concurrent program modules" (1983); that each side remembers the
/// other's position until it is used up is from J. Giacomoni et al., "FastForward for efficient pipeline parallelism" (2008), and P. Lee et al.,
/// "A lock-free, cache-efficient shared ring buffer" (MCRingBuffer, 2009).
///
/// # Errors
/// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if the capacity is 0 or above 2^32 - 1, the values have no size, or their sum overflows; [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub fn channel<T: Pod>(capacity: usize) -> Result<(Sender<T>, Receiver<T>)> {
    let (producer, consumer) = Channel::create(capacity, size_of::<T>(), true, 0)?;
    Ok((Sender::new(producer), Receiver::new(consumer)))
}

/// As [`channel`], for messages of up to `message_size` bytes, each with its own size. An empty message is a message.
///
/// Large ones can be written and read where they are: [`ByteSender::reserve`], [`ByteReceiver::peek`].
///
/// ```
/// let (mut sender, mut receiver) = forq::byte_channel(16, 100)?;
/// sender.put(b"hello")?;
/// let mut buffer = [0; 100];
/// let size = receiver.get(&mut buffer)?;
/// assert_eq!(&buffer[..size], b"hello");
/// # Ok::<(), forq::Error>(())
/// ```
///
/// # Errors
/// As [`channel`].
pub fn byte_channel(capacity: usize, message_size: usize) -> Result<(ByteSender, ByteReceiver)> {
    let (producer, consumer) = Channel::create(capacity, message_size, false, 0)?;
    Ok((ByteSender::new(producer), ByteReceiver::new(consumer)))
}

/// For tests: as [`channel`], both sides in that lap around the ring.
#[doc(hidden)]
pub fn __channel_in_lap<T: Pod>(capacity: usize, lap: u32) -> Result<(Sender<T>, Receiver<T>)> {
    let (producer, consumer) = Channel::create(capacity, size_of::<T>(), true, lap)?;
    Ok((Sender::new(producer), Receiver::new(consumer)))
}

/// For tests: as [`byte_channel`], both sides in that lap around the ring.
#[doc(hidden)]
pub fn __byte_channel_in_lap(
    capacity: usize,
    message_size: usize,
    lap: u32,
) -> Result<(ByteSender, ByteReceiver)> {
    let (producer, consumer) = Channel::create(capacity, message_size, false, lap)?;
    Ok((ByteSender::new(producer), ByteReceiver::new(consumer)))
}

impl Channel {
    /// Makes one, and this process's handles of its sides.
    pub(crate) fn create(
        capacity: usize,
        message_size: usize,
        is_fixed: bool,
        lap: u32,
    ) -> Result<(End<Producing>, End<Consuming>)> {
        let ring = Ring::new(capacity, message_size, is_fixed, lap)?;
        // Here, since in a process with threads it may take a while, and children need not do it again.
        membarrier::register();
        let sides = [(); 2].map(|()| UnsafeCell::new(Side::unused(&ring)));
        let place = Mapping::private(size_of::<Self>())?.leak().cast::<Self>();
        // SAFETY: new memory, large enough and page-aligned; nobody knows of it.
        unsafe { place.write(Self { ring, handles: AtomicU32::new(2), sides }) };
        // SAFETY: it stays until both handles are dropped; these are the first.
        Ok(unsafe { (End::new(place), End::new(place)) })
    }

    /// One handle less; without handles it is gone from this process.
    ///
    /// # Safety
    /// `place` must be from [`Channel::create`]; the handle must not be used again.
    unsafe fn let_go(place: NonNull<Self>) {
        // SAFETY: by contract.
        unsafe {
            // AcqRel: whatever the other handle was used for comes before.
            if place.as_ref().handles.fetch_sub(1, Ordering::AcqRel) == 1 {
                drop(place.read());
                // It was mapped by us; there is nothing to do about a failure.
                let _ = map::unmap(place.as_ptr().cast(), size_of::<Self>());
            }
        }
    }

    /// No more messages are put, and who waits is told. Changes nothing if it is closed already.
    pub(crate) fn close(&self) {
        let words = self.ring.words();
        let thread = thread::current();
        // The producer's gate decides. Who is killed between the two has closed nothing yet, unless somebody who comes by the
        // consumer's finishes it.
        for gate in [words.gate::<Consuming>(), words.gate::<Producing>()] {
            gate.with_will(thread, Gate::close);
        }
    }

    /// Gives it a name, for tools to show.
    pub(crate) fn set_name(&self, name: &[u8]) -> Result<()> {
        names::set(ObjectKind::Channel, self.ring.bytes().addr(), name)
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.ring.capacity() as usize
    }

    pub(crate) fn message_size(&self) -> usize {
        self.ring.message_size()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.ring.words().gate::<Producing>().look().is_closed()
    }

    fn bytes(&self) -> *mut [u8] {
        self.ring.bytes()
    }
}

impl<R: side::Role> Drop for End<R> {
    fn drop(&mut self) {
        self.leave();
        // SAFETY: this handle's part.
        unsafe { Channel::let_go(self.address()) };
    }
}
