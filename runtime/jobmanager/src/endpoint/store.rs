//! Writes and deletes checkpoints: the one place of the JobManager that touches the store. Not
//! here: which ones; the coordinator decides.

mod discards;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use thalweg_core::ids::{CheckpointId, Epoch, JobId, OperatorId};
use thalweg_core::job_graph::JobGraph;
use thalweg_rpc::message::{SnapshotData, SnapshotHandle};
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::manifest::{self, FORMAT_VERSION};
use thalweg_storage::{
    BlobError, BlobPath, BlobStore, CheckpointKind, CheckpointManifest, CoordinatorState,
    ManifestError, OperatorManifest, SubtaskManifest, layout,
};
use tokio::runtime::Handle;

pub(super) use self::discards::Discards;
use super::options::CheckpointStore;
use crate::checkpoint_coordinator::{
    AbandonedCheckpoint, CheckpointEvent, CompletedCheckpoint, SubtaskSnapshot, VertexSnapshot,
    is_to_be_copied,
};

/// How long a manifest is tried to be written, before its checkpoint fails.
const WRITE_MAX: Duration = Duration::from_secs(20);
/// Pauses between two attempts double from the first to the last.
const WRITE_PAUSE_FIRST: Duration = Duration::from_millis(50);
const WRITE_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Does something with a store where blocking is allowed.
pub(super) fn spawn(
    runtime: &Handle,
    store: &CheckpointStore,
    work: impl Future<Output = ()> + Send + 'static,
) {
    if store.blocking {
        let handle = runtime.clone();
        runtime.spawn_blocking(move || handle.block_on(work));
    } else {
        runtime.spawn(work);
    }
}

/// Writes a checkpoint's manifest, inline snapshots first, and tells what became of it.
pub(super) async fn publish(
    store: &CheckpointStore,
    graph: &JobGraph,
    complete: &CompletedCheckpoint,
) -> CheckpointEvent {
    let checkpoint = complete.id;
    match write_manifest(store, graph, complete, None).await {
        Ok((path, bytes)) => {
            let path = format!("{}/{path}", store.name);
            CheckpointEvent::Published { checkpoint, path, bytes }
        }
        Err(cause) => CheckpointEvent::PublishFailed { checkpoint, cause },
    }
}

/// Writes a checkpoint's manifest, inline snapshots first, under names of this epoch. Gives its
/// path in the store and its length. Whether it counts is another matter where a log decides.
pub(crate) async fn write_manifest(
    store: &CheckpointStore,
    graph: &JobGraph,
    complete: &CompletedCheckpoint,
    epoch: Option<Epoch>,
) -> Result<(BlobPath, u64), String> {
    let places = Places { objects: store, own: Some(store) };
    let mut manifest = manifest(places, graph, complete, epoch).await?;
    manifest.stopped_with = complete.directory.clone().filter(|_| complete.stopped);
    let bytes = manifest.to_bytes().map_err(|error| error.to_string())?.len();
    let (job, id, blobs) = (complete.job, complete.id, store.store.as_ref());
    let path = layout::manifest(job, id).and_then(|path| layout::of_epoch(&path, epoch));
    let path = path.map_err(|error| error.to_string())?;
    save(blobs, &path, &manifest).await.map_err(|error| error.to_string())?;
    Ok((path, u64::try_from(bytes).unwrap_or(u64::MAX)))
}

/// Stores a manifest. A failed write may have been done: what is there then says. As long as
/// nothing is, or nobody can say, also because it was read with an error, it is tried again. That
/// is harmless: the name is this leader's, and no other manifest has these bytes, which name
/// objects that no other one does.
async fn save(
    store: &dyn BlobStore,
    path: &BlobPath,
    manifest: &CheckpointManifest,
) -> Result<(), ManifestError> {
    let began = tokio::time::Instant::now();
    let mut pause = WRITE_PAUSE_FIRST;
    loop {
        let Err(error) = manifest::save_to(store, path, manifest).await else { return Ok(()) };
        let in_doubt = match &error {
            ManifestError::Store(BlobError { kind, .. }) => *kind == BlobErrorKind::Other,
            ManifestError::Exists { .. } => true,
            _ => false,
        };
        if !in_doubt {
            return Err(error);
        }
        let (job, checkpoint) = (manifest.job_id, manifest.checkpoint_id);
        match manifest::load_from(store, path, job, checkpoint).await {
            Ok(there) if there == *manifest => return Ok(()),
            Ok(_) => return Err(ManifestError::Exists { place: path.to_string() }),
            Err(_) => {}
        }
        if began.elapsed() + pause > WRITE_MAX {
            return Err(error);
        }
        tracing::warn!(%checkpoint, "its manifest is tried again to be written: {error}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(WRITE_PAUSE_MAX);
    }
}

/// The stores that have to do with a checkpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// Where its objects are to be.
    pub(super) objects: &'a CheckpointStore,
    /// The job's own: tasks that had finished before have their snapshots there.
    pub(super) own: Option<&'a CheckpointStore>,
}

