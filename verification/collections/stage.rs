//! What victims and survivors work on: a manager, and what its collections hold.

use std::collections::BTreeMap;

use forq::{Dict, List, Manager};

/// A manager in one state, to which it can be brought back.
pub(super) struct Stage {
    pub(super) manager: Manager,
    image: Vec<u64>,
}

/// What the collections hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    dict: BTreeMap<Vec<u8>, Vec<u8>>,
    list: Vec<Vec<u8>>,
    /// How much of the other collections is there.
    others: [usize; 2],
}

impl Stage {
    pub(super) fn new(size: usize, prepare: fn(&Stage)) -> Self {
        let mut stage = Self { manager: Manager::new(size).expect("memory is to be had"), image: Vec::new() };
        stage.dict();
        stage.list();
        prepare(&stage);
        stage.image = stage.copy();
        stage
    }

    fn memory(&self) -> (*mut u64, usize) {
        let (start, size) = self.manager.__memory();
        (start.as_ptr().cast(), size / 8)
    }

    /// All of the memory, as it is.
    pub(super) fn copy(&self) -> Vec<u64> {
        let (start, words) = self.memory();
        // SAFETY: mapped as long as the manager; whoever else has it is stopped.
        unsafe { std::slice::from_raw_parts(start, words) }.to_vec()
    }

    /// Brings `copy` up to date; whether anything had changed.
    pub(super) fn follow(&self, copy: &mut [u64]) -> bool {
        let (start, words) = self.memory();
        // SAFETY: as above.
        let now = unsafe { std::slice::from_raw_parts(start, words) };
        let has_changed = now != copy;
        if has_changed {
            copy.copy_from_slice(now);
        }
        has_changed
    }

    /// Makes the memory what it was when this was new. Nobody has a lock in it.
    pub(super) fn restore(&self) {
        self.restore_to(&self.image);
    }

    pub(super) fn restore_to(&self, image: &[u64]) {
        let (start, words) = self.memory();
        assert_eq!(words, image.len());
        // SAFETY: as above.
        unsafe { start.copy_from_nonoverlapping(image.as_ptr(), words) };
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
        Ok(Contents { dict: entries, list: items, others: self.others() })
    }

    /// How many entries and items the collections have that `operations` may make: each is there, or it is made now and empty.
    fn others(&self) -> [usize; 2] {
        let dict = self.manager.dict::<[u8], [u8]>("other dict").and_then(|dict| dict.len());
        let list = self.manager.list::<[u8]>("other list").and_then(|list| list.len());
        [dict, list].map(|len| len.unwrap_or(usize::MAX))
    }
}
