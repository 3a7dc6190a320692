//! One object for the small runs of several tasks. Not here: which ones share it.

use thalweg_core::Clock;
use thalweg_core::ids::ExecutionAttemptId;
use thalweg_rpc::message::{CheckpointAck, CheckpointDecline, SnapshotData, SnapshotHandle};
use thalweg_storage::layout;

use super::{NewRun, StoredSnapshot, UploadError};

/// What becomes of a task's snapshot.
type Outcome = (ExecutionAttemptId, Result<CheckpointAck, CheckpointDecline>);

/// Stores what small runs these snapshots have, in one object, and gives what is to be told about
/// each. They are of one checkpoint. If the object can't be stored, none of them is.
pub(in super::super) async fn store_shared(
    mut snapshots: Vec<StoredSnapshot>,
    clock: &dyn Clock,
) -> Vec<Outcome> {
    match store(&mut snapshots).await {
        Ok(()) => {
            let told = |snapshot: StoredSnapshot| {
                (snapshot.owner.attempt, Ok(snapshot.acknowledgement(clock)))
            };
            snapshots.into_iter().map(told).collect()
        }
        Err(error) => {
            let error = error.to_string();
            let told =
                |snapshot: &StoredSnapshot| (snapshot.owner.attempt, Err(snapshot.decline(&error)));
            snapshots.iter().map(told).collect()
        }
    }
}

async fn store(snapshots: &mut [StoredSnapshot]) -> Result<(), UploadError> {
    // The first of them has its name to itself.
    let first = snapshots.iter().find(|snapshot| !snapshot.small.is_empty());
    let Some((first, store)) = first.and_then(|first| Some((first, first.store.clone()?))) else {
        return Ok(());
    };
    let path = first.object(layout::shared_runs(&first.folder, first.owner.attempt))?;
    let small = snapshots.iter().flat_map(|snapshot| &snapshot.small);
    let length = small.map(|run| run.bytes.len()).sum();
    let mut object = Vec::with_capacity(length);
    for snapshot in snapshots {
        for NewRun { operator, key_groups, bytes, .. } in snapshot.small.drain(..) {
            let data = SnapshotData::Object {
                path: path.as_str().to_owned(),
                offset: object.len() as u64,
                object_length: Some(length as u64),
            };
            let (length, crc32c) = (bytes.len() as u64, crc32c::crc32c(&bytes));
            object.extend_from_slice(&bytes);
            snapshot.handles.push(SnapshotHandle { operator, key_groups, data, length, crc32c });
        }
    }
    Ok(store.put(&path, object).await?)
}