/// What a checkpoint's manifest says; what isn't among its objects yet is written first.
pub(super) async fn manifest(
    places: Places<'_>,
    graph: &JobGraph,
    complete: &CompletedCheckpoint,
    epoch: Option<Epoch>,
) -> Result<CheckpointManifest, String> {
    let mut operators = BTreeMap::new();
    for vertex in &complete.vertices {
        for id in &vertex.operators {
            let part = operator_manifest(places, graph, complete, (vertex, *id), epoch).await?;
            operators.insert(*id, part);
        }
    }
    Ok(CheckpointManifest {
        format_version: FORMAT_VERSION,
        job_id: complete.job,
        checkpoint_id: complete.id,
        kind: CheckpointKind::Checkpoint,
        trigger_time_ms: complete.triggered_ms,
        completion_time_ms: complete.acknowledged_ms,
        graph_fingerprint: graph.fingerprint(),
        stopped_with: None,
        resource_requirements: complete.requirements.clone(),
        channel_state: Vec::new(),
        operators: operators.into_values().collect(),
    })
}

async fn operator_manifest(
    places: Places<'_>,
    graph: &JobGraph,
    complete: &CompletedCheckpoint,
    (vertex, operator): (&VertexSnapshot, OperatorId),
    epoch: Option<Epoch>,
) -> Result<OperatorManifest, String> {
    let node = graph.vertices.iter().flat_map(|v| &v.operators).find(|o| o.id == operator);
    let mut subtasks = Vec::new();
    for (index, snapshot) in (0u32..).zip(&vertex.subtasks) {
        for handle in snapshot.handles.iter().filter(|handle| handle.operator == operator) {
            let place = durable(places, complete, (index, handle), epoch).await?;
            subtasks.push(SubtaskManifest {
                index,
                key_groups: handle.key_groups.map(Into::into),
                object: place.object,
                object_length: place.object_length,
                offset: place.offset,
                length: handle.length,
                crc32c: handle.crc32c,
            });
        }
    }
    let ended = |ended: &(u32, &SubtaskSnapshot)| ended.1.finished;
    let finished: Vec<u32> =
        (0u32..).zip(&vertex.subtasks).filter(ended).map(|(index, _)| index).collect();
    let all_finished = finished.len() == vertex.subtasks.len();
    let state = complete.coordinators.iter().find(|(id, _)| *id == operator);
    Ok(OperatorManifest {
        operator_id: operator,
        uid: node.and_then(|node| node.uid.clone()),
        name: node.map_or_else(|| vertex.name.clone(), |node| node.name.clone()),
        parallelism: u32::try_from(vertex.subtasks.len()).unwrap_or(u32::MAX),
        max_parallelism: vertex.max_parallelism,
        finished: all_finished,
        finished_subtasks: if all_finished { Vec::new() } else { finished },
        subtasks,
        coordinator_state: state.map(|(_, bytes)| CoordinatorState(bytes.clone())),
    })
}

/// Where a snapshot is.
struct Place {
    object: String,
    object_length: Option<u64>,
    offset: u64,
}

