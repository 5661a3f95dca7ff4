//! A segment of another process, seen from outside.

use core::mem::offset_of;
use std::string::String;
use std::vec::Vec;

use super::header::{HEADER, Header, Kind, Start};
use super::name;
use super::objects::{self, Objects};

/// The memory of another process, or a copy: fills the buffer with what is at an offset; false if that cannot be read.
pub(crate) trait Look: FnMut(u64, &mut [u8]) -> bool {
    /// The words at an offset.
    fn words<const N: usize>(&mut self, at: u64) -> Option<[u64; N]> {
        let mut words = [0u64; N];
        self(at, bytemuck::bytes_of_mut(&mut words)).then_some(words)
    }

    /// The size of the segment that begins there, if it is one of this kind that this process could use.
    fn segment(&mut self, kind: Kind) -> Option<u64> {
        let header = Header(self.words(0)?);
        header.check(kind, header.0[2]).ok().map(|size| size as u64)
    }

    /// So many bytes as text; what is not UTF-8 in it is replaced.
    fn text(&mut self, at: u64, length: usize) -> Option<String> {
        let mut bytes = std::vec![0; length];
        self(at, &mut bytes).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl<F: FnMut(u64, &mut [u8]) -> bool> Look for F {}

/// What the memory of a [`Segment`](crate::Segment) says of its objects: for tools that look into the memory of running programs, which need not map it.
///
/// ```
/// use forq::{Segment, SegmentView};
///
/// let segment = Segment::anonymous(1 << 12)?;
/// let (start, _) = segment.object_bytes(b"counters", 512)?;
/// // In a tool, of another process, by process_vm_readv or /proc/PID/mem: here by the file.
/// # use std::os::fd::AsFd;
/// use std::os::unix::fs::FileExt;
/// let file = std::fs::File::from(segment.as_fd().try_clone_to_owned().unwrap());
/// let view = SegmentView::of(|offset, into| file.read_exact_at(into, offset).is_ok()).unwrap();
/// assert_eq!((view.objects[0].name.as_str(), view.objects[0].size), ("counters", 512));
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentView {
    /// Its size with its first page, in bytes.
    pub size: u64,
    /// Its objects, in the order in which they were made; at most 10,000.
    pub objects: Vec<ObjectView>,
}

/// One object of a segment, as in [`SegmentView`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectView {
    /// Its name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// Where it is, from the start of the segment.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
}

impl SegmentView {
    /// Reads what `look` gives: it fills its buffer with what is at an offset from the start, or says that it cannot. `None`: there is no segment of
    /// objects of this version of forq.
    #[must_use]
    pub fn of(mut look: impl FnMut(u64, &mut [u8]) -> bool) -> Option<Self> {
        const MOST: usize = 10_000;
        let size = look.segment(Kind::Objects)?;
        let [used] = look.words(offset_of!(Start, used) as u64)?;
        let used = used.min(size - HEADER as u64) as usize;
        let (mut objects, mut at) = (Vec::new(), 0);
        while at < used && objects.len() < MOST {
            let [object_size, length] = look.words((HEADER + at) as u64)?;
            let length = usize::try_from(length).ok().filter(|length| (1..=name::MAX).contains(length));
            let record = length.zip(usize::try_from(object_size).ok()).and_then(|(length, size)| {
                Objects::layout(at, length, size).filter(|record| record.end <= used).zip(Some(length))
            });
            // Nothing that forq writes.
            let Some((record, length)) = record else { break };
            objects.push(ObjectView {
                name: look.text((HEADER + at + objects::NAME) as u64, length)?,
                offset: (HEADER + record.object) as u64,
                size: record.size as u64,
            });
            at = record.end;
        }
        Some(Self { size, objects })
    }
}
