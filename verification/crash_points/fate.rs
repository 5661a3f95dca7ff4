//! What the aftermath of a kill can depend on: memory, the robust list, who else is there. Two kills at
//! one instruction that agree in all of it are one.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::stage::{LOCKS, Stage};
use super::tracee::RobustList;

/// A fingerprint. Process ids are replaced by roles, addresses on the stage by distances, and waiting times
/// by the fact that there are some: what is left is the same in every run that goes the same way.
pub(super) fn of(stage: &Stage, victim: i32, list: RobustList, rest: impl Hash) -> u64 {
    let times: Vec<u64> = (0..LOCKS)
        .map(|lock| stage.lock(lock).statistics())
        .flat_map(|statistics| [statistics.waited_ns, statistics.waited_max_ns])
        .filter(|&time| time != 0)
        .collect();
    let mut state = DefaultHasher::new();
    for word in stage.words().into_iter().chain(list.map(|pointer| pointer as u64)) {
        if times.contains(&word) {
            "a time".hash(&mut state);
        } else if let Some(distance) = stage.distance(word) {
            ("on the stage", distance).hash(&mut state);
        } else {
            for half in [word as u32, (word >> 32) as u32] {
                // A thread id leaves room for flags above it.
                let (id, flags) = (half & 0x3fff_ffff, half >> 30);
                let role = if id == victim as u32 { Some(usize::MAX) } else { stage.slot_of(id) };
                match role {
                    Some(role) => ("a role", role, flags).hash(&mut state),
                    None => half.hash(&mut state),
                }
            }
        }
    }
    rest.hash(&mut state);
    state.finish()
}
