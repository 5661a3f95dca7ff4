//! Where queues lie.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::ptr::NonNull;

use forq::{ByteQueue, Error, Process, Queue};

use crate::support::{Random, resources};

/// A file in memory.
fn file(size: usize) -> File {
    // SAFETY: a name that ends; the descriptor is new and ours.
    let file = unsafe { File::from_raw_fd(libc::memfd_create(c"queue".as_ptr(), libc::MFD_CLOEXEC)) };
    file.set_len(size as u64).unwrap();
    file
}

/// A mapping of a file, or of nothing, unmapped when dropped.
struct View {
    start: NonNull<u8>,
    size: usize,
}

impl View {
    fn of(file: Option<&File>, size: usize) -> Self {
        let flags = libc::MAP_SHARED | if file.is_none() { libc::MAP_ANONYMOUS } else { 0 };
        let descriptor = file.map_or(-1, File::as_raw_fd);
        // SAFETY: a new mapping.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, descriptor, 0)
        };
        assert_ne!(start, libc::MAP_FAILED);
        Self { start: NonNull::new(start.cast()).unwrap(), size }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: mapped; each caller uses it alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size) }
    }

    fn make(&self, capacity: usize) -> Result<Queue<u64>, Error> {
        // SAFETY: mapped for longer than the queue is used.
        unsafe { Queue::make_in(self.start, self.size, capacity) }
    }

    fn find(&self) -> Result<Queue<u64>, Error> {
        // SAFETY: as above.
        unsafe { Queue::find_in(self.start, self.size) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: a mapping of our own.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size) };
    }
}

pub(crate) fn two_addresses() {
    let size = Queue::<u64>::required_size(3).next_multiple_of(4096);
    let file = file(size);
    let (mut here, there) = (View::of(Some(&file), size), View::of(Some(&file), size));
    // What was there before does not matter.
    here.bytes().fill(0xEE);
    assert_eq!(there.find().unwrap_err(), Error::Protocol);
    let queue = here.make(3).unwrap();
    queue.put(5).unwrap();
    let mut child = Process::spawn(|| {
        // Its own mapping, too.
        let view = View::of(Some(&file), size);
        let found = view.find().unwrap();
        assert_eq!(found.capacity(), 3);
        let other = there.find().unwrap();
        for number in 0..10_000 {
            if number % 2 == 0 { found.put(number).unwrap() } else { other.put(number).unwrap() }
        }
        found.close();
    })
    .unwrap();
    assert_eq!(queue.get(), Ok(5));
    let mut expected = 0;
    loop {
        match queue.get() {
            Ok(number) => assert_eq!(number, expected),
            Err(error) => break assert_eq!((error, expected), (Error::Closed, 10_000)),
        }
        expected += 1;
    }
    assert!(child.join().unwrap().success());
    // Made anew in the same memory, it is a new one.
    drop(queue);
    let queue = here.make(2).unwrap();
    assert_eq!((queue.len(), queue.is_closed(), queue.statistics().put), (0, false, 0));
    assert_eq!(there.find().unwrap().capacity(), 2);
}

