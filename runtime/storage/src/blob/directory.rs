//! A store in a folder, local or mounted. Blocking: the work is done when a method's future is
//! polled, so callers on an async runtime run it where blocking is allowed.
//!
//! A blob is written to a temporary file in its folder, synced, and renamed (or, if it must be
//! the first, linked) to its name; then the folder is synced. So a blob is there whole or not at
//! all, also after a power cut. Names that begin with a dot are temporary files, never blobs; such
//! a name ends with that of the blob, so that it's known whose it is if its writer is gone.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{BlobError, BlobFuture, BlobPath, BlobStore, BlobWriter, PutOutcome, UnfinishedWrite};

/// Blobs as files in a folder.
#[derive(Debug)]
pub struct DirectoryStore {
    root: PathBuf,
}

/// Tells apart the temporary files of one process.
static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// What the names of temporary files begin with; the process, a number and the blob's name follow.
const TEMPORARY: &str = ".tmp-";

/// The longest name of a file, on most file systems: bytes.
const NAME_BYTES_MAX: usize = 255;

/// How often a folder is made again that somebody else removes.
const CREATE_ATTEMPTS_MAX: u32 = 100;

impl DirectoryStore {
    /// The store in the folder `root`, which is made if it doesn't exist.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<DirectoryStore, BlobError> {
        let root = root.into();
        create_folders(&root)
            .map_err(|error| BlobError::new("create the folder", root.display(), error))?;
        Ok(DirectoryStore { root })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn file(&self, path: &BlobPath) -> PathBuf {
        self.root.join(path.as_str())
    }

    /// Writes a temporary file beside `target` and lets `place` move it there.
    fn write<T>(
        &self,
        path: &BlobPath,
        bytes: &[u8],
        place: impl FnOnce(&Path, &Path) -> io::Result<T>,
    ) -> Result<T, BlobError> {
        let target = self.file(path);
        let folder = target.parent().unwrap_or(&self.root);
        let written = self.write_in(&target, bytes, |temporary| place(temporary, &target));
        written.map_err(|error| {
            // Nothing may have come into the folder that was made for it.
            self.remove_empty_folders(folder);
            BlobError::new("write", target.display(), error)
        })
    }

    fn write_in<T>(
        &self,
        target: &Path,
        bytes: &[u8],
        place: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let folder = target.parent().unwrap_or(&self.root);
        let (temporary, mut file) = Self::create_temporary(folder, target)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        let placed = place(&temporary.0)?;
        drop(temporary);
        self.sync_folders(folder)?;
        Ok(placed)
    }

