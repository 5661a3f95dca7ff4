//! What `/proc` and the kernel tell of other processes, without stopping them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Error, ErrorKind};

use super::memory::{Memory, Place};

/// One mapping of a process.
pub(crate) struct Mapping {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) offset: usize,
    /// If all who map it see its changes.
    pub(crate) memory: Option<Memory>,
}

/// A process, as it was when it was looked at.
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) mappings: Vec<Mapping>,
}

/// The names of files and threads need not be text.
fn read_lossy(path: &str) -> std::io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn parse_mapping(line: &str) -> Option<Mapping> {
    let hexadecimal = |text: &str| usize::from_str_radix(text, 16).ok();
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let offset = hexadecimal(fields.next()?)?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let inode = fields.next()?.parse().ok()?;
    let is_shared = permissions.starts_with("rw") && permissions.ends_with('s');
    let memory = is_shared.then(|| {
        let name = fields.collect::<Vec<_>>().join(" ");
        Some(Memory::File { device: (hexadecimal(major)? as u32, hexadecimal(minor)? as u32), inode, name })
    });
    Some(Mapping { start: hexadecimal(start)?, end: hexadecimal(end)?, offset, memory: memory.flatten() })
}

/// The ids of all processes.
pub(crate) fn all_pids() -> std::io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?.flatten();
    Ok(entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect())
}

impl Process {
    /// # Errors
    ///
    /// Each says of which process.
    pub(crate) fn look(pid: u32) -> std::io::Result<Self> {
        Self::try_look(pid).map_err(|error| match error.kind() {
            _ if state_of(pid) == 'X' => {
                Error::new(ErrorKind::NotFound, format!("process {pid}: there is none"))
            }
            kind => Error::new(kind, format!("process {pid}: {error}")),
        })
    }

    fn try_look(pid: u32) -> std::io::Result<Self> {
        let maps = read_lossy(&format!("/proc/{pid}/maps"))?;
        // Its memory and its system calls take the right to trace, which its maps do not.
        fs::read(format!("/proc/{pid}/syscall"))?;
        let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/pid")).ok();
        if namespace("self") != namespace(&pid.to_string()) {
            // The thread ids in its objects would be others' here.
            return Err(Error::other("it is in another PID namespace, where this tool has to run, too"));
        }
        Ok(Self { pid, mappings: maps.lines().filter_map(parse_mapping).collect() })
    }

    /// All processes that share memory with one of these, these included.
    pub(crate) fn with_relatives(pids: &[u32]) -> std::io::Result<Vec<Self>> {
        // A process may be told by any of its threads, and twice.
        let pids: BTreeSet<u32> = pids.iter().map(|&id| process_of(id).unwrap_or(id)).collect();
        let mut found = pids.iter().map(|&pid| Self::look(pid)).collect::<Result<Vec<_>, _>>()?;
        let files: BTreeSet<Memory> = found
            .iter()
            .flat_map(|process| process.mappings.iter().filter_map(|it| it.memory.clone()))
            .collect();
        for pid in all_pids()? {
            if pids.contains(&pid) {
                continue;
            }
            // It may have ended, or be somebody else's.
            let Ok(other) = Self::look(pid) else { continue };
            if other.mappings.iter().any(|it| it.memory.as_ref().is_some_and(|file| files.contains(file))) {
                found.push(other);
            }
        }
        Ok(found)
    }

    /// Whether it has memory mapped that forq might have made.
    pub(crate) fn may_use_forq(&self) -> bool {
        self.mappings.iter().any(|it| it.memory.as_ref().is_some_and(Memory::may_be_ours))
    }

    pub(crate) fn maps(&self, memory: &Memory) -> bool {
        self.mappings.iter().any(|it| it.memory.as_ref() == Some(memory))
    }

    pub(crate) fn place(&self, address: usize) -> Option<Place> {
        // They are in order.
        let after = self.mappings.partition_point(|it| it.end <= address);
        let mapping = self.mappings.get(after).filter(|it| it.start <= address)?;
        Some(match &mapping.memory {
            Some(memory) => {
                Place { memory: memory.clone(), offset: address - mapping.start + mapping.offset }
            }
            None => Place { memory: Memory::Private(self.pid), offset: address },
        })
    }

    /// Copies its memory; false if there is none.
    pub(crate) fn read_into(&self, address: usize, bytes: &mut [u8]) -> bool {
        let here = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let there = libc::iovec { iov_base: address as *mut _, iov_len: bytes.len() };
        // SAFETY: the local part is the slice; the other one is the kernel's to check.
        let read = unsafe { libc::process_vm_readv(self.pid as i32, &here, 1, &there, 1, 0) };
        read == bytes.len() as isize
    }

    pub(crate) fn read<const N: usize>(&self, address: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read_into(address, &mut bytes).then_some(bytes)
    }

    fn word(&self, address: usize) -> Option<usize> {
        self.read(address).map(usize::from_ne_bytes)
    }

    pub(crate) fn threads(&self) -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        tasks.filter_map(|task| task.file_name().to_string_lossy().parse().ok()).collect()
    }

    /// Where the robust list of a thread points: at locks of forq's and of the C library's.
    pub(crate) fn held(&self, tid: u32) -> Vec<usize> {
        const MOST: usize = 1000;
        let (mut head, mut size) = (0usize, 0usize);
        // SAFETY: places for both results.
        let got = unsafe { libc::syscall(libc::SYS_get_robust_list, tid, &raw mut head, &raw mut size) };
        let mut held = Vec::new();
        if got != 0 || head == 0 {
            return held;
        }
        let mut next = self.word(head);
        while let Some(entry) = next.map(|entry| entry & !1).filter(|&entry| entry != head && entry != 0) {
            if held.len() == MOST {
                break;
            }
            held.push(entry);
            next = self.word(entry);
        }
        held
    }

    /// The futex words that a thread sleeps on.
    pub(crate) fn waits_on(&self, tid: u32) -> Vec<usize> {
        let path = format!("/proc/{}/task/{tid}/syscall", self.pid);
        let line = fs::read_to_string(path).unwrap_or_default();
        let mut fields = line.split_whitespace();
        let number = fields.next().and_then(|number| number.parse::<i64>().ok());
        let mut arguments =
            fields.map_while(|field| usize::from_str_radix(field.trim_start_matches("0x"), 16).ok());
        match number {
            Some(libc::SYS_futex) => arguments.next().into_iter().collect(),
            Some(libc::SYS_futex_waitv) => {
                let (start, count) = (arguments.next().unwrap_or(0), arguments.next().unwrap_or(0));
                // Value, address, flags.
                (0..count.min(128))
                    .filter_map(|index| self.word(start.wrapping_add(index * 24 + 8)))
                    .collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The letter that the kernel has for a thread's state: `X` if there is no such thread, `?` if it does not tell.
pub(crate) fn state_of(tid: u32) -> char {
    match read_lossy(&format!("/proc/{tid}/stat")) {
        Ok(stat) => stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?'),
        // SAFETY: no pointers, and no signal.
        Err(_) if unsafe { libc::kill(tid as i32, 0) } == 0 => '?',
        Err(_) => match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::ESRCH) => 'X',
            _ => '?',
        },
    }
}

/// What a process is called by `ps`.
pub(crate) fn command_of(pid: u32) -> String {
    read_lossy(&format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// The process that a thread belongs to.
pub(crate) fn process_of(tid: u32) -> Option<u32> {
    let status = read_lossy(&format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}
