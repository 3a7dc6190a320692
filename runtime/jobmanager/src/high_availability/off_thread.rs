//! A store that works on the thread that polls it, given threads of its own.

use std::ops::Range;
use std::sync::Arc;

use thalweg_storage::blob::{BlobErrorKind, UnfinishedWrite};
use thalweg_storage::{BlobError, BlobFuture, BlobPath, BlobStore, PutOutcome};
use tokio::runtime::Handle;

use crate::endpoint::CheckpointStore;

/// The store, to be used by async code.
pub fn off_thread(store: &CheckpointStore, runtime: &Handle) -> Arc<dyn BlobStore> {
    if !store.blocking {
        return Arc::clone(&store.store);
    }
    Arc::new(OffThread { inner: Arc::clone(&store.store), runtime: runtime.clone() })
}

/// What is done with the store.
trait Work<T>:
    for<'i> FnOnce(&'i dyn BlobStore, &'i BlobPath) -> BlobFuture<'i, T> + Send + 'static
{
}

impl<T, F> Work<T> for F where
    F: for<'i> FnOnce(&'i dyn BlobStore, &'i BlobPath) -> BlobFuture<'i, T> + Send + 'static
{
}

struct OffThread {
    inner: Arc<dyn BlobStore>,
    runtime: Handle,
}

impl OffThread {
    fn run<'s, T: Send + 'static>(
        &'s self,
        action: &'static str,
        path: &BlobPath,
        work: impl Work<T>,
    ) -> BlobFuture<'s, T> {
        let (inner, path) = (Arc::clone(&self.inner), path.clone());
        let (runtime, place) = (self.runtime.clone(), path.to_string());
        let job = move || runtime.block_on(work(inner.as_ref(), &path));
        let job = self.runtime.spawn_blocking(job);
        Box::pin(async move {
            job.await.unwrap_or_else(|error| {
                let (kind, source) = (BlobErrorKind::Other, std::io::Error::other(error));
                Err(BlobError { action, place, kind, source })
            })
        })
    }
}

impl BlobStore for OffThread {
    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()> {
        self.run("write", path, move |store, path| store.put(path, bytes))
    }

    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome> {
        self.run("write", path, move |store, path| store.put_if_absent(path, bytes))
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        self.run("read", path, |store, path| store.get(path))
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        self.run("read", path, move |store, path| store.get_range(path, range))
    }

    fn unfinished<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<UnfinishedWrite>> {
        self.run("list", folder, |store, folder| store.unfinished(folder))
    }

    fn discard_unfinished<'s>(&'s self, write: &'s UnfinishedWrite) -> BlobFuture<'s, ()> {
        let (path, id) = (&write.path, write.id.clone());
        self.run("delete", path, move |store, path| {
            let write = UnfinishedWrite { path: path.clone(), id };
            Box::pin(async move { store.discard_unfinished(&write).await })
        })
    }

    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        self.run("list", folder, |store, folder| store.list(folder))
    }

    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()> {
        self.run("delete", path, |store, path| store.delete(path))
    }
}
