//! The contract of a store of named, immutable pieces of bytes. Not here: what is stored.

mod directory;
mod error;
mod memory;
mod multipart;
mod opener;
mod path;
mod requests;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

pub use self::directory::DirectoryStore;
pub use self::error::{BlobError, BlobErrorKind};
pub use self::memory::MemoryStore;
pub use self::multipart::{CompleteOutcome, FinishedUpload, MultipartStore, PartReceipt, UploadId};
pub use self::opener::{BlobStoreOpener, LocalStores};
pub use self::path::{BlobPath, BlobPathError};
pub use self::requests::{RequestCount, RequestKind, RequestMetrics, RequestOutcome};
pub use self::writer::{BlobWriter, UnfinishedWrite};

/// What a store's methods return.
pub type BlobFuture<'s, T> = Pin<Box<dyn Future<Output = Result<T, BlobError>> + Send + 's>>;

/// What a conditional write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The blob is there, with these bytes.
    Created,
    /// There was one already; it's untouched.
    AlreadyExists,
}

/// A store of blobs. Once a write has returned, every later read, by any process, sees it whole;
/// no read ever sees a part of a blob.
pub trait BlobStore: Send + Sync {
    /// Writes a blob, replacing one of that name.
    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()>;

    /// Writes a blob unless one of that name exists. Of several at once, exactly one is
    /// `Created`. After an error it's unknown whether the blob was written: read it back.
    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome>;

    /// The blob's bytes. A missing one is an error of kind [`BlobErrorKind::NotFound`].
    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>>;

    /// Some of the blob's bytes; an error of kind [`BlobErrorKind::Range`] if it's shorter.
    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>>;

    /// All blobs in this folder and the folders in it, ascending; none if there's no such folder.
    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>>;

    /// Removes a blob. A missing one is no error.
    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()>;

    /// Removes what the store itself is, where that is something that can be empty and is: the
    /// directory that held a savepoint. The store isn't to be used afterwards.
    fn remove_if_empty(&self) -> BlobFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Begins to write a blob piece by piece, which replaces one of that name. Unless the store
    /// says otherwise the pieces are gathered in memory.
    fn writer<'s>(&'s self, path: &BlobPath) -> Box<dyn BlobWriter + 's> {
        Box::new(writer::Gathered::new(self, path.clone()))
    }

    /// Writes to blobs in this folder, and the folders in it, that were begun and aren't finished,
    /// ascending: under way, or left by writers that are gone.
    fn unfinished<'s>(&'s self, _folder: &'s BlobPath) -> BlobFuture<'s, Vec<UnfinishedWrite>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Removes what such a write has left. If it is still under way it fails, and its blob doesn't
    /// appear. One that isn't there is no error.
    fn discard_unfinished<'s>(&'s self, _write: &'s UnfinishedWrite) -> BlobFuture<'s, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The same store's uploads, if it has any.
    fn multipart(&self) -> Option<Arc<dyn MultipartStore>> {
        None
    }
}
