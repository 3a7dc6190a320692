//! Writes parts as objects of a store, each by an upload that is completed at the commit.
//!
//! At a barrier all parts are uploaded, sealed and durable, and nothing of them can be seen. The
//! committable holds all that it takes to complete the uploads: any subtask can, at any time, and
//! more than once. Where a sealed upload waits is the store's affair; a rule of the server's that
//! removes unfinished ones must not be shorter than the longest time between a checkpoint and a
//! restart from it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::executor::block_on;
use serde::{Deserialize, Serialize};
use thalweg_core::{Batch, Record};
use thalweg_operators::FunctionResult;
use thalweg_operators::sink::{Committable, PrepareCommit, SinkContext, SinkWriter};
use thalweg_storage::blob::{
    BlobFuture, CompleteOutcome, FinishedUpload, MultipartStore, PartReceipt, UploadId,
};
use thalweg_storage::{BlobError, BlobPath, BlobPathError, BlobStoreOpener};

use super::object_name::ObjectName;
use crate::format::RowFormat;

/// Pieces of an upload that are on their way while the next one is filled. Each takes the store's
/// part size in memory, and so does the one that is filled.
const UNDER_WAY_MAX: usize = 1;

/// A part can't be written or committed.
#[derive(Debug, thiserror::Error)]
enum ObjectError {
    #[error(transparent)]
    Store(#[from] BlobError),
    #[error("the part objects can't be named so: {0}")]
    Name(#[from] BlobPathError),
    #[error(
        "{location} can't take output exactly once: such a store has no uploads that are \
         completed later; use a folder or s3://BUCKET/PREFIX"
    )]
    NoUploads { location: String },
    #[error(
        "can't commit {location}/{path}: another object has that name already. Nothing was \
         overwritten; move that object away"
    )]
    Taken { location: String, path: String },
    #[error(
        "can't commit {location}/{path}: neither its upload nor the object is there. Somebody \
         has aborted what was still to be committed; its rows are lost"
    )]
    Gone { location: String, path: String },
    #[error("the committable isn't one of this version's file sink for stores: {0}")]
    Committable(#[from] serde_json::Error),
}

/// How a part is committed. Stored in checkpoints as JSON; fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ObjectCommit {
    /// Where it was written: the program may write to another place by the time it's committed.
    location: String,
    path: String,
    upload: FinishedUpload,
}

/// A part whose upload has begun.
struct Upload {
    path: BlobPath,
    id: UploadId,
    sent: Vec<PartReceipt>,
    under_way: VecDeque<BlobFuture<'static, PartReceipt>>,
    pieces: u32,
}

impl Upload {
    /// Waits until no more than so many pieces are on their way.
    fn wait(&mut self, at_most: usize) -> Result<(), BlobError> {
        while self.under_way.len() > at_most {
            if let Some(oldest) = self.under_way.pop_front() {
                self.sent.push(block_on(oldest)?);
            }
        }
        Ok(())
    }
}

pub(super) struct ObjectWriter<T> {
    location: String,
    format: RowFormat<T>,
    max_part_bytes: Option<u64>,
    opener: Arc<dyn BlobStoreOpener>,
    store: Arc<dyn MultipartStore>,
    name: ObjectName,
    /// Parts that were begun.
    number: u64,
    /// The last checkpoint that was prepared, here or before the restart.
    after: u64,
    /// The rows of the current part that aren't on their way.
    buffer: Vec<u8>,
    /// Bytes of the current part that were sent.
    sent: u64,
    /// The current part, once a piece of it was sent.
    part: Option<Upload>,
    /// Parts that were rolled since the last barrier.
    closed: Vec<Upload>,
    /// Parts that this writer described and hasn't committed: their uploads must be there.
    own: Vec<String>,
}

fn multipart(
    opener: &dyn BlobStoreOpener,
    location: &str,
) -> Result<Arc<dyn MultipartStore>, ObjectError> {
    let store = opener.open(location)?;
    store.multipart().ok_or_else(|| ObjectError::NoUploads { location: location.to_owned() })
}

impl<T: Record> ObjectWriter<T> {
    /// A writer; removes what earlier attempts have left.
    pub(super) fn open(
        context: &SinkContext,
        location: &str,
        format: RowFormat<T>,
        max_part_bytes: Option<u64>,
    ) -> FunctionResult<Self> {
        let opener = context.stores.clone();
        let store = multipart(opener.as_ref(), location)?;
        let name = ObjectName::new(context, format.extension());
        let restored_from = context.restored_from.unwrap_or_default().0;
        let prefix = BlobPath::root().join(&name.prefix()).map_err(ObjectError::Name)?;
        let mut removed = 0;
        for (path, upload) in block_on(store.uploads(&prefix))? {
            if !name.is_left_over(path.as_str(), restored_from) {
                continue;
            }
            // One that stays costs space; the next attempt, or the bucket's own rule, removes it.
            match block_on(store.abort_upload(&path, &upload)) {
                Ok(()) => removed += 1,
                Err(error) => tracing::warn!("an upload of an earlier attempt stays: {error}"),
            }
        }
        if removed > 0 {
            tracing::info!(location, uploads = removed, "aborted uploads of earlier attempts");
        }
        Ok(Self {
            location: location.to_owned(),
            format,
            max_part_bytes,
            opener,
            store,
            name,
            number: 0,
            after: restored_from,
            buffer: Vec::new(),
            sent: 0,
            part: None,
            closed: Vec::new(),
            own: Vec::new(),
        })
    }

