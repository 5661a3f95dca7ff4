//! What tasks said when they panicked: a small table in the job's extent, filled by the workers.

use super::control::{Fields, Shared};
use super::status::{PANIC_TEXT, PanicMessage};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};

/// Messages of one job that are kept: of the items that panic first.
const MOST: usize = 64;
/// The item of an entry that is not written yet.
const NOBODY: u64 = u64::MAX;

#[repr(C)]
struct Head {
    /// Entries that somebody has begun to write.
    taken: AtomicU32,
}

#[repr(C)]
struct Entry {
    /// Written last.
    item: AtomicU64,
    length: AtomicU64,
    text: [AtomicU64; PANIC_TEXT.div_ceil(8)],
}

/// Slots of a stream that have a place for a message each, at most: of larger ones none is kept.
const MOST_OF_STREAM: usize = 1024;

/// How many are kept of a job of so many items, or of a stream of so many slots.
pub(super) fn count_for(items: usize, is_stream: bool) -> u32 {
    match items {
        1..=MOST_OF_STREAM if is_stream => items as u32,
        _ if is_stream => 0,
        _ => items.min(MOST) as u32,
    }
}

/// Bytes of a table of so many.
pub(super) fn size_of_table(count: u32) -> usize {
    if count == 0 { 0 } else { size_of::<u64>() + size_of::<Entry>() * count as usize }
}

/// The table of a job; `None` if it has none.
///
/// # Safety
/// The caller must be allowed to touch the job.
unsafe fn table<'a>(shared: &'a Shared, fields: &Fields) -> Option<(&'a Head, &'a [Entry])> {
    if fields.message_count == 0 {
        return None;
    }
    let start = shared.arena(fields.messages);
    // SAFETY: laid out by the host, aligned to a cache line; any bytes are atomics.
    unsafe {
        let entries = start.add(size_of::<u64>()).cast::<Entry>();
        Some((&*start.cast::<Head>(), core::slice::from_raw_parts(entries, fields.message_count as usize)))
    }
}

/// Empties a job's table, before workers know of it.
///
/// # Safety
/// As [`table`].
pub(super) unsafe fn clear(shared: &Shared, fields: &Fields) {
    // SAFETY: by contract.
    if let Some((head, entries)) = unsafe { table(shared, fields) } {
        head.taken.store(0, Ordering::Relaxed);
        entries.iter().for_each(|entry| entry.item.store(NOBODY, Ordering::Relaxed));
    }
}

/// Keeps what an item said, if there is room.
///
/// # Safety
/// As [`table`].
#[cfg(feature = "std")]
pub(super) unsafe fn note(shared: &Shared, fields: &Fields, item: usize, message: &PanicMessage) {
    // SAFETY: by contract.
    let Some((head, entries)) = (unsafe { table(shared, fields) }) else { return };
    let at = if fields.is_stream() {
        item
    } else if (head.taken.load(Ordering::Relaxed) as usize) < entries.len() {
        head.taken.fetch_add(1, Ordering::Relaxed) as usize
    } else {
        return;
    };
    let Some(entry) = entries.get(at) else { return };
    let bytes = message.bytes();
    entry.length.store(bytes.len() as u64, Ordering::Relaxed);
    for (word, part) in entry.text.iter().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight[..part.len()].copy_from_slice(part);
        word.store(u64::from_ne_bytes(eight), Ordering::Relaxed);
    }
    // Release: who sees the item sees its text.
    entry.item.store(item as u64, Ordering::Release);
}

/// What an item said, if that was kept.
///
/// # Safety
/// As [`table`].
pub(super) unsafe fn find(shared: &Shared, fields: &Fields, item: usize) -> Option<PanicMessage> {
    // SAFETY: by contract.
    let (_, entries) = unsafe { table(shared, fields) }?;
    let entry = entries.iter().find(|entry| entry.item.load(Ordering::Acquire) == item as u64)?;
    let mut bytes = [0; PANIC_TEXT.next_multiple_of(8)];
    for (part, word) in bytes.chunks_mut(8).zip(&entry.text) {
        part.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
    let length = usize::try_from(entry.length.load(Ordering::Relaxed)).ok()?;
    Some(PanicMessage::new(bytes.get(..length.min(PANIC_TEXT))?))
}
