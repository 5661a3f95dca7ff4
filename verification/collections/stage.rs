//! What victims and survivors work on: a manager, and what its collections hold.

use std::collections::BTreeMap;

use forq::{Array, Dict, Error, List, Manager, Value};

/// A manager, values and an array in one state, to which they can be brought back.
pub(super) struct Stage {
    pub(super) manager: Manager,
    pub(super) sum: Value<i64>,
    pub(super) wide: Value<[u64; 5]>,
    pub(super) array: Array<[u8; 3]>,
    /// Where each of the latter three is: in a page of its own.
    pages: [*mut u64; 3],
    image: Vec<u64>,
}

/// What the collections hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    dict: BTreeMap<Vec<u8>, Vec<u8>>,
    list: Vec<Vec<u8>>,
    /// How much of the other collections is there.
    others: [usize; 2],
    values: (i64, [u64; 5], [[u8; 3]; 2]),
}

/// Bytes.
const PAGE: usize = 4096;

/// The page that an element lies in.
fn page_of<T>(element: &T) -> *mut u64 {
    std::ptr::from_ref(element).cast::<u64>().cast_mut().map_addr(|address| address & !(PAGE - 1))
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
        let manager = Manager::new(size).expect(NO);
        let mut stage = Self { manager, sum, wide, array, pages, image: Vec::new() };
        stage.dict();
        stage.list();
        prepare(&stage);
        stage.image = stage.copy();
        stage
    }

    /// All of the memory, in words.
    #[expect(clippy::mut_from_ref, reason = "shared memory")]
    fn regions(&self) -> [&mut [u64]; 4] {
        let (start, size) = self.manager.__memory();
        let [sum, wide, array] = self.pages.map(|page| (page, PAGE / 8));
        // SAFETY: mapped as long as these live; whoever else has them is stopped, and they do not overlap.
        [(start.as_ptr().cast(), size / 8), sum, wide, array]
            .map(|(start, words)| unsafe { std::slice::from_raw_parts_mut(start, words) })
    }

    /// All of the memory, as it is.
    pub(super) fn copy(&self) -> Vec<u64> {
        self.regions().concat()
    }

    /// Brings `copy` up to date; whether anything had changed.
    pub(super) fn follow(&self, mut copy: &mut [u64]) -> bool {
        let mut has_changed = false;
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

    pub(super) fn restore_to(&self, mut image: &[u64]) {
        for region in self.regions() {
            let (own, rest) = image.split_at(region.len());
            region.copy_from_slice(own);
            image = rest;
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
        Ok(Contents { dict: entries, list: items, others: self.others(), values: self.values()? })
    }

    /// How many entries and items the collections have that `operations` may make: each is there, or it is made now and empty.
    fn others(&self) -> [usize; 2] {
        let dict = self.manager.dict::<[u8], [u8]>("other dict").and_then(|dict| dict.len());
        let list = self.manager.list::<[u8]>("other list").and_then(|list| list.len());
        [dict, list].map(|len| len.unwrap_or(usize::MAX))
    }
}
