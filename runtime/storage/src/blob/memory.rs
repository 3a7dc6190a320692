//! A store in memory, for tests and for local runs that needn't outlive the process.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{BlobError, BlobFuture, BlobPath, BlobStore, PutOutcome};

/// Blobs in a map. Clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    blobs: Arc<Mutex<BTreeMap<BlobPath, Vec<u8>>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn blobs(&self) -> MutexGuard<'_, BTreeMap<BlobPath, Vec<u8>>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        path: &BlobPath,
        read: impl FnOnce(&Vec<u8>) -> Result<T, BlobError>,
    ) -> Result<T, BlobError> {
        match self.blobs().get(path) {
            Some(bytes) => read(bytes),
            None => Err(BlobError::new("read", path, io::ErrorKind::NotFound.into())),
        }
    }
}

impl BlobStore for MemoryStore {
    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            self.blobs().insert(path.clone(), bytes);
            Ok(())
        })
    }

    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome> {
        Box::pin(async move {
            Ok(match self.blobs().entry(path.clone()) {
                Entry::Occupied(_) => PutOutcome::AlreadyExists,
                Entry::Vacant(entry) => {
                    entry.insert(bytes);
                    PutOutcome::Created
                }
            })
        })
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move { self.read(path, |bytes| Ok(bytes.clone())) })
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move {
            self.read(path, |bytes| {
                let within = || {
                    let start = usize::try_from(range.start).ok()?;
                    bytes.get(start..usize::try_from(range.end).ok()?).map(<[u8]>::to_vec)
                };
                let size = bytes.len() as u64;
                within().ok_or_else(|| BlobError::range(path, range.start, range.end, size))
            })
        })
    }

    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        Box::pin(async move {
            let blobs = self.blobs();
            // A blob isn't a folder: only what lies within counts.
            let within = |path: &&BlobPath| path.is_within(folder) && *path != folder;
            Ok(blobs.keys().filter(within).cloned().collect())
        })
    }

    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            self.blobs().remove(path);
            Ok(())
        })
    }
}
