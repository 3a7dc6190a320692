//! Copies of what the tasks here have written to a store, on a local disk: a task that restarts
//! here reads them instead of the store. Not here: which of them are still needed.
//!
//! A copy is a file that was unlinked as soon as it was open: whatever becomes of the process,
//! nothing is left behind. Where one is missing, or can't be written, the store is read as ever;
//! what is read is checked against the manifest's checksums, wherever it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use thalweg_storage::blob::{BlobFuture, BlobWriter};
use thalweg_storage::{BlobPath, BlobStore, PutOutcome};

/// A copy of an object.
struct LocalCopy {
    file: fs::File,
    length: u64,
}

/// The copies of one process.
pub(super) struct LocalCopies {
    directory: PathBuf,
    /// For the names that files have for a moment.
    number: AtomicU64,
    copies: Mutex<BTreeMap<BlobPath, Arc<LocalCopy>>>,
}

impl LocalCopies {
    /// Keeps copies in files of this directory, which is made if there's none.
    pub(super) fn new(directory: &Path) -> Self {
        let directory = directory.to_path_buf();
        Self { directory, number: AtomicU64::new(0), copies: Mutex::default() }
    }

    /// A file without a name.
    fn open(&self) -> io::Result<fs::File> {
        fs::create_dir_all(&self.directory)?;
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let name = format!("thalweg-copy-{}-{number}", std::process::id());
        let path = self.directory.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    /// The copy, and these bytes behind what it has; None if it can't be kept.
    fn append(&self, path: &BlobPath, copy: Option<LocalCopy>, bytes: &[u8]) -> Option<LocalCopy> {
        let mut copy = copy?;
        match copy.file.write_all(bytes) {
            Ok(()) => Some(LocalCopy { length: copy.length + bytes.len() as u64, ..copy }),
            Err(error) => self.warn(path, &error),
        }
    }

    /// An empty copy; None if it can't be kept.
    fn begin(&self, path: &BlobPath) -> Option<LocalCopy> {
        match self.open() {
            Ok(file) => Some(LocalCopy { file, length: 0 }),
            Err(error) => self.warn(path, &error),
        }
    }

    fn warn(&self, path: &BlobPath, error: &io::Error) -> Option<LocalCopy> {
        let directory = self.directory.display();
        tracing::warn!(%path, "no local copy can be kept in {directory}: {error}");
        None
    }

    /// The object is stored: its copy counts.
    fn keep(&self, path: &BlobPath, copy: Option<LocalCopy>) {
        if let Some(copy) = copy {
            self.copies.lock().insert(path.clone(), Arc::new(copy));
        }
    }

    fn read(&self, path: &BlobPath, range: &Range<u64>) -> Option<Vec<u8>> {
        let copy = Arc::clone(self.copies.lock().get(path)?);
        let length = range.end.checked_sub(range.start)?;
        if range.end > copy.length {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        copy.file.read_exact_at(&mut bytes, range.start).ok()?;
        Some(bytes)
    }

    /// Of the objects in this folder, keeps those that are wanted.
    pub(super) fn retain_in(&self, folder: &BlobPath, wanted: &BTreeSet<String>) {
        self.copies
            .lock()
            .retain(|path, _| !path.is_within(folder) || wanted.contains(path.as_str()));
    }
}

/// A store of which the objects that are written here are copied.
pub(super) struct CopiedStore {
    pub(super) store: Arc<dyn BlobStore>,
    pub(super) copies: Arc<LocalCopies>,
}

impl BlobStore for CopiedStore {
    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            let copy = self.copies.append(path, self.copies.begin(path), &bytes);
            self.store.put(path, bytes).await?;
            self.copies.keep(path, copy);
            Ok(())
        })
    }

    fn writer<'s>(&'s self, path: &BlobPath) -> Box<dyn BlobWriter + 's> {
        let copy = self.copies.begin(path);
        let inner = self.store.writer(path);
        Box::new(CopiedWriter { inner, copies: &self.copies, path: path.clone(), copy })
    }

    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome> {
        self.store.put_if_absent(path, bytes)
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        self.store.get(path)
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move {
            match self.copies.read(path, &range) {
                Some(bytes) => Ok(bytes),
                None => self.store.get_range(path, range).await,
            }
        })
    }

    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        self.store.list(folder)
    }

    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()> {
        self.store.delete(path)
    }
}

/// An object that is being written, and its copy.
struct CopiedWriter<'s> {
    inner: Box<dyn BlobWriter + 's>,
    copies: &'s LocalCopies,
    path: BlobPath,
    copy: Option<LocalCopy>,
}

impl BlobWriter for CopiedWriter<'_> {
    fn append(&mut self, bytes: Vec<u8>) -> BlobFuture<'_, ()> {
        self.copy = self.copies.append(&self.path, self.copy.take(), &bytes);
        self.inner.append(bytes)
    }

    fn finish<'w>(self: Box<Self>) -> BlobFuture<'w, ()>
    where
        Self: 'w,
    {
        Box::pin(async move {
            let Self { inner, copies, path, copy } = *self;
            inner.finish().await?;
            copies.keep(&path, copy);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use thalweg_storage::MemoryStore;

    use super::*;

    fn path(name: &str) -> BlobPath {
        BlobPath::parse(name).unwrap()
    }

    fn files(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[tokio::test]
    async fn what_was_written_here_is_read_from_the_disk_and_leaves_nothing_on_it() {
        let directory = std::env::temp_dir().join(format!("copies-{}", std::process::id()));
        let copies = Arc::new(LocalCopies::new(&directory));
        let store = Arc::new(MemoryStore::new());
        let copied = CopiedStore { store: store.clone(), copies: Arc::clone(&copies) };
        for name in ["job/chk-1/a", "job/chk-2/b", "other/chk-1/c"] {
            copied.put(&path(name), name.as_bytes().to_vec()).await.unwrap();
            // So that it shows where it's read from.
            store.put(&path(name), vec![b'-'; 30]).await.unwrap();
        }
        assert_eq!(files(&directory), 0);
        let read = async |name: &str, range| {
            String::from_utf8(copied.get_range(&path(name), range).await.unwrap()).unwrap()
        };
        assert_eq!(read("job/chk-1/a", 4..9).await, "chk-1");
        assert_eq!(read("job/chk-1/a", 4..19).await, "---------------", "more than the copy has");
        copies.retain_in(&path("job"), &BTreeSet::from(["job/chk-2/b".to_owned()]));
        assert_eq!(read("job/chk-1/a", 0..2).await, "--");
        assert_eq!(read("job/chk-2/b", 0..3).await, "job");
        assert_eq!(read("other/chk-1/c", 0..5).await, "other");
        copies.retain_in(&path("other"), &BTreeSet::new());
        assert_eq!(read("other/chk-1/c", 0..2).await, "--");
        fs::remove_dir(&directory).unwrap();
    }

    #[tokio::test]
    async fn without_room_for_copies_the_store_is_used_alone() {
        let copies = Arc::new(LocalCopies::new(Path::new("/proc/nothing")));
        let store = Arc::new(MemoryStore::new());
        let copied = CopiedStore { store, copies };
        copied.put(&path("job/a"), vec![1, 2, 3]).await.unwrap();
        assert_eq!(copied.get_range(&path("job/a"), 1..3).await.unwrap(), [2, 3]);
    }
}
