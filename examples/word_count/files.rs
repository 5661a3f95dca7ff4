//! The files to count: regular ones, by the paths given and in all directories below them. Symbolic links are
//! followed when they are given, but not when they are found.

use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

/// What comes of looking at a place.
#[derive(Debug)]
pub(crate) enum Found {
    /// A regular file of so many bytes.
    File(PathBuf, u64),
    /// What cannot be looked into, or is given and no file.
    Skipped(PathBuf, io::Error),
    /// A path that was given and does not exist.
    Missing(PathBuf, io::Error),
}

/// All that is at the paths and below them, directory by directory.
pub(crate) fn find(paths: &[PathBuf]) -> impl Iterator<Item = Found> {
    paths.iter().flat_map(|path| -> Box<dyn Iterator<Item = Found>> {
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Box::new(WalkDir::new(path).into_iter().filter_map(look)),
            Ok(metadata) if metadata.is_file() => one(Found::File(path.clone(), metadata.len())),
            Ok(_) => one(Found::Skipped(path.clone(), io::Error::other("neither a file nor a directory"))),
            Err(error) => one(Found::Missing(path.clone(), error)),
        }
    })
}

fn one(found: Found) -> Box<dyn Iterator<Item = Found>> {
    Box::new(std::iter::once(found))
}

/// Directories are gone through, links, devices and the like passed over.
fn look(entry: walkdir::Result<DirEntry>) -> Option<Found> {
    let size = entry.and_then(|entry| {
        let is_file = entry.file_type().is_file();
        let size = if is_file { entry.metadata()?.len() } else { 0 };
        Ok(is_file.then(|| (entry.into_path(), size)))
    });
    match size {
        Ok(file) => file.map(|(path, size)| Found::File(path, size)),
        Err(error) => {
            let path = error.path().unwrap_or(Path::new("")).to_owned();
            Some(Found::Skipped(path, error.into_io_error().unwrap_or(io::ErrorKind::Other.into())))
        }
    }
}
