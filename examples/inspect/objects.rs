//! Queues, pools and managers in the memory of some processes: where mappings begin, where named things are, and where objects of segments are.

use std::collections::BTreeMap;

use forq::{ManagerView, ObjectKind, PoolView, QueueView};

use super::memory::{Atlas, Place};
use super::names::Names;

/// What was found.
#[derive(Default)]
pub(crate) struct Objects {
    pub(crate) queues: BTreeMap<Place, QueueView>,
    pub(crate) pools: BTreeMap<Place, PoolView>,
    pub(crate) managers: BTreeMap<Place, ManagerView>,
}

pub(crate) fn queue_at(atlas: &Atlas<'_>, place: &Place) -> Option<QueueView> {
    QueueView::of(&atlas.read_array(place)?)
}

pub(crate) fn pool_at(atlas: &Atlas<'_>, place: &Place) -> Option<PoolView> {
    let mut bytes = vec![0; PoolView::size(&atlas.read_array(place)?)?];
    atlas.read(place, &mut bytes).then(|| PoolView::of(&bytes)).flatten()
}

fn manager_at(atlas: &Atlas<'_>, start: &Place) -> Option<ManagerView> {
    ManagerView::of(|offset, into| {
        usize::try_from(offset).is_ok_and(|offset| atlas.read(&Place { offset, ..start.clone() }, into))
    })
}

impl Objects {
    pub(crate) fn of(atlas: &Atlas<'_>, names: &Names) -> Self {
        let mut found = Self::default();
        for (place, _) in atlas.starts().filter(|(place, _)| place.memory.may_be_ours()) {
            found.queues.extend(queue_at(atlas, place).map(|view| (place.clone(), view)));
            found.pools.extend(pool_at(atlas, place).map(|view| (place.clone(), view)));
            if place.offset == 0 {
                found.managers.extend(manager_at(atlas, place).map(|view| (place.clone(), view)));
            }
        }
        for place in names.places(ObjectKind::Queue, atlas).into_iter().chain(names.objects().cloned()) {
            found.queues.extend(queue_at(atlas, &place).map(|view| (place, view)));
        }
        found
    }
}
