//! What victims and survivors work on: a manager, and what its collections hold; values; a segment; a name.

use std::cell::Cell;
use std::collections::BTreeMap;

use forq::{Array, Dict, Error, List, Manager, Segment, Value};

use super::room;

/// A manager, values, an array and a segment in one state, to which they can be brought back.
pub(super) struct Stage {
    pub(super) manager: Manager,
    pub(super) segment: Segment,
    /// Under which operations make, find and unlink a manager.
    pub(super) name: String,
    /// Whether it is there at first; `None`: no operation uses it.
    is_named: Cell<Option<bool>>,
    pub(super) sum: Value<i64>,
    pub(super) wide: Value<[u64; 5]>,
    pub(super) array: Array<[u8; 3]>,
    /// Where values and array are: each in a page of its own; and the segment.
    pages: [*mut u64; 4],
    image: Image,
}

/// What outlives a victim.
pub(super) struct Image {
    words: Vec<u64>,
    is_named: bool,
}

/// What the collections hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    dict: BTreeMap<Vec<u8>, Vec<u8>>,
    list: Vec<Vec<u8>>,
    /// How much of the other collections is there.
    others: [usize; 2],
    values: (i64, [u64; 5], [[u8; 3]; 2]),
    /// Whether there is a manager of the name.
    named: bool,
}

/// Bytes.
const PAGE: usize = 4096;
/// The smallest manager.
pub(super) const SMALLEST: usize = 1 << 16;
/// The object that `operations` may make in the segment.
pub(super) const OBJECT: &[u8] = b"object";
pub(super) const OBJECT_SIZE: usize = 200;

/// The page that an element lies in.
fn page_of<T>(element: &T) -> *mut u64 {
    std::ptr::from_ref(element).cast::<u64>().cast_mut().map_addr(|address| address & !(PAGE - 1))
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = Segment::unlink(&self.name);
    }
}

impl Stage {
    pub(super) fn new(size: usize, prepare: fn(&Stage)) -> Self {
        const NO: &str = "memory is to be had";
        let (sum, wide) = (Value::new(1).expect(NO), Value::new([1; 5]).expect(NO));
        let array = Array::from_slice(&[[1; 3], [2; 3]]).expect(NO);
        let pages = [
            page_of(&*sum.lock().expect("free")),
            page_of(&*wide.lock().expect("free")),
            page_of(&array.lock().expect("free")[0]),
        ];
        let segment = Segment::anonymous(PAGE).expect(NO);
        let (first, _) = segment.object_bytes(b"first", 8).expect(NO);
        // Objects begin in the second page.
        let header = first.as_ptr().cast::<u64>().map_addr(|address| (address & !(PAGE - 1)) - PAGE);
        let [sum_page, wide_page, array_page] = pages;
        let mut stage = Self {
            manager: Manager::new(size).expect(NO),
            segment,
            name: format!("crash-points-{}", std::process::id()),
            is_named: Cell::new(None),
            sum,
            wide,
            array,
            pages: [sum_page, wide_page, array_page, header],
            image: Image { words: Vec::new(), is_named: false },
        };
        stage.dict();
        stage.list();
        prepare(&stage);
        stage.image = stage.copy();
        stage
    }

    /// Says that operations use the name, and whether it is there at first.
    pub(super) fn use_name(&self, is_there: bool) {
        self.is_named.set(Some(is_there));
        self.set_named(is_there);
    }

    /// Sees to it that the name is that of a new manager, or nobody's.
    fn set_named(&self, is_there: bool) {
        let _ = Segment::unlink(&self.name);
        if is_there {
            Manager::create(&self.name, SMALLEST).expect("/dev/shm has room");
        }
    }

    /// The manager of the name, made if there is none; whether there was one.
    fn find_or_make(&self) -> forq::Result<(Manager, bool)> {
        match Manager::open(&self.name) {
            Err(Error::NotFound) => Ok((Manager::create(&self.name, SMALLEST)?, false)),
            found => Ok((found?, true)),
        }
    }

    /// All of the memory, in words.
    #[expect(clippy::mut_from_ref, reason = "shared memory")]
    fn regions(&self) -> [&mut [u64]; 5] {
        let (start, size) = self.manager.__memory();
        let [sum, wide, array, header] = self.pages.map(|page| (page, PAGE / 8));
        let segment = (header.0, (PAGE + self.segment.size()) / 8);
        // SAFETY: mapped as long as these live; whoever else has them is stopped, and they do not overlap.
        [(start.as_ptr().cast(), size / 8), sum, wide, array, segment]
            .map(|(start, words)| unsafe { std::slice::from_raw_parts_mut(start, words) })
    }

    /// All that outlives a victim, as it is.
    pub(super) fn copy(&self) -> Image {
        let is_named = self.is_named.get().is_some() && Manager::open(&self.name).is_ok();
        Image { words: self.regions().concat(), is_named }
    }

    /// Brings `image` up to date, as far as it is memory; whether anything had changed.
    pub(super) fn follow(&self, image: &mut Image) -> bool {
        let mut has_changed = false;
        let mut copy = image.words.as_mut_slice();
        for now in self.regions() {
            let (before, rest) = copy.split_at_mut(now.len());
            if now != before {
                before.copy_from_slice(now);
                has_changed = true;
            }
            copy = rest;
        }
        has_changed
    }

