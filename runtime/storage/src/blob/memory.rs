//! A store in memory, for tests and for local runs that needn't outlive the process.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    BlobError, BlobFuture, BlobPath, BlobStore, CompleteOutcome, FinishedUpload, MultipartStore,
    PartReceipt, PutOutcome, UploadId,
};

/// Parts are best this large: small, for tests.
const PART_BYTES: u64 = 1 << 10;

/// Blobs in a map. Clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    blobs: Arc<Mutex<BTreeMap<BlobPath, Vec<u8>>>>,
    uploads: Arc<Mutex<Uploads>>,
}

#[derive(Debug, Default)]
struct Uploads {
    begun: u64,
    under_way: BTreeMap<UploadId, (BlobPath, BTreeMap<u32, Vec<u8>>)>,
    sealed: BTreeSet<UploadId>,
    /// The notes of the uploads that blobs were made by.
    notes: BTreeMap<BlobPath, String>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn blobs(&self) -> MutexGuard<'_, BTreeMap<BlobPath, Vec<u8>>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(
        &self,
        path: &BlobPath,
        finished: &FinishedUpload,
    ) -> Result<CompleteOutcome, BlobError> {
        let mut uploads = self.uploads();
        let mut blobs = self.blobs();
        if blobs.contains_key(path) {
            let same = uploads.notes.get(path) == Some(&finished.note);
            let taken = CompleteOutcome::Taken;
            return Ok(if same { CompleteOutcome::CompletedBefore } else { taken });
        }
        let Some((_, mut parts)) = uploads.under_way.remove(&finished.upload) else {
            return Ok(CompleteOutcome::Gone);
        };
        if !uploads.sealed.remove(&finished.upload) {
            let source = io::Error::other("it wasn't sealed, so it might have been lost");
            return Err(BlobError::new("complete the upload of", path, source));
        }
        let pieces = finished.parts.iter().filter_map(|part| parts.remove(&part.number));
        blobs.insert(path.clone(), pieces.collect::<Vec<_>>().concat());
        uploads.notes.insert(path.clone(), finished.note.clone());
        Ok(CompleteOutcome::Completed)
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
            self.uploads().notes.remove(path);
            Ok(())
        })
    }

    fn multipart(&self) -> Option<Arc<dyn MultipartStore>> {
        Some(Arc::new(self.clone()))
    }
}

/// A future that is ready.
fn ready<T: Send + 'static>(result: Result<T, BlobError>) -> BlobFuture<'static, T> {
    Box::pin(std::future::ready(result))
}

impl MultipartStore for MemoryStore {
    fn begin_upload(&self, path: &BlobPath, _note: &str) -> BlobFuture<'static, UploadId> {
        let mut uploads = self.uploads();
        uploads.begun += 1;
        let id = UploadId(format!("upload-{}", uploads.begun));
        uploads.under_way.insert(id.clone(), (path.clone(), BTreeMap::new()));
        ready(Ok(id))
    }

    fn upload_part(
        &self,
        path: &BlobPath,
        upload: &UploadId,
        number: u32,
        bytes: Vec<u8>,
    ) -> BlobFuture<'static, PartReceipt> {
        let length = bytes.len() as u64;
        ready(match self.uploads().under_way.get_mut(upload) {
            Some((of, parts)) if of == path => {
                parts.insert(number, bytes);
                Ok(PartReceipt { number, tag: number.to_string(), length })
            }
            _ => Err(BlobError::new("upload a part of", path, io::ErrorKind::NotFound.into())),
        })
    }

    fn seal_upload(&self, path: &BlobPath, finished: &FinishedUpload) -> BlobFuture<'static, ()> {
        let mut uploads = self.uploads();
        ready(match uploads.under_way.contains_key(&finished.upload) {
            true => {
                uploads.sealed.insert(finished.upload.clone());
                Ok(())
            }
            false => {
                Err(BlobError::new("seal the upload of", path, io::ErrorKind::NotFound.into()))
            }
        })
    }

    fn complete_upload(
        &self,
        path: &BlobPath,
        finished: &FinishedUpload,
    ) -> BlobFuture<'static, CompleteOutcome> {
        ready(self.complete(path, finished))
    }

    fn abort_upload(&self, _path: &BlobPath, upload: &UploadId) -> BlobFuture<'static, ()> {
        let mut uploads = self.uploads();
        uploads.under_way.remove(upload);
        uploads.sealed.remove(upload);
        ready(Ok(()))
    }

    fn uploads(&self, prefix: &BlobPath) -> BlobFuture<'static, Vec<(BlobPath, UploadId)>> {
        let uploads = MemoryStore::uploads(self);
        let found = uploads.under_way.iter().map(|(id, (path, _))| (path.clone(), id.clone()));
        let begins = |(path, _): &(BlobPath, UploadId)| path.as_str().starts_with(prefix.as_str());
        ready(Ok(found.filter(begins).collect()))
    }

    fn least_part_bytes(&self) -> u64 {
        PART_BYTES
    }
}