    /// A new file in the folder, which is made if it isn't there. Somebody who deletes the last
    /// blob of the folder removes it, too: again, then. From here on it isn't empty.
    fn create_temporary(folder: &Path, target: &Path) -> io::Result<(Temporary, File)> {
        let blob = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut attempt = 1;
        loop {
            fs::create_dir_all(folder)?;
            let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
            let mut name = format!("{TEMPORARY}{}-{number}-{blob}", std::process::id());
            // BlobPath has ASCII names only.
            name.truncate(NAME_BYTES_MAX);
            let temporary = Temporary(folder.join(name));
            match File::create(&temporary.0) {
                Ok(file) => return Ok((temporary, file)),
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && attempt < CREATE_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes a folder in which there is nothing any more, and those above it. Not the store's.
    fn remove_empty_folders(&self, folder: &Path) {
        for folder in folder.ancestors().take_while(|folder| *folder != self.root) {
            // One that isn't empty can't be removed, which is what is wanted.
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }

    /// Makes the names in the folder durable, and those of the folder and the ones above it.
    fn sync_folders(&self, folder: &Path) -> io::Result<()> {
        for folder in folder.ancestors() {
            File::open(folder)?.sync_all()?;
            if folder == self.root {
                break;
            }
        }
        Ok(())
    }

    fn read(&self, path: &BlobPath) -> Result<Vec<u8>, BlobError> {
        let file = self.file(path);
        fs::read(&file).map_err(|error| BlobError::new("read", file.display(), error))
    }

    fn read_range(&self, path: &BlobPath, range: &Range<u64>) -> Result<Vec<u8>, BlobError> {
        let name = self.file(path);
        let failed = |error| BlobError::new("read", name.display(), error);
        let mut file = File::open(&name).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if range.start > range.end || range.end > size {
            return Err(BlobError::range(path, range.start, range.end, size));
        }
        let mut bytes = vec![0; (range.end - range.start) as usize];
        file.seek(SeekFrom::Start(range.start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(failed)?;
        Ok(bytes)
    }

    /// Calls `found` with each file: its folder and its name.
    fn walk(
        &self,
        folder: &BlobPath,
        found: &mut impl FnMut(&BlobPath, &str),
    ) -> Result<(), BlobError> {
        let name = self.file(folder);
        let failed = |error| BlobError::new("list", name.display(), error);
        let entries = match fs::read_dir(&name) {
            Ok(entries) => entries,
            // A folder that isn't there, or is a blob, holds nothing.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if !kind.is_dir() {
                found(folder, name);
            } else if let Ok(folder) = folder.join(name) {
                self.walk(&folder, found)?;
            }
        }
        Ok(())
    }

    fn unfinished_in(&self, folder: &BlobPath) -> Result<Vec<UnfinishedWrite>, BlobError> {
        let mut found = Vec::new();
        self.walk(folder, &mut |folder, name| found.extend(unfinished(folder, name)))?;
        found.sort();
        Ok(found)
    }
}

/// Makes a folder that isn't there, and those above it, and makes their names durable.
fn create_folders(root: &Path) -> io::Result<()> {
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made: Vec<&Path> = root.ancestors().take_while(missing).collect();
    fs::create_dir_all(root)?;
    for folder in made {
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// The write that a file of this name is of, if it's a temporary one's and tells the blob.
fn unfinished(folder: &BlobPath, name: &str) -> Option<UnfinishedWrite> {
    let mut parts = name.strip_prefix(TEMPORARY)?.splitn(3, '-');
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (process, number) = (parts.next()?, parts.next()?);
    let blob = parts.next().filter(|_| is_number(process) && is_number(number))?;
    // One that was cut tells nothing.
    let path = folder.join(blob).ok().filter(|_| name.len() < NAME_BYTES_MAX)?;
    Some(UnfinishedWrite { path, id: name.to_owned() })
}

/// A temporary file, removed when it's no longer needed. If it was renamed there's none.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing is lost if this fails: no blob has such a name.
        let _ = fs::remove_file(&self.0);
    }
}

/// A file that is being written. It has its name once it is whole.
struct FileWriter<'s> {
    store: &'s DirectoryStore,
    target: PathBuf,
    open: Option<(Temporary, File)>,
}

impl FileWriter<'_> {
    fn folder(&self) -> &Path {
        self.target.parent().unwrap_or(&self.store.root)
    }

    fn open(&mut self) -> io::Result<(Temporary, File)> {
        match self.open.take() {
            Some(open) => Ok(open),
            None => DirectoryStore::create_temporary(self.folder(), &self.target),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (temporary, mut file) = self.open()?;
        file.write_all(bytes)?;
        self.open = Some((temporary, file));
        Ok(())
    }

    fn place(&mut self) -> io::Result<()> {
        let (temporary, file) = self.open()?;
        file.sync_all()?;
        fs::rename(&temporary.0, &self.target)?;
        drop(temporary);
        self.store.sync_folders(self.folder())
    }

    fn failed(&self, error: io::Error) -> BlobError {
        BlobError::new("write", self.target.display(), error)
    }
}

impl Drop for FileWriter<'_> {
    fn drop(&mut self) {
        self.open = None;
        // Nothing may have come into the folder that was made for it.
        self.store.remove_empty_folders(self.folder());
    }
}

impl BlobWriter for FileWriter<'_> {
    fn append(&mut self, bytes: Vec<u8>) -> BlobFuture<'_, ()> {
        Box::pin(async move { self.write(&bytes).map_err(|error| self.failed(error)) })
    }

    fn finish<'w>(mut self: Box<Self>) -> BlobFuture<'w, ()>
    where
        Self: 'w,
    {
        Box::pin(async move { self.place().map_err(|error| self.failed(error)) })
    }
}

impl BlobStore for DirectoryStore {
    fn writer<'s>(&'s self, path: &BlobPath) -> Box<dyn BlobWriter + 's> {
        Box::new(FileWriter { store: self, target: self.file(path), open: None })
    }

    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            self.write(path, &bytes, |temporary, target| fs::rename(temporary, target))
        })
    }

    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome> {
        Box::pin(async move {
            self.write(path, &bytes, |temporary, target| match fs::hard_link(temporary, target) {
                Ok(()) => Ok(PutOutcome::Created),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    Ok(PutOutcome::AlreadyExists)
                }
                Err(error) => Err(error),
            })
        })
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move { self.read(path) })
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move { self.read_range(path, &range) })
    }

    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        Box::pin(async move {
            let mut found = Vec::new();
            // What no blob can be called was put there by somebody else, or is temporary.
            self.walk(folder, &mut |folder, name| found.extend(folder.join(name)))?;
            found.sort();
            Ok(found)
        })
    }

    fn unfinished<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<UnfinishedWrite>> {
        Box::pin(async move { self.unfinished_in(folder) })
    }

    fn discard_unfinished<'s>(&'s self, write: &'s UnfinishedWrite) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            let target = self.file(&write.path);
            let folder = target.parent().unwrap_or(&self.root);
            match fs::remove_file(folder.join(&write.id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(BlobError::new("delete what is left of", target.display(), error))
                }
                _ => {
                    self.remove_empty_folders(folder);
                    Ok(())
                }
            }
        })
    }

    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            let file = self.file(path);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(BlobError::new("delete", file.display(), error))
                }
                _ => {
                    self.remove_empty_folders(file.parent().unwrap_or(&self.root));
                    Ok(())
                }
            }
        })
    }

    fn remove_if_empty(&self) -> BlobFuture<'_, ()> {
        Box::pin(async move {
            match fs::remove_dir(&self.root) {
                Err(error)
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                    ) =>
                {
                    Err(BlobError::new("delete", self.root.display(), error))
                }
                _ => Ok(()),
            }
        })
    }
}
