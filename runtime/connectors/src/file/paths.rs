//! Which files a path stands for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders nest at most so deep; more is a symbolic link that leads back to where it is.
const MAX_DEPTH: usize = 64;

/// A path can't be read.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// Nothing is there.
    #[error(
        "no such file or folder: {path} (seen from {from}). Check the path; in a cluster it must \
         exist at the same place for the JobManager and for every TaskManager"
    )]
    Missing {
        /// The path as it was given.
        path: String,
        /// The working directory.
        from: String,
    },
    /// The folder has no file to read.
    #[error("the folder {0} has no file to read: names that start with . or _ are passed over")]
    Empty(String),
    /// It can't be read.
    #[error("can't read {path}: {source}. Check its permissions")]
    Unreadable {
        /// The path.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// Folders within folders without an end.
    #[error("{0} nests deeper than 64 folders: does a symbolic link lead back to where it is?")]
    TooDeep(String),
    /// The name can't be stored in a checkpoint.
    #[error("the name of {0} isn't UTF-8: rename it")]
    Name(String),
    /// A file was replaced by a shorter one since the checkpoint.
    #[error(
        "{path} was read up to byte {position}, but now has only {length}: a file that a \
         checkpoint refers to must not be changed; bring it back, or start without the checkpoint"
    )]
    Shorter {
        /// The path.
        path: String,
        /// Where the checkpoint is.
        position: u64,
        /// The file's length.
        length: u64,
    },
}

impl PathError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            let from = std::env::current_dir().unwrap_or_default();
            let from = from.display().to_string();
            return Self::Missing { path: path.display().to_string(), from };
        }
        Self::Unreadable { path: path.display().to_string(), source }
    }
}

/// A file and its length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub(super) path: String,
    pub(super) length: u64,
}

/// The file at `path`, or all files in the folder there and in those within it, by name.
pub(super) fn find_files(path: &Path) -> Result<Vec<FoundFile>, PathError> {
    let mut found = Vec::new();
    collect(path, 0, &mut found)?;
    if found.is_empty() {
        return Err(PathError::Empty(path.display().to_string()));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(path: &Path, depth: usize, found: &mut Vec<FoundFile>) -> Result<(), PathError> {
    let metadata = fs::metadata(path).map_err(|source| PathError::io(path, source))?;
    if !metadata.is_dir() {
        let name = path.to_str().ok_or_else(|| PathError::Name(path.display().to_string()))?;
        found.push(FoundFile { path: name.to_owned(), length: metadata.len() });
        return Ok(());
    }
    if depth == MAX_DEPTH {
        return Err(PathError::TooDeep(path.display().to_string()));
    }
    let entries: Vec<PathBuf> = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(|source| PathError::io(path, source))?;
    for entry in entries {
        let hidden = entry
            .file_name()
            .is_some_and(|name| matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_')));
        if !hidden {
            collect(&entry, depth + 1, found)?;
        }
    }
    Ok(())
}