/// Where a snapshot is; an inline one is written to its own first, and one that is in
/// the job's own store is copied into a savepoint's.
async fn durable(
    places: Places<'_>,
    complete: &CompletedCheckpoint,
    (subtask, handle): (u32, &SnapshotHandle),
    epoch: Option<Epoch>,
) -> Result<Place, String> {
    let savepoint = complete.directory.is_some();
    let bytes = match &handle.data {
        SnapshotData::Object { path, offset, object_length }
            if !(savepoint && is_to_be_copied(&handle.data)) =>
        {
            let (object, object_length, offset) = (path.clone(), *object_length, *offset);
            return Ok(Place { object, object_length, offset });
        }
        SnapshotData::Object { path, offset, .. } => {
            let own = places.own.ok_or("the job has no place for checkpoints")?;
            let path = BlobPath::parse(path).map_err(|error| error.to_string())?;
            let range = *offset..offset.saturating_add(handle.length);
            own.store.get_range(&path, range).await.map_err(|error| error.to_string())?
        }
        SnapshotData::Inline(bytes) => bytes.clone(),
    };
    let path = if savepoint {
        layout::savepoint_run(handle.operator, subtask, handle.crc32c)
    } else {
        layout::snapshot(complete.job, complete.id, handle.operator, subtask)
            .and_then(|path| layout::of_epoch(&path, epoch))
    };
    let path = path.map_err(|error| error.to_string())?;
    places.objects.store.put(&path, bytes).await.map_err(|error| error.to_string())?;
    let object_length = Some(handle.length);
    Ok(Place { object: path.to_string(), object_length, offset: 0 })
}

/// Deletes a checkpoint's manifest.
async fn delete_manifest(
    store: &CheckpointStore,
    checkpoint: &CompletedCheckpoint,
) -> Result<(), String> {
    let path = layout::manifest(checkpoint.job, checkpoint.id);
    let path = path.map_err(|error| error.to_string())?;
    store.store.delete(&path).await.map_err(|error| error.to_string())
}

/// The names of all objects that a checkpoint refers to.
fn objects_of(checkpoint: &CompletedCheckpoint) -> Result<Vec<String>, String> {
    let (job, id) = (checkpoint.job, checkpoint.id);
    let mut objects: Vec<String> = checkpoint.objects().into_iter().map(str::to_owned).collect();
    for vertex in &checkpoint.vertices {
        for (index, snapshot) in (0u32..).zip(&vertex.subtasks) {
            let inline =
                snapshot.handles.iter().filter(|h| matches!(h.data, SnapshotData::Inline(_)));
            for handle in inline {
                let path = layout::snapshot(job, id, handle.operator, index);
                objects.push(path.map_err(|error| error.to_string())?.to_string());
            }
        }
    }
    Ok(objects)
}

/// Deletes objects.
pub(super) async fn delete(store: &CheckpointStore, objects: &[String]) -> Result<(), String> {
    for object in objects {
        let path = BlobPath::parse(object).map_err(|error| error.to_string())?;
        store.store.delete(&path).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Deletes what attempts have stored of a checkpoint that was given up, and what they have begun
/// to: objects whose names are theirs and that nothing refers to.
async fn delete_abandoned(
    store: &CheckpointStore,
    abandoned: &AbandonedCheckpoint,
) -> Result<(), String> {
    let (job, id) = (abandoned.job, abandoned.checkpoint);
    let folder = layout::checkpoint_folder(job, id).map_err(|error| error.to_string())?;
    let is_theirs = |path: &BlobPath| {
        let attempt = layout::attempt_of(path);
        attempt.is_some_and(|attempt| abandoned.attempts.binary_search(&attempt).is_ok())
    };
    let kept = |path: &BlobPath| abandoned.kept_objects.iter().any(|kept| kept == path.as_str());
    let store = store.store.as_ref();
    for path in store.list(&folder).await.map_err(|error| error.to_string())? {
        if is_theirs(&path) && !kept(&path) {
            store.delete(&path).await.map_err(|error| error.to_string())?;
        }
    }
    for write in store.unfinished(&folder).await.map_err(|error| error.to_string())? {
        if is_theirs(&write.path) {
            store.discard_unfinished(&write).await.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// The highest checkpoint of a job that the store has anything of; 0 for none. New ones go on
/// above it, so that no name is ever used twice.
pub(super) async fn highest_checkpoint(
    store: &CheckpointStore,
    job: JobId,
) -> Result<CheckpointId, String> {
    let folder = layout::job_folder(job).map_err(|error| error.to_string())?;
    let objects = store.store.list(&folder).await.map_err(|error| error.to_string())?;
    let number = |path: &BlobPath| -> Option<u64> {
        path.as_str().split('/').nth(1)?.strip_prefix("chk-")?.parse().ok()
    };
    Ok(CheckpointId(objects.iter().filter_map(number).max().unwrap_or(0)))
}

#[cfg(test)]
mod tests;
