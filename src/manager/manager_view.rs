//! A manager of another process, seen from outside.

use core::mem::offset_of;
use std::string::String;
use std::vec::Vec;

use super::heap::HeapRoot;
use super::open_list::ListRoot;
use super::raw_dict::{DictRoot, MOST_BITS};
use super::root::{BLOCKS, CollectionKind, ROOT, Root};
use super::shard::{KEY, LENGTHS, NEXT, Shard, key_size, value_size};
use super::space::padded;
use crate::shared::header::Kind;
use crate::shared::name;
use crate::shared::segment_view::Look;

/// What the memory of a [`Manager`](crate::Manager) says of its collections: for tools that look into the memory of running programs, which need not map it. Nothing
/// is locked: where the manager is in use, what is seen may be of neighbouring moments, and collections that are just being made may be missing.
///
/// ```
/// use std::os::fd::AsFd;
/// use std::os::unix::fs::FileExt;
///
/// use forq::{Manager, ManagerView};
///
/// let manager = Manager::new(1 << 20)?;
/// manager.dict::<u64, u64>("results")?.set(&7, &1)?;
/// // In a tool, of another process, by process_vm_readv or /proc/PID/mem: here by the file.
/// let file = std::fs::File::from(manager.as_fd().try_clone_to_owned().unwrap());
/// let view = ManagerView::of(|offset, into| file.read_exact_at(into, offset).is_ok()).unwrap();
/// assert_eq!((view.collections[0].name.as_str(), view.collections[0].len), ("results", 1));
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManagerView {
    /// Bytes that collections use, with what is kept beside them.
    pub used: u64,
    /// Bytes that collections may use in all.
    pub capacity: u64,
    /// How many collections without a name were made.
    pub unnamed: u64,
    /// Those with a name, at most 10,000.
    pub collections: Vec<CollectionView>,
}

/// One collection of a manager, as in [`ManagerView`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectionView {
    /// Its name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// Whether it is a dict (or a namespace), not a list.
    pub is_dict: bool,
    /// How many entries or items it has.
    pub len: u64,
}

const MOST: usize = 10_000;
/// There are no more buckets than twice as many as entries, or as some more than are listed once were.
const MOST_BUCKETS: u64 = 1 << 20;

impl ManagerView {
    /// Reads what `look` gives: it fills its buffer with what is at an offset from the start, or says that it cannot. `None`: there is no manager of
    /// this version of forq.
    #[must_use]
    pub fn of(mut look: impl FnMut(u64, &mut [u8]) -> bool) -> Option<Self> {
        let size = look.segment(Kind::Manager).filter(|&size| size > BLOCKS)?;
        let [used] = look.words(ROOT + (offset_of!(Root, heap) + offset_of!(HeapRoot, used)) as u64)?;
        let [unnamed] = look.words(ROOT + offset_of!(Root, unnamed) as u64)?;
        let mut collections = Vec::new();
        // A table that is replaced meanwhile is looked at once more.
        for _ in 0..3 {
            collections.clear();
            let before = directory(&mut look)?;
            if walk(&mut look, size, before, &mut collections).is_some() && directory(&mut look)? == before {
                break;
            }
        }
        collections.sort_by(|one, other| one.name.cmp(&other.name));
        Some(Self { used: used.min(size - BLOCKS), capacity: size - BLOCKS, unnamed, collections })
    }
}

/// Where the directory's table is, the number of its buckets as a power of two, its version.
fn directory(look: &mut impl Look) -> Option<[u64; 3]> {
    let word = |field: usize| ROOT + (offset_of!(Root, directory) + field) as u64;
    let [table] = look.words(word(offset_of!(Shard, table)))?;
    let [bits] = look.words(word(offset_of!(Shard, bits)))?;
    let [version] = look.words(word(offset_of!(Shard, version)))?;
    Some([table, bits, version])
}

/// Adds what the directory lists; `None` if something in it makes no sense.
fn walk(
    look: &mut impl Look,
    size: u64,
    [table, bits, _]: [u64; 3],
    into: &mut Vec<CollectionView>,
) -> Option<()> {
    if table == 0 {
        return Some(());
    }
    let buckets = 1u64.checked_shl(u32::try_from(bits).ok()?).filter(|&buckets| buckets <= size / 8)?;
    // Where a stranger writes, lists of entries may go in a circle, and the table may be as large as memory that nobody ever touched.
    let mut steps = MOST;
    for bucket in 0..buckets.min(MOST_BUCKETS) {
        let [mut entry] = look.words(table.checked_add(8 * bucket)?)?;
        while entry != 0 {
            steps = steps.checked_sub(1)?;
            let [lengths] = look.words(entry.checked_add(LENGTHS)?)?;
            let (key, value) = (key_size(lengths), value_size(lengths));
            let listed: [u64; 3] = look.words(entry.checked_add(KEY + padded(key))?)?;
            let name = look.text(entry.checked_add(KEY)?, (key as usize).min(name::MAX))?;
            // No name that a user may give has a slash.
            if value == size_of_val(&listed) as u64 && !name.starts_with('/') {
                into.extend(collection(look, name, listed));
            }
            [entry] = look.words(entry.checked_add(NEXT)?)?;
        }
    }
    Some(())
}

fn collection(look: &mut impl Look, name: String, [root, kind, _]: [u64; 3]) -> Option<CollectionView> {
    let is_dict = kind == CollectionKind::Dict as u64;
    if !is_dict && kind != CollectionKind::List as u64 || look.words(root)? != [kind] {
        return None;
    }
    let mut word = |field: usize| look.words(root.checked_add(field as u64)?).map(|[word]| word);
    let len = if is_dict {
        let bits = word(offset_of!(DictRoot, bits)).filter(|&bits| bits <= MOST_BITS.into())?;
        let epoch = word(offset_of!(DictRoot, epoch))?;
        let mut sum = 0u64;
        for index in 0..1 << bits {
            let shard = size_of::<DictRoot>() + index * size_of::<Shard>();
            // Another epoch's entries count no longer.
            if word(shard + offset_of!(Shard, epoch))? == epoch {
                sum = sum.saturating_add(word(shard + offset_of!(Shard, count))?);
            }
        }
        sum
    } else {
        word(offset_of!(ListRoot, len))?
    };
    Some(CollectionView { name, is_dict, len })
}
