//! A checkpoint that all tasks have acknowledged, as the JobManager knows it, and what each task
//! restores from it. Not here: the manifest that is written (`endpoint`), nor its bytes.

use serde::{Deserialize, Serialize};
use thalweg_core::ids::{CheckpointId, JobId, JobVertexId, OperatorId};
use thalweg_core::job_graph::{JobGraph, JobVertex};
use thalweg_core::key_group::key_group_range;
use thalweg_rpc::message::{
    OperatorRestore, RestorePiece, SnapshotData, SnapshotHandle, TaskRestore,
};
use thalweg_storage::manifest::VertexRequirement;
use thalweg_storage::{CheckpointManifest, CoordinatorState, OperatorManifest, layout};

/// What one subtask contributed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SubtaskSnapshot {
    /// It had processed all its input and finished its operators.
    pub finished: bool,
    /// Its operators' snapshots.
    pub handles: Vec<SnapshotHandle>,
}

/// What a vertex contributed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VertexSnapshot {
    /// The vertex.
    pub vertex: JobVertexId,
    /// Its name, for messages.
    pub name: String,
    /// The number of its key groups.
    pub max_parallelism: u32,
    /// Its operators.
    pub operators: Vec<OperatorId>,
    /// One entry per subtask; their number is its parallelism.
    pub subtasks: Vec<SubtaskSnapshot>,
}

/// A checkpoint to which every task has contributed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedCheckpoint {
    /// The job.
    pub job: JobId,
    /// Its number.
    pub id: CheckpointId,
    /// When it was triggered, in ms since the epoch.
    pub triggered_ms: i64,
    /// When the last acknowledgement came.
    pub acknowledged_ms: i64,
    /// The vertices in the graph's order.
    pub vertices: Vec<VertexSnapshot>,
    /// For each source the state of its coordinator.
    pub coordinators: Vec<(OperatorId, Vec<u8>)>,
    /// The store that its objects are in; None: the job's own. What isn't in the job's own is the
    /// user's: the engine never deletes it.
    pub directory: Option<String>,
    /// The job was stopped with it: whoever begins from it again on its own commits and ends.
    pub stopped: bool,
    /// What the user has asked of a job that runs; empty in a savepoint, which is for another one.
    pub requirements: Vec<VertexRequirement>,
}

/// A checkpoint doesn't fit the job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The number of key groups differs.
    #[error(
        "operator {operator} of {vertex:?} has {old} key groups in checkpoint {checkpoint} and max \
         parallelism {new} in the job; state can't be moved to another number: set the max \
         parallelism to {old}"
    )]
    MaxParallelism {
        /// The vertex's name.
        vertex: String,
        /// The operator.
        operator: OperatorId,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Key groups in the checkpoint.
        old: u32,
        /// Key groups in the job.
        new: u32,
    },
    /// State that no operator of the job would restore.
    #[error(
        "checkpoint {checkpoint} has state of operator {operator} (of {vertex:?}), which isn't in \
         the job; give stateful operators a uid() that stays, or drop that state by \
         --allow-non-restored-state"
    )]
    Unmatched {
        /// The former vertex's name.
        vertex: String,
        /// The operator.
        operator: OperatorId,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
}

impl RestoreError {
    /// The operator whose state it is about.
    pub fn operator(&self) -> OperatorId {
        match self {
            Self::MaxParallelism { operator, .. } | Self::Unmatched { operator, .. } => *operator,
        }
    }
}

impl CompletedCheckpoint {
    /// The checkpoint that a manifest describes. It knows operators, not vertices: each of them
    /// is one here, and finds its own wherever the graph has it now. `directory` is the store that
    /// it was found in, when it isn't the job's own.
    pub fn of_manifest(manifest: &CheckpointManifest, directory: Option<String>) -> Self {
        let vertices = manifest.operators.iter().map(vertex_of_operator).collect();
        let state = |operator: &OperatorManifest| {
            let CoordinatorState(bytes) = operator.coordinator_state.as_ref()?;
            Some((operator.operator_id, bytes.clone()))
        };
        Self {
            job: manifest.job_id,
            id: manifest.checkpoint_id,
            triggered_ms: manifest.trigger_time_ms,
            acknowledged_ms: manifest.completion_time_ms,
            vertices,
            coordinators: manifest.operators.iter().filter_map(state).collect(),
            stopped: directory.is_none() && manifest.stopped_with.is_some(),
            directory: directory.or_else(|| manifest.stopped_with.clone()),
            requirements: manifest.resource_requirements.clone(),
        }
    }

