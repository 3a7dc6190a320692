//! Makes a task's snapshot durable and says where it is.
//!
//! A large run has an object of its own, and goes there at once, in parts while its task still
//! writes it (`parts`). Small ones wait a moment for those
//! of the other tasks here (`gathering`), and share an object with them (`shared`). The
//! acknowledgement also names the earlier runs that deltas go on from. Without a directory runs go
//! into the acknowledgement itself. Not here: who is told.

mod gathering;
mod parts;
mod run;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

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
use thalweg_state::{Reservation, RunError, RunReader};
use thalweg_storage::{BlobPath, BlobPathError, BlobStore, layout};

pub(super) use gathering::{Arrival, Gathering};
pub(super) use parts::{PARTS_MAX, Piece, store_parts};
pub(super) use shared::store_shared;

use crate::task::TaskSnapshot;
use run::{RunUpload, UploadedRun};

/// A run of so many bytes or more has an object of its own.
const LARGE_RUN_BYTES: usize = 1 << 20;

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

/// The operators that have a run of this checkpoint in one of these objects.
pub(super) fn operators_in(
    stored: &StoredRuns,
    checkpoint: CheckpointId,
    objects: &[String],
) -> BTreeSet<OperatorId> {
    let is_in = |handle: &&SnapshotHandle| match &handle.data {
        SnapshotData::Object { path, .. } => objects.contains(path),
        SnapshotData::Inline(_) => false,
    };
    let handles = stored.get(&checkpoint).into_iter().flatten();
    handles.filter(is_in).map(|handle| handle.operator).collect()
}

/// A snapshot to be stored, and what it takes.
pub(super) struct SnapshotToStore {
    pub(super) owner: SnapshotOwner,
    pub(super) snapshot: TaskSnapshot,
    /// The earlier runs that its deltas go on from.
    pub(super) former: Vec<SnapshotHandle>,
    /// Where it goes; None: into the acknowledgement.
    pub(super) store: Option<Arc<dyn BlobStore>>,
    /// Room for its bytes, until they are stored.
    pub(super) reserved: Option<Reservation>,
}

/// A run that is still here, or the last part of one.
struct NewRun {
    operator: OperatorId,
    key_groups: Option<KeyGroupRange>,
    bytes: Vec<u8>,
    /// How many bytes of it went ahead.
    ahead: u64,
}

/// Runs that their task still writes, and whose first parts are on their way.
type RunsAhead<'s> = BTreeMap<OperatorId, RunUpload<'s>>;

/// A snapshot whose large runs are stored. Its small ones may wait for those of other tasks.
pub(super) struct StoredSnapshot {
    pub(super) owner: SnapshotOwner,
    pub(super) checkpoint: CheckpointId,
    store: Option<Arc<dyn BlobStore>>,
    /// The folder of its objects in the store, and whether it is a savepoint's.
    folder: BlobPath,
    savepoint: bool,
    handles: Vec<SnapshotHandle>,
    small: Vec<NewRun>,
    written: u64,
    input_ended: bool,
    measures: CheckpointMeasures,
    taken: Duration,
    _reserved: Option<Reservation>,
}

impl StoredSnapshot {
    /// Bytes that aren't stored yet; None if there's nothing.
    pub(super) fn waiting_bytes(&self) -> Option<usize> {
        let bytes = self.small.iter().map(|run| run.bytes.len()).sum();
        (!self.small.is_empty()).then_some(bytes)
    }

    /// What is told once all of it is stored.
    pub(super) fn acknowledgement(mut self, clock: &dyn Clock) -> CheckpointAck {
        self.measures.asynchronous_ms = ms(clock.elapsed().saturating_sub(self.taken));
        self.measures.checkpointed_bytes = self.written;
        self.measures.state_bytes = self.handles.iter().map(|handle| handle.length).sum();
        // Each operator's together, the base first.
        self.handles.sort_by_key(|handle| handle.operator);
        CheckpointAck {
            job: self.owner.job,
            checkpoint: self.checkpoint,
            attempt: self.owner.attempt,
            handles: self.handles,
            input_ended: self.input_ended,
            measures: self.measures,
        }
    }

    /// What is told if it can't be stored.
    fn decline(&self, error: &str) -> CheckpointDecline {
        declined(self.owner, self.checkpoint, error)
    }

    /// Its object of that name.
    fn object(&self, name: Result<BlobPath, BlobPathError>) -> Result<BlobPath, BlobPathError> {
        object(self.owner, self.savepoint, name)
    }
}

pub(super) fn declined(
    owner: SnapshotOwner,
    checkpoint: CheckpointId,
    error: &str,
) -> CheckpointDecline {
    let SnapshotOwner { job, attempt, .. } = owner;
    CheckpointDecline { job, checkpoint, attempt, reason: DeclineReason::Failed(error.to_owned()) }
}

/// Stores what of a snapshot has objects of its own.
pub(super) async fn store_large(
    to_store: SnapshotToStore,
) -> Result<StoredSnapshot, CheckpointDecline> {
    store_rest(to_store, RunsAhead::new()).await
}

