//! What things are called: by their programs, or by where they are.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use forq::{Barrier, Condvar, Event, NameView, ObjectKind, SegmentView, Semaphore};

use super::memory::{Atlas, Memory, Place};

/// The names in all tables of some processes, and of the objects in their segments.
#[derive(Default)]
pub(crate) struct Names {
    given: BTreeMap<((u32, u32), u64, u64), NameView>,
    /// Those of segments, and of managers.
    segments: BTreeMap<((u32, u32), u64), String>,
    /// Objects of segments by where they begin, with their sizes.
    objects: BTreeMap<Place, (String, usize)>,
}

/// The segments that have a name now, by device and number.
fn named_segments() -> BTreeMap<((u32, u32), u64), String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let (name, file) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata());
        if let (Some(name), Ok(file)) = (name.strip_prefix("forq-"), file) {
            let device = (libc::major(file.dev()), libc::minor(file.dev()));
            found.insert((device, file.ino()), name.to_owned());
        }
    }
    found
}

impl Names {
    pub(crate) fn of(atlas: &Atlas<'_>) -> Self {
        let mut names = Self { segments: named_segments(), ..Self::default() };
        for (place, size) in atlas.starts() {
            let Memory::File { name, .. } = &place.memory else { continue };
            if name.starts_with(NameView::FILE) {
                names.add_table(atlas, place, size);
            } else if place.offset == 0 && place.memory.may_be_ours() {
                names.add_segment(atlas, place);
            }
        }
        names
    }

    fn add_table(&mut self, atlas: &Atlas<'_>, place: &Place, size: usize) {
        const STEP: usize = 4096;
        let mut bytes = vec![0; size.min(NameView::TABLE)];
        // No more of it than is used.
        for end in (STEP..=bytes.len()).step_by(STEP) {
            let at = Place { offset: place.offset + end - STEP, ..place.clone() };
            if !atlas.read(&at, &mut bytes[end - STEP..end])
                || bytes[end - 128..end].iter().all(|&it| it == 0)
            {
                break;
            }
        }
        for name in NameView::each(&bytes) {
            let key = (name.device, name.inode, name.offset);
            if self.given.get(&key).is_none_or(|other| other.turn < name.turn) {
                self.given.insert(key, name);
            }
        }
    }

    fn add_segment(&mut self, atlas: &Atlas<'_>, start: &Place) {
        let at = |offset| Place { offset, ..start.clone() };
        let view = SegmentView::of(|offset, into| atlas.read(&at(offset as usize), into));
        for object in view.into_iter().flat_map(|view| view.objects) {
            self.objects.insert(at(object.offset as usize), (object.name, object.size as usize));
        }
    }

    /// The name that its program gave what is there.
    pub(crate) fn given(&self, place: &Place) -> Option<&str> {
        let Memory::File { device, inode, .. } = place.memory else { return None };
        self.given.get(&(device, inode, place.offset as u64)).map(|name| name.name.as_str())
    }

    /// The object with a name that so little before a word begins that it is part of it.
    pub(crate) fn around(&self, word: &Place) -> Option<&NameView> {
        let Memory::File { device, inode, .. } = word.memory else { return None };
        let offset = word.offset as u64;
        let mut before = self.given.range((device, inode, 0)..=(device, inode, offset)).map(|(_, name)| name);
        let size = |kind| match kind {
            ObjectKind::Semaphore => size_of::<Semaphore>(),
            ObjectKind::Condvar => size_of::<Condvar>(),
            ObjectKind::Event => size_of::<Event>(),
            ObjectKind::Barrier => size_of::<Barrier>(),
            // In memory of its own, with what is slept on in the first page.
            ObjectKind::Channel => 4096,
            // Told of in other ways.
            _ => 0,
        };
        before.next_back().filter(|name| offset - name.offset < size(name.kind) as u64)
    }

    /// What it is called in one way or another, if in any.
    pub(crate) fn name(&self, place: &Place) -> Option<String> {
        if let Some(name) = self.given(place) {
            return Some(name.to_owned());
        }
        let (start, (name, size)) = self.objects.range(..=place).next_back()?;
        let distance = place.offset.checked_sub(start.offset).filter(|distance| distance < size)?;
        let is_same = start.memory == place.memory;
        let segment = self.memory(&place.memory);
        is_same.then(|| match distance {
            0 => format!("{segment}/{name}"),
            distance => format!("{segment}/{name}+{distance:#x}"),
        })
    }

    /// What to call it in a table.
    pub(crate) fn short(&self, place: &Place) -> String {
        let memory = || self.memory(&place.memory);
        self.name(place).unwrap_or_else(|| match place.offset {
            0 => memory(),
            offset => format!("{}+{offset:#x}", memory()),
        })
    }

    /// As short as tells it from others.
    fn memory(&self, memory: &Memory) -> String {
        match memory {
            Memory::File { device, inode, .. } => {
                self.segments.get(&(*device, *inode)).cloned().unwrap_or_else(|| format!("#{inode}"))
            }
            Memory::Private(pid) => format!("process {pid}"),
        }
    }

    /// Where everything of a kind is that has a name.
    pub(crate) fn places(&self, kind: ObjectKind, atlas: &Atlas<'_>) -> Vec<Place> {
        let mut files = BTreeMap::new();
        for (place, _) in atlas.starts() {
            if let Memory::File { device, inode, .. } = place.memory {
                files.entry((device, inode)).or_insert(&place.memory);
            }
        }
        let of_kind = self.given.values().filter(|name| name.kind == kind);
        of_kind
            .filter_map(|name| {
                let memory = files.get(&(name.device, name.inode))?;
                Some(Place { memory: (*memory).clone(), offset: name.offset as usize })
            })
            .collect()
    }

    /// Where the objects of segments are.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Place> {
        self.objects.keys()
    }
}