    /// Whether it has this operator, with or without state.
    pub fn has_operator(&self, operator: OperatorId) -> bool {
        self.vertices.iter().any(|vertex| vertex.operators.contains(&operator))
    }

    /// The snapshots of a subtask that had finished then, if the parallelism is still the same.
    pub(super) fn of_finished(&self, vertex: &JobVertex, subtask: u32) -> Vec<SnapshotHandle> {
        let mut handles = Vec::new();
        for operator in &vertex.operators {
            let old = self.vertices.iter().find(|old| old.operators.contains(&operator.id));
            let old = old.filter(|old| old.subtasks.len() == vertex.parallelism as usize);
            let old = old.and_then(|old| old.subtasks.get(subtask as usize));
            let old = old.filter(|old| old.finished).into_iter().flat_map(|old| &old.handles);
            handles.extend(old.filter(|handle| handle.operator == operator.id).cloned());
        }
        handles
    }

    /// Checks that `graph` can be restored from this: every operator with state is there, with the
    /// same number of key groups.
    ///
    /// # Errors
    /// The first of [`problems`](Self::problems).
    pub fn check(&self, graph: &JobGraph) -> Result<(), RestoreError> {
        self.problems(graph).into_iter().next().map_or(Ok(()), Err)
    }

    /// All that stands against restoring `graph` from this.
    pub fn problems(&self, graph: &JobGraph) -> Vec<RestoreError> {
        let mut problems = Vec::new();
        for (old, operator) in self.stateful() {
            let (vertex, checkpoint) = (old.name.clone(), self.id);
            let has_it = |v: &&JobVertex| v.operators.iter().any(|o| o.id == operator);
            match graph.vertices.iter().find(has_it) {
                None => problems.push(RestoreError::Unmatched { vertex, operator, checkpoint }),
                Some(new) if new.max_parallelism != old.max_parallelism => {
                    let (old, new) = (old.max_parallelism, new.max_parallelism);
                    let differs =
                        RestoreError::MaxParallelism { vertex, operator, checkpoint, old, new };
                    problems.push(differs);
                }
                Some(_) => {}
            }
        }
        problems
    }

    /// Operators that have state, with their vertices.
    fn stateful(&self) -> impl Iterator<Item = (&VertexSnapshot, OperatorId)> {
        self.vertices.iter().flat_map(|vertex| {
            let handles = || vertex.subtasks.iter().flat_map(|subtask| &subtask.handles);
            let operators = vertex.operators.iter().copied();
            let stateful = operators.filter(move |id| handles().any(|h| h.operator == *id));
            stateful.map(move |operator| (vertex, operator))
        })
    }

    /// The same without the operators that `graph` doesn't have.
    #[must_use]
    pub fn without_unmatched(mut self, graph: &JobGraph) -> Self {
        let known = |id: &OperatorId| {
            graph.vertices.iter().flat_map(|v| &v.operators).any(|operator| operator.id == *id)
        };
        for vertex in &mut self.vertices {
            vertex.operators.retain(known);
            for subtask in &mut vertex.subtasks {
                subtask.handles.retain(|handle| known(&handle.operator));
            }
        }
        self.vertices.retain(|vertex| !vertex.operators.is_empty());
        self.coordinators.retain(|(operator, _)| known(operator));
        self
    }

