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
    folder, object, store_rest,
};
use crate::task::SnapshotPart;

/// Parts that wait for an upload: more than there's ever room for.
pub(in super::super) const PARTS_MAX: usize = 16 * 1024;

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
                return Some(store_rest(*to_store, ahead).await);
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

#[cfg(test)]
mod tests {
    use thalweg_core::ids::OperatorId;
    use thalweg_state::MemoryBudget;
    use thalweg_storage::{BlobPath, MemoryStore};

    use super::super::tests::{owner, snapshot, to_store};
    use super::*;

    /// A run in parts, of which the last is in the snapshot.
    fn pieces(uploads: &MemoryBudget) -> (Vec<u8>, Vec<Piece>) {
        let parts: Vec<Vec<u8>> = (1..=4).map(|number| vec![number; 700_000]).collect();
        let all = parts.concat();
        let mut whole = snapshot(vec![parts[3].clone()]);
        whole.chain.operators[0].ahead = 2_100_000;
        let barrier = whole.chain.barrier.clone();
        let piece = |bytes: &Vec<u8>| {
            let part = RunPart { operator: OperatorId::new(1), bytes: bytes.clone() };
            let room = uploads.reserve(bytes.len()).map(Arc::new);
            assert!(room.is_some());
            Piece::Part(SnapshotPart { barrier: barrier.clone(), part, room })
        };
        let mut pieces: Vec<_> = parts[..3].iter().map(piece).collect();
        let last = to_store(None, owner(), whole, Vec::new());
        pieces.push(Piece::Last(Box::new(last)));
        (all, pieces)
    }

    async fn store(
        to: &Arc<MemoryStore>,
        pieces: Vec<Piece>,
    ) -> Option<Result<StoredSnapshot, CheckpointDecline>> {
        let (sender, receiver) = mpsc::channel(PARTS_MAX);
        pieces.into_iter().for_each(|piece| assert!(sender.try_send(piece).is_ok()));
        drop(sender);
        let barrier = snapshot(Vec::new()).chain.barrier;
        store_parts(owner(), Arc::clone(to) as _, &barrier, receiver).await
    }

    #[tokio::test]
    async fn parts_that_went_ahead_and_the_last_one_are_one_run_in_an_object_of_its_own() {
        let (to, uploads) = (Arc::new(MemoryStore::new()), MemoryBudget::new(3_000_000));
        let (all, pieces) = pieces(&uploads);
        let Some(Ok(stored)) = store(&to, pieces).await else { panic!("it isn't stored") };
        assert_eq!((stored.waiting_bytes(), uploads.drawn()), (None, 0));
        let ack = stored.acknowledgement(&thalweg_core::SystemClock::new());
        assert_eq!(ack.measures.checkpointed_bytes, all.len() as u64);
        let handle = &ack.handles[0];
        assert_eq!((handle.length, handle.crc32c), (all.len() as u64, crc32c::crc32c(&all)));
        let objects = to.list(&BlobPath::root()).await.unwrap();
        assert_eq!(objects.len(), 1);
        assert!(to.get(&objects[0]).await.unwrap() == all);
    }

    #[tokio::test]
    async fn a_snapshot_that_is_given_up_leaves_nothing() {
        let (to, uploads) = (Arc::new(MemoryStore::new()), MemoryBudget::new(3_000_000));
        let (_, mut pieces) = pieces(&uploads);
        pieces.pop();
        assert!(store(&to, pieces).await.is_none());
        assert!(to.list(&BlobPath::root()).await.unwrap().is_empty());
        assert_eq!(uploads.drawn(), 0);
    }
}
