//! Writing a blob whose bytes come over time, and writes that never ended. Not here: where the
//! bytes come from.

use super::{BlobFuture, BlobPath, BlobStore};

/// A blob on its way into a store. Nobody sees any of it before [`finish`](BlobWriter::finish) has
/// returned, then all of it is there. Dropped before, it leaves nothing that counts. After an error
/// it is to be dropped.
pub trait BlobWriter: Send {
    /// Takes the next bytes. Waits while too much of the blob is in memory.
    fn append(&mut self, bytes: Vec<u8>) -> BlobFuture<'_, ()>;

    /// Writes what is left, and makes the blob appear.
    fn finish<'w>(self: Box<Self>) -> BlobFuture<'w, ()>
    where
        Self: 'w;
}

/// A write that was begun.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnfinishedWrite {
    /// The blob that it is to become.
    pub path: BlobPath,
    /// The store's own name of it.
    pub id: String,
}

/// For stores that write blobs as a whole only.
pub(super) struct Gathered<'s, S: BlobStore + ?Sized> {
    store: &'s S,
    path: BlobPath,
    bytes: Vec<u8>,
}

impl<'s, S: BlobStore + ?Sized> Gathered<'s, S> {
    pub(super) fn new(store: &'s S, path: BlobPath) -> Self {
        Self { store, path, bytes: Vec::new() }
    }
}

impl<S: BlobStore + ?Sized> BlobWriter for Gathered<'_, S> {
    fn append(&mut self, bytes: Vec<u8>) -> BlobFuture<'_, ()> {
        if self.bytes.is_empty() {
            self.bytes = bytes;
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn finish<'w>(self: Box<Self>) -> BlobFuture<'w, ()>
    where
        Self: 'w,
    {
        Box::pin(async move {
            let Self { store, path, bytes } = *self;
            store.put(&path, bytes).await
        })
    }
}
