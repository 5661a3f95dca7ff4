//! Blocks: what a task counts. A small file is one block; a large one is many, and a word belongs to the
//! block in which it begins.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use crate::word_count::table::Table;
use crate::word_count::text::{PADDING, count_words};
use crate::word_count::word::LONGEST;

/// Bytes of a block: of all but the last one of a file.
pub(crate) const BLOCK_SIZE: u32 = 1 << 20;

/// A piece of a file.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Block {
    /// Where in the batch's paths the file's path stands.
    pub(crate) path: u32,
    /// Bytes of the path.
    pub(crate) path_length: u32,
    /// Where in the file the block begins.
    pub(crate) start: u64,
    /// Its size, unless the file ends before.
    pub(crate) size: u32,
    /// Its number in the map.
    pub(crate) number: u32,
}

/// What became of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Tally {
    pub(crate) words: u64,
    pub(crate) bytes: u64,
    /// [`COUNTED`], [`BINARY`] or an errno.
    pub(crate) outcome: i32,
    /// The block's number.
    pub(crate) number: u32,
}

/// All is well.
pub(crate) const COUNTED: i32 = 0;
/// It has a NUL byte: nothing of it was counted.
pub(crate) const BINARY: i32 = -1;

/// Reads blocks, one at a time, into memory of its own.
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

/// A block that was read, with what stands around it.
pub(crate) struct Text<'a> {
    /// From the byte before the block, if there is one, to [`LONGEST`] bytes after it, and [`PADDING`].
    bytes: &'a [u8],
    start: usize,
    end: usize,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::new() }
    }

    fn read(&mut self, paths: &[u8], block: &Block) -> io::Result<Text<'_>> {
        let path = &paths[block.path as usize..][..block.path_length as usize];
        let file = File::open(OsStr::from_bytes(path))?;
        let before = usize::from(block.start > 0);
        let wanted = before + block.size as usize + LONGEST;
        if self.buffer.len() < wanted + PADDING {
            self.buffer.resize(wanted + PADDING, 0);
        }
        let mut length = 0;
        while length < wanted {
            match file.read_at(&mut self.buffer[length..wanted], block.start - before as u64 + length as u64)
            {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer[length..length + PADDING].fill(b' ');
        // A file may have become shorter, and end before the block begins.
        let start = before.min(length);
        let end = length.min(before + block.size as usize);
        Ok(Text { bytes: &self.buffer[..length + PADDING], start, end })
    }

    /// Whether a block can be read and is text, its words left aside.
    pub(crate) fn inspect(&mut self, paths: &[u8], block: &Block) -> Result<Text<'_>, i32> {
        match self.read(paths, block) {
            Ok(text) if text.bytes[text.start..text.end].contains(&0) => Err(BINARY),
            Ok(text) => Ok(text),
            Err(error) => Err(error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }
}

impl Text<'_> {
    /// Adds the block's words to a table.
    pub(crate) fn count(&self, block: &Block, table: &mut Table<'_>) -> Tally {
        let words = count_words(self.bytes, self.start, self.end, table);
        Tally { words, bytes: (self.end - self.start) as u64, outcome: COUNTED, number: block.number }
    }
}
