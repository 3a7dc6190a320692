//! The store that a command reads, and a run in it as a source of bytes. Nothing is written. Not
//! here: which kinds of stores there are.

use std::future::Future;
use std::io;
use std::sync::Arc;

use thalweg_state::run::ReadAt;
use thalweg_storage::{BlobError, BlobPath, BlobStore, BlobStoreOpener, CheckpointManifest};
use tokio::runtime::Runtime;

use super::error::StateCommandError;
use crate::process::Stores;

/// Bytes that are read at once where a whole object is.
const CHUNK: u64 = 1 << 20;

/// An opened store. Commands do one thing after the other, so they wait for each answer.
pub(super) struct OpenStore {
    store: Arc<dyn BlobStore>,
    runtime: Arc<Runtime>,
    stores: Stores,
}

impl OpenStore {
    /// The store in this directory, which has to be there already.
    pub(super) fn open(
        stores: &Stores,
        directory: &str,
        runtime: Arc<Runtime>,
    ) -> Result<OpenStore, StateCommandError> {
        let local = match directory.split_once("://") {
            None => Some(directory),
            Some(("file", path)) => Some(path),
            Some(_) => None,
        };
        // Opening would make it.
        if let Some(path) = local
            && !std::path::Path::new(path).is_dir()
        {
            return Err(StateCommandError::NoDirectory { path: path.to_owned() });
        }
        let guard = runtime.enter();
        let store = stores.open(directory)?;
        drop(guard);
        Ok(OpenStore { store, runtime, stores: stores.clone() })
    }

    /// The store that holds what the manifest, found in this one, refers to, if that is another
    /// one: a checkpoint with which a job was stopped is a savepoint.
    pub(super) fn holding(
        &self,
        manifest: &CheckpointManifest,
    ) -> Result<Option<OpenStore>, StateCommandError> {
        let directory = manifest.stopped_with.as_deref();
        let open = |directory| OpenStore::open(&self.stores, directory, Arc::clone(&self.runtime));
        directory.map(open).transpose()
    }

    pub(super) fn blobs(&self) -> &dyn BlobStore {
        self.store.as_ref()
    }

    pub(super) fn shared(&self) -> Arc<dyn BlobStore> {
        Arc::clone(&self.store)
    }

    /// Waits for what the store answers.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The part of an object in which a run is.
    pub(super) fn part(&self, object: BlobPath, offset: u64, length: u64) -> StoredPart {
        let (store, runtime) = (Arc::clone(&self.store), Arc::clone(&self.runtime));
        StoredPart { store, runtime, object, offset, length }
    }
}

/// A part of an object.
pub(super) struct StoredPart {
    store: Arc<dyn BlobStore>,
    runtime: Arc<Runtime>,
    object: BlobPath,
    offset: u64,
    length: u64,
}

impl StoredPart {
    fn read(&self, start: u64, length: u64) -> Result<Vec<u8>, BlobError> {
        let start = self.offset.saturating_add(start);
        let range = start..start.saturating_add(length);
        self.runtime.block_on(self.store.get_range(&self.object, range))
    }

    /// The CRC-32C of all of it, read in pieces.
    pub(super) fn checksum(&self) -> Result<u32, BlobError> {
        let mut checksum = 0;
        let mut start = 0;
        while start < self.length {
            let length = CHUNK.min(self.length - start);
            checksum = crc32c::crc32c_append(checksum, &self.read(start, length)?);
            start += length;
        }
        Ok(checksum)
    }
}

impl ReadAt for StoredPart {
    fn size(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        // A run's own numbers may say anything; nothing outside of its part is read.
        let length = buffer.len() as u64;
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = self.read(offset, length).map_err(io::Error::other)?;
        if bytes.len() != buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }
}
