//! Writes and deletes checkpoints: the one place of the JobManager that touches the store. Not
//! here: which ones; the coordinator decides.

use std::collections::BTreeMap;
use std::future::Future;

use thalweg_core::ids::{CheckpointId, JobId, OperatorId};
use thalweg_core::job_graph::JobGraph;
use thalweg_rpc::message::{SnapshotData, SnapshotHandle};
use thalweg_storage::manifest::{self, FORMAT_VERSION};
use thalweg_storage::{
    BlobPath, CheckpointKind, CheckpointManifest, CoordinatorState, OperatorManifest,
    SubtaskManifest, layout,
};
use tokio::runtime::Handle;

use super::options::CheckpointStore;
use crate::checkpoint_coordinator::{CheckpointEvent, CompletedCheckpoint, VertexSnapshot};

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
    match try_publish(store, graph, complete).await {
        Ok((path, bytes)) => CheckpointEvent::Published { checkpoint, path, bytes },
        Err(cause) => CheckpointEvent::PublishFailed { checkpoint, cause },
    }
}

async fn try_publish(
    store: &CheckpointStore,
    graph: &JobGraph,
    complete: &CompletedCheckpoint,
) -> Result<(String, u64), String> {
    let mut manifest =
        manifest(Places { objects: store, own: Some(store) }, graph, complete).await?;
    manifest.kind = CheckpointKind::Checkpoint;
    save(store, &manifest).await
}

/// Writes a manifest under its name in the job's own store.
pub(super) async fn save(
    store: &CheckpointStore,
    manifest: &CheckpointManifest,
) -> Result<(String, u64), String> {
    let bytes = manifest.to_bytes().map_err(|error| error.to_string())?.len();
    let (job, id) = (manifest.job_id, manifest.checkpoint_id);
    // `save` reads back what it finds when the outcome of its write is unknown or another's.
    let saved = manifest::save(store.store.as_ref(), manifest).await;
    let path = match saved {
        Ok(path) => path,
        Err(error) => match manifest::load(store.store.as_ref(), job, id).await {
            Ok(there) if there == *manifest => {
                layout::manifest(job, id).map_err(|e| e.to_string())?
            }
            Ok(_) | Err(_) => return Err(error.to_string()),
        },
    };
    Ok((format!("{}/{path}", store.name), u64::try_from(bytes).unwrap_or(u64::MAX)))
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
) -> Result<CheckpointManifest, String> {
    let mut operators = BTreeMap::new();
    for vertex in &complete.vertices {
        for operator in &vertex.operators {
            let part = operator_manifest(places, graph, complete, vertex, *operator).await?;
            operators.insert(*operator, part);
        }
    }
    Ok(CheckpointManifest {
        format_version: FORMAT_VERSION,
        job_id: complete.job,
        checkpoint_id: complete.id,
        kind: CheckpointKind::Savepoint,
        trigger_time_ms: complete.triggered_ms,
        completion_time_ms: complete.acknowledged_ms,
        graph_fingerprint: graph.fingerprint(),
        stopped_with: None,
        channel_state: Vec::new(),
        operators: operators.into_values().collect(),
    })
}

async fn operator_manifest(
    places: Places<'_>,
    graph: &JobGraph,
    complete: &CompletedCheckpoint,
    vertex: &VertexSnapshot,
    operator: OperatorId,
) -> Result<OperatorManifest, String> {
    let node = graph.vertices.iter().flat_map(|v| &v.operators).find(|o| o.id == operator);
    let mut subtasks = Vec::new();
    for (index, snapshot) in (0u32..).zip(&vertex.subtasks) {
        for handle in snapshot.handles.iter().filter(|handle| handle.operator == operator) {
            let (object, offset) = durable(places, complete, index, handle).await?;
            subtasks.push(SubtaskManifest {
                index,
                key_groups: handle.key_groups.map(Into::into),
                object,
                offset,
                length: handle.length,
                crc32c: handle.crc32c,
            });
        }
    }
    let finished = vertex.subtasks.iter().all(|subtask| subtask.finished);
    let indexed = (0u32..).zip(&vertex.subtasks).filter(|(_, subtask)| subtask.finished);
    let some = if finished { Vec::new() } else { indexed.map(|(index, _)| index).collect() };
    let finished_subtasks: Vec<u32> = some;
    let state = complete.coordinators.iter().find(|(id, _)| *id == operator);
    Ok(OperatorManifest {
        operator_id: operator,
        uid: node.and_then(|node| node.uid.clone()),
        name: node.map_or_else(|| vertex.name.clone(), |node| node.name.clone()),
        parallelism: u32::try_from(vertex.subtasks.len()).unwrap_or(u32::MAX),
        max_parallelism: vertex.max_parallelism,
        finished,
        finished_subtasks,
        subtasks,
        coordinator_state: state.map(|(_, bytes)| CoordinatorState(bytes.clone())),
    })
}

/// The object that a snapshot is in; an inline one is written to its own first, and one that is in
/// the job's own store is copied into a savepoint's.
async fn durable(
    places: Places<'_>,
    complete: &CompletedCheckpoint,
    subtask: u32,
    handle: &SnapshotHandle,
) -> Result<(String, u64), String> {
    let savepoint = complete.directory.is_some();
    let bytes = match &handle.data {
        SnapshotData::Object { path, offset } if !(savepoint && path.contains('/')) => {
            return Ok((path.clone(), *offset));
        }
        SnapshotData::Object { path, offset } => {
            let own = places.own.ok_or("the job has no place for checkpoints")?;
            let path = BlobPath::parse(path).map_err(|error| error.to_string())?;
            let range = *offset..offset.saturating_add(handle.length);
            own.store.get_range(&path, range).await.map_err(|error| error.to_string())?
        }
        SnapshotData::Inline(bytes) => bytes.clone(),
    };
    let path = if savepoint {
        layout::savepoint_run(handle.operator, subtask)
    } else {
        layout::snapshot(complete.job, complete.id, handle.operator, subtask)
    };
    let path = path.map_err(|error| error.to_string())?;
    places.objects.store.put(&path, bytes).await.map_err(|error| error.to_string())?;
    Ok((path.to_string(), 0))
}

/// Deletes a checkpoint: its manifest first, so that nobody can find a manifest without its
/// objects, then the objects that no kept checkpoint refers to. What fails is left behind and
/// reported: an orphan costs space, a wrong deletion costs the job.
pub(super) async fn discard(
    store: &CheckpointStore,
    checkpoint: &CompletedCheckpoint,
    kept_objects: &[String],
) -> Result<(), String> {
    let (job, id) = (checkpoint.job, checkpoint.id);
    let path = layout::manifest(job, id).map_err(|error| error.to_string())?;
    store.store.delete(&path).await.map_err(|error| error.to_string())?;
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
    objects.retain(|object| kept_objects.binary_search(object).is_err());
    delete(store, &objects).await
}

/// Deletes objects.
pub(super) async fn delete(store: &CheckpointStore, objects: &[String]) -> Result<(), String> {
    for object in objects {
        let path = BlobPath::parse(object).map_err(|error| error.to_string())?;
        store.store.delete(&path).await.map_err(|error| error.to_string())?;
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
