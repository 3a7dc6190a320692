//! Makes a task's snapshot durable and says where it is.
//!
//! One object holds the new runs of all operators of the task; the acknowledgement also names the
//! earlier ones that deltas go on from. Without a directory runs go into the acknowledgement
//! itself. Not here: who is told.

use std::collections::BTreeMap;

use thalweg_core::Clock;
use thalweg_core::element::Barrier;
use thalweg_core::ids::{CheckpointId, Epoch, ExecutionAttemptId, JobId, OperatorId};
use thalweg_core::key_group::KeyGroupRange;
use thalweg_operators::chain::{ChainSnapshot, OperatorSnapshot};
use thalweg_rpc::MESSAGE_BYTES_MAX;
use thalweg_rpc::message::{
    CheckpointAck, CheckpointDecline, CheckpointMeasures, DeclineReason, SnapshotData,
    SnapshotHandle,
};
use thalweg_state::{RunError, RunReader};
use thalweg_storage::{BlobPath, BlobPathError, BlobStore, layout};

use crate::task::TaskSnapshot;

/// What fits a message with room to spare.
const INLINE_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 2;

/// Whose snapshot it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct SnapshotOwner {
    pub(super) job: JobId,
    pub(super) attempt: ExecutionAttemptId,
    /// Of the JobManager in the job's log, if the job has one.
    pub(super) log_epoch: Option<Epoch>,
    pub(super) key_groups: KeyGroupRange,
}

#[derive(Debug, thiserror::Error)]
enum UploadError {
    #[error("the snapshot can't be written: {0}")]
    Store(#[from] thalweg_storage::BlobError),
    #[error(transparent)]
    Path(#[from] BlobPathError),
    #[error("the snapshot of operator {operator} isn't readable: {source}")]
    Run { operator: OperatorId, source: RunError },
    #[error(
        "the snapshot takes {bytes} bytes and there is no directory for it; set \
         execution.checkpointing.dir"
    )]
    NoDirectory { bytes: usize },
    #[error(
        "the snapshot of operator {operator} goes on from checkpoint {checkpoint}, of which it \
         has nothing; this is a bug in the engine"
    )]
    NoBase { operator: OperatorId, checkpoint: CheckpointId },
}

/// The runs of a task's operators, by the checkpoint that they belong to.
pub(super) type StoredRuns = BTreeMap<CheckpointId, Vec<SnapshotHandle>>;

/// The earlier runs that a snapshot's deltas go on from. Others are forgotten: only this
/// snapshot's checkpoint, or the one that it goes on from, can be the newest published one when
/// the next snapshot is taken. A savepoint goes on from nothing, and nothing from it: as if it
/// hadn't been.
pub(super) fn take_former(stored: &mut StoredRuns, chain: &ChainSnapshot) -> Vec<SnapshotHandle> {
    if chain.barrier.kind.savepoint().is_some() {
        return Vec::new();
    }
    let operators = &chain.operators;
    stored.retain(|checkpoint, _| operators.iter().any(|o| o.extends == Some(*checkpoint)));
    let of = |operator: &OperatorSnapshot| {
        let stored = operator.extends.and_then(|checkpoint| stored.get(&checkpoint));
        let of_operator = operator.operator;
        let stored = stored.into_iter().flatten();
        stored.filter(move |handle| handle.operator == of_operator).cloned().collect::<Vec<_>>()
    };
    operators.iter().flat_map(of).collect()
}