pub(crate) fn refused() {
    let size = Queue::<u64>::required_size(4);
    let mut view = View::of(None, 8192);
    let start = view.start;
    let make = |start, size, capacity| {
        // SAFETY: within the mapping.
        unsafe { Queue::<u64>::make_in(start, size, capacity) }.map(drop)
    };
    let find = |start, size| {
        // SAFETY: within the mapping.
        unsafe { Queue::<u64>::find_in(start, size) }.map(drop)
    };
    assert_eq!(find(start, 8192), Err(Error::Protocol), "zeroes are no queue");
    for capacity in [0, usize::MAX, 1 << 31, 1000] {
        assert_eq!(make(start, 8192, capacity), Err(Error::InvalidArgument), "{capacity}");
    }
    for size in [0, 1, 64, size - 1] {
        assert_eq!(make(start, size, 4), Err(Error::InvalidArgument), "{size}");
    }
    for offset in [1, 8, 32, 63] {
        // SAFETY: within the mapping.
        let misaligned = unsafe { start.add(offset) };
        assert_eq!(make(misaligned, 4096, 4), Err(Error::InvalidArgument));
        assert_eq!(find(misaligned, 4096), Err(Error::InvalidArgument));
    }
    assert!(view.bytes().iter().all(|&byte| byte == 0), "nothing was written");
    assert_eq!(make(start, size, 4), Ok(()));
    assert!(view.bytes()[size..].iter().all(|&byte| byte == 0), "nothing behind it is written");
    assert_eq!(find(start, size), Ok(()));
    for size in [0, 1, 63, 64, 383, 384, size - 1] {
        assert_eq!(find(start, size), Err(Error::Protocol), "not all of it is there: {size}");
    }
    // SAFETY: within the mapping.
    unsafe {
        assert_eq!(
            Queue::<u32>::find_in(start, size).unwrap_err(),
            Error::Protocol,
            "messages of another size"
        );
        assert_eq!(Queue::<[u64; 2]>::find_in(start, size).unwrap_err(), Error::Protocol);
        let bytes = ByteQueue::find_in(start, size).unwrap();
        assert_eq!((bytes.capacity(), bytes.message_size()), (4, 8));
        // A message of another length in a queue of values was put by a stranger.
        bytes.put(b"123").unwrap();
        let values = Queue::<u64>::find_in(start, size).unwrap();
        assert_eq!(values.get(), Err(Error::Protocol));
    }
}

/// Every byte of the head is changed to others, and random heads are made: found or refused, but never wrong.
pub(crate) fn arbitrary() {
    let mut view = View::of(None, 4096);
    let start = view.start;
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    let found = std::cell::Cell::new(0);
    let check = || {
        // SAFETY: mapped; whatever is in it.
        let Ok(queue) = (unsafe { ByteQueue::find_in(start, 4096) }) else { return };
        found.set(found.get() + 1);
        assert!(ByteQueue::required_size(queue.capacity(), queue.message_size()) <= 4096);
        let mut buffer = [0; 4096];
        let _ = (queue.try_put(b"x"), queue.try_get(&mut buffer), queue.task_done(), queue.statistics());
        let _ = queue.join_timeout(std::time::Duration::ZERO);
        assert!(queue.len() <= queue.capacity());
        queue.close();
    };
    for _ in 0..100_000 {
        drop(view.make(1 + random.below(8) as usize).unwrap());
        for _ in 0..=random.below(3) {
            let place = random.below(420) as usize;
            let byte = &mut view.bytes()[place];
            *byte = match random.below(4) {
                0 => 0,
                1 => 0xFF,
                2 => *byte ^ (1 << random.below(8)),
                _ => random.below(256) as u8,
            };
        }
        check();
    }
    assert!(found.get() > 1000, "some were found: {found:?}");
    for _ in 0..20_000 {
        for byte in view.bytes() {
            *byte = random.below(256) as u8;
        }
        // With the right beginning, a random rest.
        if random.below(2) == 0 {
            view.bytes()[..8].copy_from_slice(b"forqueue");
        }
        check();
    }
}

pub(crate) fn dropped() {
    let before = resources();
    let queues: Vec<_> = (0..10).map(|_| Queue::<u64>::new(100).unwrap()).collect();
    assert_eq!(resources().1, before.1 + 10);
    for queue in &queues {
        queue.put(1).unwrap();
        let mut child = Process::spawn(|| i32::from(queue.get() != Ok(1))).unwrap();
        assert!(child.join().unwrap().success());
        let _ = (
            queue.get_timeout(std::time::Duration::from_millis(1)),
            queue.join_timeout(std::time::Duration::ZERO),
        );
        queue.close();
    }
    drop(queues);
    assert_eq!(resources(), before);
    // The caller's memory stays.
    let view = View::of(None, 4096);
    let queue = view.make(4).unwrap();
    queue.put(8).unwrap();
    drop(queue);
    assert_eq!(view.find().unwrap().get(), Ok(8));
}

pub(crate) fn moved() {
    let queue = Queue::<u64>::new(2).unwrap();
    queue.put(1).unwrap();
    let boxed = Box::new(queue);
    let mut child = Process::spawn(|| boxed.put(2)).unwrap();
    assert!(child.join().unwrap().success());
    let mut several = vec![*boxed];
    let queue = several.pop().unwrap();
    assert_eq!((queue.get(), queue.get()), (Ok(1), Ok(2)));
    assert!(format!("{queue:?}").contains("capacity: 2"));
}
