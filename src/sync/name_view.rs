//! Names of another process's objects, seen from outside.

use std::string::String;

use super::names::{Entry, MAGIC, ObjectKind, State, Table};
use crate::sys::atomic::Ordering;

/// A name that a program gave an object, by [`Mutex::set_name`](crate::Mutex::set_name) and the like: for tools that look into the memory of running programs.
///
/// A program's names are in a mapping of [`NameView::TABLE`] bytes, which /proc/PID/maps shows as [`NameView::FILE`]; processes that were forked from
/// one another after the first was given share it. What is copied while it is changed may be mixed: what two copies agree on is not.
///
/// ```
/// use std::os::unix::fs::FileExt;
///
/// use forq::{Mutex, NameView, ObjectKind, Shared};
///
/// let mutex = Shared::new(Mutex::new(0))?;
/// mutex.set_name("accounts")?;
/// // In a tool, of another process, by process_vm_readv or /proc/PID/mem:
/// let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
/// let line = maps.lines().find(|line| line.contains(NameView::FILE)).unwrap();
/// let start = usize::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
/// let mut bytes = vec![0; NameView::TABLE];
/// std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, start as u64).unwrap();
/// let name = NameView::each(&bytes).next().unwrap();
/// assert_eq!((name.name.as_str(), name.kind), ("accounts", ObjectKind::Mutex));
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameView {
    /// What it is the name of.
    pub kind: ObjectKind,
    /// The numbers, major and minor, of the device of the file in which the object lies, as in /proc/PID/maps.
    pub device: (u32, u32),
    /// The file's number there. Memory without a file has one, too.
    pub inode: u64,
    /// The place in the file.
    pub offset: u64,
    /// Where two names are one object's, the one with the higher turn counts.
    pub turn: u64,
    /// The name; what is not UTF-8 in it is replaced.
    pub name: String,
}

impl NameView {
    /// How many bytes a table takes.
    pub const TABLE: usize = size_of::<Table>();
    /// Its name in /proc/PID/maps.
    pub const FILE: &'static str = "/memfd:forq-names";
    const ENTRY: usize = size_of::<Entry>();

    /// The names in a copy of a table, or of its beginning: none after an entry that was never used. Other bytes give none, or anything.
    pub fn each(bytes: &[u8]) -> impl Iterator<Item = Self> + '_ {
        let mut entries = bytes.chunks_exact(Self::ENTRY);
        let is_table = entries.next().is_some_and(|head| [word(head, 0), word(head, 1)] == MAGIC);
        entries.take_while(move |entry| is_table && word(entry, 0) != 0).filter_map(Self::of)
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::ENTRY {
            return None;
        }
        // SAFETY: so many bytes; any bytes are an entry: atomics.
        let entry = unsafe { bytes.as_ptr().cast::<Entry>().read_unaligned() };
        let state = State(entry.state.load(Ordering::Relaxed));
        let kind = match entry.kind.load(Ordering::Relaxed) {
            1 => ObjectKind::Mutex,
            2 => ObjectKind::Semaphore,
            3 => ObjectKind::Condvar,
            4 => ObjectKind::Event,
            5 => ObjectKind::Barrier,
            6 => ObjectKind::Queue,
            7 => ObjectKind::Channel,
            8 => ObjectKind::Pool,
            _ => return None,
        };
        let words = entry.name.each_ref().map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
        let name = words.as_flattened().split(|&byte| byte == 0).next().unwrap_or_default();
        let device = entry.device.load(Ordering::Relaxed);
        state.is_named().then(|| Self {
            kind,
            device: ((device >> 32) as u32, device as u32),
            inode: entry.inode.load(Ordering::Relaxed),
            offset: entry.offset.load(Ordering::Relaxed),
            turn: state.number(),
            name: String::from_utf8_lossy(name).into_owned(),
        })
    }
}

/// One of the words that so many bytes begin with; 0 past the end.
fn word(bytes: &[u8], index: usize) -> u64 {
    let word = bytes.chunks_exact(8).nth(index).and_then(|word| word.try_into().ok());
    word.map_or(0, u64::from_ne_bytes)
}