/// Stores the snapshot and gives what is to be told about it.
pub(super) async fn store_snapshot(
    store: Option<&dyn BlobStore>,
    owner: SnapshotOwner,
    snapshot: TaskSnapshot,
    former: Vec<SnapshotHandle>,
    clock: &dyn Clock,
) -> Result<CheckpointAck, CheckpointDecline> {
    let barrier = snapshot.chain.barrier;
    let checkpoint = barrier.checkpoint;
    let input_ended = snapshot.chain.input_ended;
    let mut measures = CheckpointMeasures {
        start_delay_ms: snapshot.start_delay_ms,
        alignment_ms: ms(snapshot.alignment),
        synchronous_ms: ms(snapshot.synchronous),
        processed_bytes: snapshot.alignment_bytes,
        ..CheckpointMeasures::default()
    };
    let taken = snapshot.taken;
    let stored = match object(owner, &barrier) {
        Ok(path) => store_runs(store, owner, path, snapshot.chain.operators, former).await,
        Err(error) => Err(error.into()),
    };
    match stored {
        Ok((handles, written)) => {
            measures.asynchronous_ms = ms(clock.elapsed().saturating_sub(taken));
            measures.checkpointed_bytes = written;
            measures.state_bytes = handles.iter().map(|handle| handle.length).sum();
            let SnapshotOwner { job, attempt, .. } = owner;
            Ok(CheckpointAck { job, checkpoint, attempt, handles, input_ended, measures })
        }
        Err(error) => Err(CheckpointDecline {
            job: owner.job,
            checkpoint,
            attempt: owner.attempt,
            reason: DeclineReason::Failed(error.to_string()),
        }),
    }
}

async fn store_runs(
    store: Option<&dyn BlobStore>,
    owner: SnapshotOwner,
    path: BlobPath,
    operators: Vec<OperatorSnapshot>,
    former: Vec<SnapshotHandle>,
) -> Result<(Vec<SnapshotHandle>, u64), UploadError> {
    let mut runs = Vec::with_capacity(operators.len());
    for OperatorSnapshot { operator, run, extends } in operators {
        let contents = Contents::of(run, owner.key_groups)
            .map_err(|source| UploadError::Run { operator, source })?;
        if let Some(contents) = contents {
            if let Some(checkpoint) = extends
                && !former.iter().any(|handle| handle.operator == operator)
            {
                return Err(UploadError::NoBase { operator, checkpoint });
            }
            runs.push((operator, contents));
        }
    }
    let bytes: usize = runs.iter().map(|(_, contents)| contents.run.len()).sum();
    let inline = store.is_none();
    if inline && bytes > INLINE_BYTES_MAX {
        return Err(UploadError::NoDirectory { bytes });
    }
    let mut handles = former;
    let mut object = Vec::new();
    for (operator, Contents { run, key_groups }) in runs {
        let (length, crc32c) = (run.len() as u64, crc32c::crc32c(&run));
        let data = if inline {
            SnapshotData::Inline(run)
        } else {
            let offset = object.len() as u64;
            // Nearly always there's one that is large: it isn't copied if it's the first.
            if object.is_empty() {
                object = run;
            } else {
                object.extend_from_slice(&run);
            }
            SnapshotData::Object { path: path.as_str().to_owned(), offset }
        };
        handles.push(SnapshotHandle { operator, key_groups, data, length, crc32c });
    }
    if let Some(store) = store
        && !object.is_empty()
    {
        store.put(&path, object).await?;
    }
    // Each operator's together, the base first.
    handles.sort_by_key(|handle| handle.operator);
    Ok((handles, bytes as u64))
}

/// The object of one task's snapshot: named by the attempt, so that what a lost attempt still
/// writes can't take the place of another one's.
fn object(owner: SnapshotOwner, barrier: &Barrier) -> Result<BlobPath, BlobPathError> {
    match barrier.kind.savepoint() {
        Some(_) => layout::savepoint_snapshot(owner.attempt),
        None => {
            let path = layout::task_snapshot(owner.job, barrier.checkpoint, owner.attempt)?;
            layout::of_epoch(&path, owner.log_epoch)
        }
    }
}

/// A run worth keeping.
struct Contents {
    run: Vec<u8>,
    /// Set when all states are keyed.
    key_groups: Option<KeyGroupRange>,
}

impl Contents {
    /// None for a run without states.
    fn of(run: Vec<u8>, key_groups: KeyGroupRange) -> Result<Option<Self>, RunError> {
        let run = std::sync::Arc::new(run);
        let reader = RunReader::open(run.clone())?;
        let states = &reader.description().states;
        if states.is_empty() {
            return Ok(None);
        }
        let keyed = states.iter().all(|state| state.kind.is_keyed());
        drop(reader);
        let run = std::sync::Arc::try_unwrap(run).unwrap_or_else(|shared| (*shared).clone());
        Ok(Some(Self { run, key_groups: keyed.then_some(key_groups) }))
    }
}

fn ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
