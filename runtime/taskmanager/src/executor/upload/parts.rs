//! A snapshot whose task still writes it: parts of its large runs go to the store as they come. A
//! snapshot that is given up leaves nothing there. Not here: how many may be on their way, which
//! the task sees to.

use std::sync::Arc;

use thalweg_core::element::Barrier;
use thalweg_operators::chain::RunPart;
use thalweg_rpc::message::CheckpointDecline;
use thalweg_storage::{BlobStore, layout};
use tokio::sync::mpsc;

use super::{
    RunUpload, RunsAhead, SnapshotOwner, SnapshotToStore, StoredSnapshot, UploadError, declined,
    folder, object, store_large,
};
use crate::task::SnapshotPart;

/// Parts that wait for an upload: more than there's ever room for.
pub(in super::super) const PARTS_MAX: usize = 1024;

/// What comes of a snapshot, in order.
pub(in super::super) enum Piece {
    /// A part of a run.
    Part(SnapshotPart),
    /// All the rest; which store it goes to is known already.
    Last(Box<SnapshotToStore>),
}

/// Stores the snapshot that `barrier` asked for, as its pieces come. None if it's given up: its
/// last piece never comes.
pub(in super::super) async fn store_parts(
    owner: SnapshotOwner,
    store: Arc<dyn BlobStore>,
    barrier: &Barrier,
    mut pieces: mpsc::Receiver<Piece>,
) -> Option<Result<StoredSnapshot, CheckpointDecline>> {
    let mut ahead = RunsAhead::new();
    while let Some(piece) = pieces.recv().await {
        match piece {
            Piece::Part(SnapshotPart { part, room, .. }) => {
                let appended = append(owner, store.as_ref(), barrier, &mut ahead, part).await;
                if let Err(error) = appended {
                    return Some(Err(declined(owner, barrier.checkpoint, &error.to_string())));
                }
                drop(room);
            }
            Piece::Last(mut to_store) => {
                to_store.store = Some(Arc::clone(&store));
                return Some(store_large(*to_store, ahead).await);
            }
        }
    }
    None
}

async fn append<'s>(
    owner: SnapshotOwner,
    store: &'s dyn BlobStore,
    barrier: &Barrier,
    ahead: &mut RunsAhead<'s>,
    part: RunPart,
) -> Result<(), UploadError> {
    let RunPart { operator, bytes } = part;
    let savepoint = barrier.kind.savepoint().is_some();
    let own = layout::own_run(&folder(owner, barrier)?, owner.attempt, operator);
    let path = object(owner, savepoint, own)?;
    let upload = ahead.entry(operator).or_insert_with(|| RunUpload::new(store, path));
    Ok(upload.append(bytes).await?)
}