    /// Makes the memory what it was when this was new. Nobody has a lock in it.
    pub(super) fn restore(&self) {
        self.restore_to(&self.image);
    }

    pub(super) fn restore_to(&self, image: &Image) {
        let mut words = image.words.as_slice();
        for region in self.regions() {
            let (own, rest) = words.split_at(region.len());
            region.copy_from_slice(own);
            words = rest;
        }
        if self.is_named.get().is_some() {
            self.set_named(image.is_named);
        }
    }

    pub(super) fn dict(&self) -> Dict<'_, [u8], [u8]> {
        self.manager.dict("dict").expect("there is room")
    }

    pub(super) fn list(&self) -> List<'_, [u8]> {
        self.manager.list("list").expect("there is room")
    }

    /// The next operation on every collection, without allocating.
    pub(super) fn touch(&self) {
        let _ = self.manager.dict::<[u8], [u8]>("dict").and_then(|dict| dict.len());
        let _ = self.manager.list::<[u8]>("list").and_then(|list| list.len());
        let _ = self.others();
        let _ = (self.sum.get(), self.wide.get(), self.array.get(0));
        let _ = self.segment.object_bytes(OBJECT, OBJECT_SIZE);
        if self.is_named.get().is_some() {
            let _ = self.find_or_make();
        }
    }

    /// In its first instructions with the lock a call looks like any holder, and its death is told.
    fn values(&self) -> forq::Result<(i64, [u64; 5], [[u8; 3]; 2])> {
        if self.sum.get() == Err(Error::OwnerDied) {
            self.sum
                .lock()
                .map(drop)
                .or_else(|told| told.into_guard().map(|guard| guard.mark_consistent()))?;
        }
        if self.wide.get() == Err(Error::OwnerDied) {
            self.wide
                .lock()
                .map(drop)
                .or_else(|told| told.into_guard().map(|guard| guard.mark_consistent()))?;
        }
        if self.array.get(0) == Err(Error::OwnerDied) {
            self.array
                .lock()
                .map(drop)
                .or_else(|told| told.into_guard().map(|guard| guard.mark_consistent()))?;
        }
        Ok((self.sum.get()?, self.wide.get()?, [self.array.get(0)?, self.array.get(1)?]))
    }

    /// The next operation on every collection; what they hold.
    pub(super) fn look(&self) -> forq::Result<Contents> {
        let (dict, list) = (self.manager.dict::<[u8], [u8]>("dict")?, self.manager.list::<[u8]>("list")?);
        let mut entries = BTreeMap::new();
        for entry in dict.iter() {
            let (key, value) = entry?;
            assert!(entries.insert(key, value).is_none(), "an entry came twice");
        }
        assert_eq!(dict.len()?, entries.len());
        for (key, value) in &entries {
            assert_eq!(dict.get(key)?.as_ref(), Some(value));
        }
        let items = list.slice(..)?;
        assert_eq!(list.len()?, items.len());
        self.object()?;
        let named = self.named()?;
        Ok(Contents { dict: entries, list: items, others: self.others(), values: self.values()?, named })
    }

    /// That the object which `operations` may make is there, or is made now; and whole.
    fn object(&self) -> forq::Result<()> {
        let (first, is_new) = self.segment.object_bytes(b"first", 8)?;
        assert!(!is_new, "the first object is gone");
        let (object, _) = self.segment.object_bytes(OBJECT, OBJECT_SIZE)?;
        assert!(object > first);
        // SAFETY: so many bytes, which nobody writes.
        assert_eq!(unsafe { object.cast::<[u8; OBJECT_SIZE]>().read() }, [0; OBJECT_SIZE], "not zeroed");
        assert_eq!(self.segment.object_bytes(OBJECT, OBJECT_SIZE), Ok((object, false)), "twice");
        Ok(())
    }

    /// Whether there is a manager of the name, which is made now if not; and that no memory is set aside but its own.
    fn named(&self) -> forq::Result<bool> {
        if self.is_named.get().is_none() {
            return Ok(false);
        }
        let (manager, was_there) = self.find_or_make()?;
        let whole = (SMALLEST + PAGE) as u64;
        assert!(room::used().is_none_or(|used| used == whole), "memory in /dev/shm is lost");
        let dict = manager.dict::<u8, u8>("dict")?;
        dict.set(&1, &1)?;
        manager.__check()?;
        assert_eq!(Manager::open(&self.name)?.dict::<u8, u8>("dict")?.get(&1)?, Some(1));
        assert_eq!(Manager::create(&self.name, SMALLEST).unwrap_err(), Error::AlreadyExists);
        Ok(was_there)
    }

    /// How many entries and items the collections have that `operations` may make: each is there, or it is made now and empty.
    fn others(&self) -> [usize; 2] {
        let dict = self.manager.dict::<[u8], [u8]>("other dict").and_then(|dict| dict.len());
        let list = self.manager.list::<[u8]>("other list").and_then(|list| list.len());
        [dict, list].map(|len| len.unwrap_or(usize::MAX))
    }
}