    /// Sends the buffer as the next piece of the current part.
    fn send(&mut self) -> Result<(), ObjectError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut part = match self.part.take() {
            Some(part) => part,
            None => self.begin()?,
        };
        let waited = part.wait(UNDER_WAY_MAX - 1);
        if waited.is_ok() {
            part.pieces += 1;
            let bytes = std::mem::take(&mut self.buffer);
            self.sent += bytes.len() as u64;
            let piece = self.store.upload_part(&part.path, &part.id, part.pieces, bytes);
            part.under_way.push_back(piece);
        }
        self.part = Some(part);
        Ok(waited?)
    }

    fn begin(&mut self) -> Result<Upload, ObjectError> {
        self.number += 1;
        let path = BlobPath::root().join(&self.name.part(self.after, self.number))?;
        // The name is unique, so it tells this upload's object from any other.
        let id = block_on(self.store.begin_upload(&path, path.as_str()))?;
        let (sent, under_way) = (Vec::new(), VecDeque::new());
        Ok(Upload { path, id, sent, under_way, pieces: 0 })
    }

    fn close_part(&mut self) -> Result<(), ObjectError> {
        self.send()?;
        self.sent = 0;
        self.closed.extend(self.part.take());
        Ok(())
    }

    fn prepare(&mut self) -> Result<Vec<Committable>, ObjectError> {
        self.close_part()?;
        for part in &mut self.closed {
            part.wait(0)?;
        }
        let mut committables = Vec::with_capacity(self.closed.len());
        for part in std::mem::take(&mut self.closed) {
            let (location, path) = (self.location.clone(), part.path.to_string());
            let (upload, parts) = (part.id, part.sent);
            let upload = FinishedUpload { upload, parts, note: path.clone() };
            block_on(self.store.seal_upload(&part.path, &upload))?;
            let commit = ObjectCommit { location, path, upload };
            committables.push(serde_json::to_vec(&commit)?);
            self.own.push(commit.path);
        }
        Ok(committables)
    }

    fn complete(&mut self, commit: ObjectCommit) -> Result<(), ObjectError> {
        let elsewhere = commit.location != self.location;
        let store = match elsewhere {
            true => multipart(self.opener.as_ref(), &commit.location)?,
            false => self.store.clone(),
        };
        let path = BlobPath::parse(&commit.path)?;
        let outcome = block_on(store.complete_upload(&path, &commit.upload))?;
        let ObjectCommit { location, path, .. } = commit;
        let own = self.own.iter().position(|own| *own == path);
        match outcome {
            CompleteOutcome::Completed | CompleteOutcome::CompletedBefore => {}
            CompleteOutcome::Taken => return Err(ObjectError::Taken { location, path }),
            CompleteOutcome::Gone if own.is_some() => {
                return Err(ObjectError::Gone { location, path });
            }
            // It was committed before the restart, and whoever reads the bucket took it away.
            CompleteOutcome::Gone => {
                tracing::warn!(location, path, "a part of the checkpoint isn't there any more");
            }
        }
        if let Some(own) = own {
            self.own.swap_remove(own);
        }
        Ok(())
    }
}

impl<T: Record> SinkWriter<T> for ObjectWriter<T> {
    fn write(&mut self, batch: Batch) -> FunctionResult {
        let rows = batch.values::<T>()?;
        if rows.is_empty() {
            return Ok(());
        }
        let first = self.part.is_none() && self.buffer.is_empty();
        self.format.write(rows, first, &mut self.buffer)?;
        let buffered = self.buffer.len() as u64;
        if self.max_part_bytes.is_some_and(|max| self.sent + buffered >= max) {
            self.close_part()?;
        } else if buffered >= self.store.least_part_bytes() {
            self.send()?;
        }
        Ok(())
    }

    fn prepare_commit(&mut self, request: PrepareCommit) -> FunctionResult<Vec<Committable>> {
        let committables = self.prepare()?;
        self.after = self.after.max(request.checkpoint.unwrap_or_default().0);
        Ok(committables)
    }

    fn commit(&mut self, committables: &[Committable]) -> FunctionResult {
        for committable in committables {
            let commit = serde_json::from_slice(committable).map_err(ObjectError::Committable)?;
            self.complete(commit)?;
        }
        Ok(())
    }

    fn close(&mut self) {
        let parts = self.part.take().into_iter().chain(self.closed.drain(..));
        let mut aborts: BTreeMap<UploadId, BlobFuture<'static, ()>> = BTreeMap::new();
        for part in parts {
            // First ends what is on its way: it would come after the abort.
            drop(part.under_way);
            let abort = self.store.abort_upload(&part.path, &part.id);
            aborts.insert(part.id, abort);
        }
        for abort in aborts.into_values() {
            // What can't be aborted now is a leftover for the next attempt.
            let _ = block_on(abort);
        }
    }
}
