//! Places in memory, the same for all processes that share it; and reading what is there, through any of them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use super::process::Process;

/// What processes share: a file, or memory without one, which is a file to the kernel.
#[derive(Clone, Debug)]
pub(crate) enum Memory {
    /// The name is none to tell it by: who has made a named segment sees another one than who has opened it.
    File { device: (u32, u32), inode: u64, name: String },
    /// A process's own.
    Private(u32),
}

/// A place in memory, the same for all who share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) memory: Memory,
    pub(crate) offset: usize,
}

impl Memory {
    fn key(&self) -> (u32, Option<(u32, u32)>, u64) {
        match self {
            Self::File { device, inode, .. } => (0, Some(*device), *inode),
            Self::Private(pid) => (*pid, None, 0),
        }
    }
}

impl PartialEq for Memory {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Memory {}

impl PartialOrd for Memory {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Memory {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { device: (major, minor), inode, name } => {
                write!(f, "{name} {major:02x}:{minor:02x} {inode}")
            }
            Self::Private(pid) => write!(f, "process {pid}"),
        }
    }
}

impl Memory {
    /// Whether it is of the kind that forq makes: what else processes share may be large files, which are not to be read in vain.
    pub(crate) fn may_be_ours(&self) -> bool {
        const OURS: [&str; 4] = ["/memfd:", "/dev/shm/", "/dev/zero", "[anon_shmem"];
        matches!(self, Self::File { name, .. } if OURS.iter().any(|start| name.starts_with(start)))
    }
}

/// One mapping of shared memory by one process.
#[derive(Clone, Copy)]
struct Window {
    /// Of the process, among those given.
    process: usize,
    address: usize,
    size: usize,
}

/// Where shared memory is mapped: for each beginning of a mapping the largest one there.
pub(crate) struct Atlas<'a> {
    processes: &'a [Process],
    windows: BTreeMap<Place, Window>,
}

impl<'a> Atlas<'a> {
    pub(crate) fn of(processes: &'a [Process]) -> Self {
        let mut windows = BTreeMap::<_, Window>::new();
        for (process, it) in processes.iter().enumerate() {
            for mapping in &it.mappings {
                let Some(memory) = mapping.memory.clone() else { continue };
                let window = Window { process, address: mapping.start, size: mapping.end - mapping.start };
                let place = Place { memory, offset: mapping.offset };
                let known = windows.entry(place).or_insert(window);
                if known.size < window.size {
                    *known = window;
                }
            }
        }
        Self { processes, windows }
    }

    /// Where mappings begin, and how large they are.
    pub(crate) fn starts(&self) -> impl Iterator<Item = (&Place, usize)> {
        self.windows.iter().map(|(place, window)| (place, window.size))
    }

    /// Copies what is at a place; false if nobody has so much mapped there.
    pub(crate) fn read(&self, place: &Place, into: &mut [u8]) -> bool {
        let before = self.windows.range(..=place).rev();
        let mut same = before.take_while(|(start, _)| start.memory == place.memory);
        same.any(|(start, window)| {
            let distance = place.offset - start.offset;
            distance.checked_add(into.len()).is_some_and(|end| end <= window.size)
                && self.processes[window.process].read_into(window.address + distance, into)
        })
    }

    pub(crate) fn read_array<const N: usize>(&self, place: &Place) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read(place, &mut bytes).then_some(bytes)
    }

    /// The processes that have it mapped.
    pub(crate) fn sharers(&self, memory: &Memory) -> impl Iterator<Item = &'a Process> {
        let processes = self.processes;
        processes.iter().filter(move |process| process.maps(memory))
    }
}