/// The same of a snapshot of which `ahead` went ahead.
async fn store_rest(
    to_store: SnapshotToStore,
    ahead: RunsAhead<'_>,
) -> Result<StoredSnapshot, CheckpointDecline> {
    let (owner, checkpoint) = (to_store.owner, to_store.snapshot.chain.barrier.checkpoint);
    let stored = store_runs(to_store, ahead).await;
    stored.map_err(|error| declined(owner, checkpoint, &error.to_string()))
}

async fn store_runs(
    to_store: SnapshotToStore,
    mut ahead: RunsAhead<'_>,
) -> Result<StoredSnapshot, UploadError> {
    let SnapshotToStore { owner, snapshot, former, store, reserved } = to_store;
    let barrier = snapshot.chain.barrier;
    let savepoint = barrier.kind.savepoint().is_some();
    let folder = folder(owner, &barrier)?;
    let runs = runs_to_store(owner, snapshot.chain.operators, &former)?;
    let written: usize = runs.iter().map(|run| run.bytes.len()).sum();
    if store.is_none() && written > INLINE_BYTES_MAX {
        return Err(UploadError::NoDirectory { bytes: written });
    }
    let written = written as u64 + runs.iter().map(|run| run.ahead).sum::<u64>();
    let mut stored = StoredSnapshot {
        owner,
        checkpoint: barrier.checkpoint,
        store,
        folder,
        savepoint,
        handles: former,
        small: Vec::new(),
        written,
        input_ended: snapshot.chain.input_ended,
        measures: CheckpointMeasures {
            start_delay_ms: snapshot.start_delay_ms,
            alignment_ms: ms(snapshot.alignment),
            synchronous_ms: ms(snapshot.synchronous),
            processed_bytes: snapshot.alignment_bytes,
            ..CheckpointMeasures::default()
        },
        taken: snapshot.taken,
        _reserved: reserved,
    };
    for run in runs {
        let ahead = ahead.remove(&run.operator);
        stored.store_run(run, ahead).await?;
    }
    Ok(stored)
}

impl StoredSnapshot {
    async fn store_run(
        &mut self,
        run: NewRun,
        ahead: Option<RunUpload<'_>>,
    ) -> Result<(), UploadError> {
        let NewRun { operator, key_groups, bytes, .. } = run;
        let Some(store) = self.store.clone() else {
            let (length, crc32c) = (bytes.len() as u64, crc32c::crc32c(&bytes));
            let data = SnapshotData::Inline(bytes);
            self.handles.push(SnapshotHandle { operator, key_groups, data, length, crc32c });
            return Ok(());
        };
        let path = self.object(layout::own_run(&self.folder, self.owner.attempt, operator))?;
        let mut upload = match ahead {
            Some(ahead) => ahead,
            None => RunUpload::new(store.as_ref(), path.clone()),
        };
        upload.append(bytes).await?;
        match upload.finish().await? {
            UploadedRun::Small(bytes) => {
                self.small.push(NewRun { operator, key_groups, bytes, ahead: 0 });
            }
            UploadedRun::Large { length, crc32c } => {
                let (path, object_length) = (path.as_str().to_owned(), Some(length));
                let data = SnapshotData::Object { path, offset: 0, object_length };
                self.handles.push(SnapshotHandle { operator, key_groups, data, length, crc32c });
            }
        }
        Ok(())
    }
}

/// Where the objects of a snapshot are.
fn folder(owner: SnapshotOwner, barrier: &Barrier) -> Result<BlobPath, BlobPathError> {
    match barrier.kind.savepoint() {
        Some(_) => Ok(BlobPath::root()),
        None => layout::checkpoint_folder(owner.job, barrier.checkpoint),
    }
}

/// The object of that name in a snapshot. A savepoint's objects are no leader's: the user moves
/// and deletes them.
fn object(
    owner: SnapshotOwner,
    savepoint: bool,
    name: Result<BlobPath, BlobPathError>,
) -> Result<BlobPath, BlobPathError> {
    layout::of_epoch(&name?, owner.log_epoch.filter(|_| !savepoint))
}

/// The runs that hold something.
fn runs_to_store(
    owner: SnapshotOwner,
    operators: Vec<OperatorSnapshot>,
    former: &[SnapshotHandle],
) -> Result<Vec<NewRun>, UploadError> {
    let mut runs = Vec::with_capacity(operators.len());
    for OperatorSnapshot { operator, run, ahead, is_keyed, extends } in operators {
        let contents = match ahead {
            0 => Contents::of(run, owner.key_groups)
                .map_err(|source| UploadError::Run { operator, source })?,
            // Its beginning isn't here any more.
            _ => Some(Contents { run, key_groups: is_keyed.then_some(owner.key_groups) }),
        };
        if let Some(Contents { run, key_groups }) = contents {
            if let Some(checkpoint) = extends
                && !former.iter().any(|handle| handle.operator == operator)
            {
                return Err(UploadError::NoBase { operator, checkpoint });
            }
            runs.push(NewRun { operator, key_groups, bytes: run, ahead });
        }
    }
    Ok(runs)
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
        let run = Arc::new(run);
        let reader = RunReader::open(run.clone())?;
        let states = &reader.description().states;
        if states.is_empty() {
            return Ok(None);
        }
        let keyed = states.iter().all(|state| state.kind.is_keyed());
        drop(reader);
        let run = Arc::try_unwrap(run).unwrap_or_else(|shared| (*shared).clone());
        Ok(Some(Self { run, key_groups: keyed.then_some(key_groups) }))
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
