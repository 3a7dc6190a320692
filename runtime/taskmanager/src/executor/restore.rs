//! Fetches what a task starts from. Each piece is checked before it is read. Not here: reading
//! states from it, which operators do when they open.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thalweg_core::ids::OperatorId;
use thalweg_core::key_group::KeyGroupRange;
use thalweg_rpc::message::{OperatorRestore, RestorePiece, SnapshotData, TaskRestore};
use thalweg_state::{RestoredOperator, RunError, RunReader, StateError};
use thalweg_storage::{BlobError, BlobPath, BlobPathError, BlobStore};

use crate::task::SpecRestore;

/// Why a task can't be restored, and which snapshot it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    #[error("{piece} can't be read: {source}")]
    Store { piece: Piece, source: BlobError },
    #[error("{piece} has no valid name: {source}")]
    Path { piece: Piece, source: BlobPathError },
    #[error(
        "{piece} is damaged: it has {found} bytes with checksum {found_crc:08x}, its manifest says \
         {expected} with {expected_crc:08x}; restore another checkpoint"
    )]
    Damaged { piece: Piece, expected: u64, found: usize, expected_crc: u32, found_crc: u32 },
    #[error(
        "{piece} is in a store, but the deployment names none; set execution.checkpointing.dir"
    )]
    NoStore { piece: Piece },
    #[error("{piece} isn't readable: {source}")]
    Run { piece: Piece, source: RunError },
    #[error(transparent)]
    State(#[from] StateError),
}

/// Which snapshot: of which subtask, which of its key groups, and where it is.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    subtask: u32,
    key_groups: Option<KeyGroupRange>,
    /// None: it came with the deployment.
    object: Option<String>,
}

impl Piece {
    fn new(piece: &RestorePiece) -> Self {
        let object = match &piece.handle.data {
            SnapshotData::Inline(_) => None,
            SnapshotData::Object { path, .. } => Some(path.clone()),
        };
        let (subtask, key_groups) = (piece.old_subtask, piece.handle.key_groups);
        Self { subtask, key_groups, object }
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the snapshot of subtask {}", self.subtask)?;
        if let Some(KeyGroupRange { start, end }) = self.key_groups {
            write!(f, ", key groups {start} to {}", end.saturating_sub(1))?;
        }
        self.object.as_ref().map_or(Ok(()), |object| write!(f, ", in {object},"))
    }
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
            let bytes = fetch_piece(store, piece).await?;
            let run = RunReader::open(Arc::new(bytes))
                .map_err(|source| RestoreError::Run { piece: Piece::new(piece), source })?;
            runs.push(run);
        }
    }
    Ok(RestoredOperator::new(runs, subtask.index, subtask.parallelism)?)
}

async fn fetch_piece(
    store: Option<&dyn BlobStore>,
    piece: &RestorePiece,
) -> Result<Vec<u8>, RestoreError> {
    let (handle, name) = (&piece.handle, || Piece::new(piece));
    let bytes = match &handle.data {
        SnapshotData::Inline(bytes) => bytes.clone(),
        SnapshotData::Object { path, offset } => {
            let store = store.ok_or_else(|| RestoreError::NoStore { piece: name() })?;
            let path = BlobPath::parse(path)
                .map_err(|source| RestoreError::Path { piece: name(), source })?;
            let range = *offset..offset.saturating_add(handle.length);
            let read = store.get_range(&path, range).await;
            read.map_err(|source| RestoreError::Store { piece: name(), source })?
        }
    };
    let found_crc = crc32c::crc32c(&bytes);
    if bytes.len() as u64 != handle.length || found_crc != handle.crc32c {
        return Err(RestoreError::Damaged {
            piece: name(),
            expected: handle.length,
            found: bytes.len(),
            expected_crc: handle.crc32c,
            found_crc,
        });
    }
    Ok(bytes)
}
