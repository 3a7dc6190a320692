//! Fetches what a task starts from. Each piece is checked before it is read. Not here: reading
//! states from it, which operators do when they open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_core::ids::OperatorId;
use thalweg_core::key_group::KeyGroupRange;
use thalweg_rpc::message::{
    OperatorRestore, RestorePiece, SnapshotData, SnapshotHandle, TaskDeployment, TaskRestore,
};
use thalweg_state::{RestoredOperator, RunError, RunReader, StateError};
use thalweg_storage::{BlobError, BlobPath, BlobPathError, BlobStore};

use super::upload::StoredRuns;
use crate::task::SpecRestore;

/// Why a task can't be restored.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    #[error("{piece} can't be read: {source}")]
    Store { piece: String, source: BlobError },
    #[error("{piece} has no valid name: {source}")]
    Path { piece: String, source: BlobPathError },
    #[error(
        "{piece} is damaged: it has {found} bytes with checksum {found_crc:08x}, its manifest says \
         {expected} with {expected_crc:08x}; restore another checkpoint"
    )]
    Damaged { piece: String, expected: u64, found: usize, expected_crc: u32, found_crc: u32 },
    #[error(
        "{piece} is in a store, but the deployment names none; set execution.checkpointing.dir"
    )]
    NoStore { piece: String },
    #[error("{piece} isn't readable: {source}")]
    Run { piece: String, source: RunError },
    #[error(transparent)]
    State(#[from] StateError),
}

/// Which subtask is restored.
#[derive(Debug, Clone, Copy)]
pub(super) struct RestoredSubtask {
    pub(super) index: u32,
    pub(super) parallelism: u32,
    pub(super) key_groups: KeyGroupRange,
    /// Its next snapshots go on from its own runs, where it has the parallelism of then.
    pub(super) continued: bool,
}

/// The runs of the same subtask in the checkpoint that it's restored from, if its parallelism is
/// the same: its next snapshots may go on from them.
pub(super) fn own_runs(task: &TaskDeployment, parallelism: u32) -> StoredRuns {
    let Some(restore) = &task.restore else { return StoredRuns::new() };
    let operators = restore.operators.iter();
    let same = operators.filter(|operator| operator.old_parallelism == parallelism);
    let pieces = same.flat_map(|operator| &operator.pieces);
    let own = pieces.filter(|piece| piece.old_subtask == task.subtask);
    let handles = own.map(|piece| piece.handle.clone()).collect();
    StoredRuns::from([(restore.checkpoint, handles)])
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
    let (checkpoint, rewrites) = (restore.checkpoint, restore.rewrites);
    Ok(SpecRestore { checkpoint, finished: restore.finished, rewrites, operators })
}

async fn fetch_operator(
    store: Option<&dyn BlobStore>,
    operator: &OperatorRestore,
    subtask: RestoredSubtask,
) -> Result<RestoredOperator, RestoreError> {
    let wanted = |piece: &RestorePiece| {
        let groups = piece.handle.key_groups;
        groups.is_none_or(|groups| !groups.intersection(subtask.key_groups).is_empty())
    };
    // A base and its deltas belong together, also where only some of them are purely keyed.
    let subtasks: BTreeSet<u32> =
        operator.pieces.iter().filter(|piece| wanted(piece)).map(|p| p.old_subtask).collect();
    let mut runs = Vec::with_capacity(operator.pieces.len());
    for piece in operator.pieces.iter().filter(|p| subtasks.contains(&p.old_subtask)) {
        let bytes = fetch_piece(store, piece).await?;
        let run = RunReader::open_named(Arc::new(bytes), object(&piece.handle).to_owned());
        runs.push(run.map_err(|source| RestoreError::Run { piece: describe(piece), source })?);
    }
    let restored = RestoredOperator::new(runs, subtask.index, subtask.parallelism)?;
    let same = operator.old_parallelism == subtask.parallelism;
    Ok(if same && subtask.continued { restored.continued() } else { restored })
}

/// The object that a snapshot is in; empty for an inline one.
fn object(handle: &SnapshotHandle) -> &str {
    match &handle.data {
        SnapshotData::Object { path, .. } => path,
        SnapshotData::Inline(_) => "",
    }
}

/// A piece, for messages.
fn describe(piece: &RestorePiece) -> String {
    let RestorePiece { old_subtask, handle } = piece;
    let groups = handle.key_groups.map_or_else(String::new, |groups| {
        format!(", key groups {} to {}", groups.start, groups.end.saturating_sub(1))
    });
    match object(handle) {
        "" => format!("the snapshot of subtask {old_subtask}{groups}"),
        object => format!("the snapshot of subtask {old_subtask}{groups}, in {object}"),
    }
}

async fn fetch_piece(
    store: Option<&dyn BlobStore>,
    piece: &RestorePiece,
) -> Result<Vec<u8>, RestoreError> {
    let handle = &piece.handle;
    let piece = || describe(piece);
    let bytes = match &handle.data {
        SnapshotData::Inline(bytes) => bytes.clone(),
        SnapshotData::Object { path, offset, .. } => {
            let store = store.ok_or_else(|| RestoreError::NoStore { piece: piece() })?;
            let path = BlobPath::parse(path)
                .map_err(|source| RestoreError::Path { piece: piece(), source })?;
            let range = *offset..offset.saturating_add(handle.length);
            let read = store.get_range(&path, range).await;
            read.map_err(|source| RestoreError::Store { piece: piece(), source })?
        }
    };
    let found_crc = crc32c::crc32c(&bytes);
    if bytes.len() as u64 != handle.length || found_crc != handle.crc32c {
        return Err(RestoreError::Damaged {
            piece: piece(),
            expected: handle.length,
            found: bytes.len(),
            expected_crc: handle.crc32c,
            found_crc,
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