    /// What a subtask restores:
    ///
    /// 1. Each operator is found by its id, wherever it was.
    /// 2. Purely keyed pieces go to the subtasks whose key groups they overlap, others to all.
    /// 3. The task counts as finished when the subtask of the same index had finished every
    ///    operator at the same parallelism, or at another one all subtasks had.
    /// 4. What such a task has left, rows that were collected for one, is written again where later
    ///    checkpoints can't refer to it: it isn't the job's own, or of as many subtasks.
    pub fn restore(&self, vertex: &JobVertex, subtask: u32) -> TaskRestore {
        let own = key_group_range(vertex.max_parallelism, vertex.parallelism, subtask);
        let mut finished = true;
        let mut operators = Vec::new();
        for operator in &vertex.operators {
            let old = self.vertices.iter().find(|v| v.operators.contains(&operator.id));
            let Some(old) = old else {
                finished = false;
                continue;
            };
            let old_parallelism = u32::try_from(old.subtasks.len()).unwrap_or(u32::MAX);
            finished &= if old_parallelism == vertex.parallelism {
                old.subtasks[subtask as usize].finished
            } else {
                old.subtasks.iter().all(|s| s.finished)
            };
            let mut pieces = Vec::new();
            for (old_subtask, snapshot) in (0u32..).zip(&old.subtasks) {
                // A base and its deltas go together.
                let runs = snapshot.handles.iter().filter(|h| h.operator == operator.id);
                let overlaps = |handle: &SnapshotHandle| {
                    handle.key_groups.is_none_or(|g| !g.intersection(own).is_empty())
                };
                if runs.clone().any(overlaps) {
                    let piece =
                        |h: &SnapshotHandle| RestorePiece { old_subtask, handle: h.clone() };
                    pieces.extend(runs.map(piece));
                }
            }
            if !pieces.is_empty() {
                operators.push(OperatorRestore { operator: operator.id, old_parallelism, pieces });
            }
        }
        let same = |o: &OperatorRestore| o.old_parallelism == vertex.parallelism;
        let own = self.directory.is_none() && operators.iter().all(same);
        let rewrites = finished && !self.stopped && !own && !operators.is_empty();
        let finished = finished || self.stopped;
        let directory = self.directory.clone();
        TaskRestore { checkpoint: self.id, finished, rewrites, directory, operators }
    }

    /// The same as its manifest says it. What tasks that had finished before it have left is copied
    /// from the job's own store into a savepoint's directory, and is the savepoint's there: nothing
    /// of the job's own is referred to any more.
    #[must_use]
    pub(super) fn with_copies(mut self) -> Self {
        if self.directory.is_none() {
            return self;
        }
        let subtasks = self.vertices.iter_mut().flat_map(|v| (0u32..).zip(&mut v.subtasks));
        for (index, snapshot) in subtasks {
            for handle in &mut snapshot.handles {
                if is_to_be_copied(&handle.data)
                    && let Ok(path) = layout::savepoint_run(handle.operator, index, handle.crc32c)
                {
                    let (path, object_length) = (path.to_string(), Some(handle.length));
                    handle.data = SnapshotData::Object { path, offset: 0, object_length };
                }
            }
        }
        self
    }

    /// The objects that it refers to, ascending, without repeats.
    pub fn objects(&self) -> Vec<&str> {
        let handles = self.vertices.iter().flat_map(|v| &v.subtasks).flat_map(|s| &s.handles);
        object_paths(handles)
    }
}

fn vertex_of_operator(operator: &OperatorManifest) -> VertexSnapshot {
    let mut subtasks: Vec<SubtaskSnapshot> = (0..operator.parallelism)
        .map(|index| SubtaskSnapshot {
            finished: operator.finished || operator.finished_subtasks.contains(&index),
            handles: Vec::new(),
        })
        .collect();
    for subtask in &operator.subtasks {
        let path = subtask.object.clone();
        let handle = SnapshotHandle {
            operator: operator.operator_id,
            key_groups: subtask.key_groups.map(Into::into),
            data: SnapshotData::Object {
                path,
                offset: subtask.offset,
                object_length: subtask.object_length,
            },
            length: subtask.length,
            crc32c: subtask.crc32c,
        };
        // A manifest is checked when it is read: the index is below the parallelism.
        if let Some(of) = subtasks.get_mut(subtask.index as usize) {
            of.handles.push(handle);
        }
    }
    VertexSnapshot {
        vertex: JobVertexId::new(operator.operator_id.bits()),
        name: operator.name.clone(),
        max_parallelism: operator.max_parallelism,
        operators: vec![operator.operator_id],
        subtasks,
    }
}

/// Whether a snapshot that a savepoint refers to is still in the job's own store, where all objects
/// are in folders, and has to be copied into the savepoint's, where none is.
pub(crate) fn is_to_be_copied(data: &SnapshotData) -> bool {
    matches!(data, SnapshotData::Object { path, .. } if path.contains('/'))
}

/// The objects that snapshots are in, ascending, without repeats.
pub(crate) fn object_paths<'a>(handles: impl Iterator<Item = &'a SnapshotHandle>) -> Vec<&'a str> {
    let mut paths: Vec<&str> = handles
        .filter_map(|handle| match &handle.data {
            SnapshotData::Object { path, .. } => Some(path.as_str()),
            SnapshotData::Inline(_) => None,
        })
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}
