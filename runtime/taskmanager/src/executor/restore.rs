//! Fetches what a task starts from. Each piece is checked before it is read. Not here: reading
//! states from it, which operators do when they open.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::ids::OperatorId;
use thalweg_core::key_group::KeyGroupRange;
use thalweg_rpc::message::{OperatorRestore, SnapshotData, SnapshotHandle, TaskRestore};
use thalweg_state::{RestoredOperator, RunError, RunReader, StateError};
use thalweg_storage::{BlobError, BlobPath, BlobPathError, BlobStore};

use crate::task::SpecRestore;

/// Why a task can't be restored.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    #[error("the snapshot of subtask {subtask} can't be read: {source}")]
    Store { subtask: u32, source: BlobError },
    #[error("the snapshot of subtask {subtask} has no valid name: {source}")]
    Path { subtask: u32, source: BlobPathError },
    #[error(
        "the snapshot of subtask {subtask} is damaged: it has {found} bytes with checksum \
         {found_crc:08x}, its manifest says {expected} with {expected_crc:08x}; restore another \
         checkpoint"
    )]
    Damaged { subtask: u32, expected: u64, found: usize, expected_crc: u32, found_crc: u32 },
    #[error(
        "the snapshot of subtask {subtask} is in a store, but the deployment names none; set \
         execution.checkpointing.dir"
    )]
    NoStore { subtask: u32 },
    #[error("the snapshot of subtask {subtask} isn't readable: {source}")]
    Run { subtask: u32, source: RunError },
    #[error(transparent)]
    State(#[from] StateError),
}

/// Which subtask is restored.
#[derive(Debug, Clone, Copy)]
pub(super) struct RestoredSubtask {
    pub(super) index: u32,
    pub(super) parallelism: u32,
    pub(super) key_groups: KeyGroupRange,
}

/// Fetches all that `restore` names. The operator of an error comes with it.
pub(super) async fn fetch(
    store: Option<&dyn BlobStore>,
    restore: &TaskRestore,
    subtask: RestoredSubtask,
) -> Result<SpecRestore, (OperatorId, RestoreError)> {
    let mut operators = BTreeMap::new();
    for operator in &restore.operators {
        let restored = fetch_operator(store, operator, subtask).await;
        let restored = restored.map_err(|error| (operator.operator, error))?;
        operators.insert(operator.operator, Arc::new(restored));
    }
    Ok(SpecRestore { checkpoint: restore.checkpoint, finished: restore.finished, operators })
}

async fn fetch_operator(
    store: Option<&dyn BlobStore>,
    operator: &OperatorRestore,
    subtask: RestoredSubtask,
) -> Result<RestoredOperator, RestoreError> {
    let mut runs = Vec::with_capacity(operator.pieces.len());
    for piece in &operator.pieces {
        let groups = piece.handle.key_groups;
        let needed =
            groups.is_none_or(|groups| !groups.intersection(subtask.key_groups).is_empty());
        if needed {
            let bytes = fetch_piece(store, &piece.handle, piece.old_subtask).await?;
            let run = RunReader::open(Arc::new(bytes))
                .map_err(|source| RestoreError::Run { subtask: piece.old_subtask, source })?;
            runs.push(run);
        }
    }
    Ok(RestoredOperator::new(runs, subtask.index, subtask.parallelism)?)
}

async fn fetch_piece(
    store: Option<&dyn BlobStore>,
    handle: &SnapshotHandle,
    subtask: u32,
) -> Result<Vec<u8>, RestoreError> {
    let bytes = match &handle.data {
        SnapshotData::Inline(bytes) => bytes.clone(),
        SnapshotData::Object { path, offset } => {
            let store = store.ok_or(RestoreError::NoStore { subtask })?;
            let path =
                BlobPath::parse(path).map_err(|source| RestoreError::Path { subtask, source })?;
            let range = *offset..offset.saturating_add(handle.length);
            let read = store.get_range(&path, range).await;
            read.map_err(|source| RestoreError::Store { subtask, source })?
        }
    };
    let found_crc = crc32c::crc32c(&bytes);
    if bytes.len() as u64 != handle.length || found_crc != handle.crc32c {
        return Err(RestoreError::Damaged {
            subtask,
            expected: handle.length,
            found: bytes.len(),
            expected_crc: handle.crc32c,
            found_crc,
        });
    }
    Ok(bytes)
}
