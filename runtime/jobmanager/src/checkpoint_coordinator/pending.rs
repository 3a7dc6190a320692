//! A checkpoint under way: who has to acknowledge, who has, whom to remind.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_core::element::SnapshotKind;
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId, OperatorId};
use thalweg_core::job_graph::JobVertex;
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{CheckpointAck, SnapshotHandle};

use super::completed::{CompletedCheckpoint, SubtaskSnapshot, VertexSnapshot, object_paths};
use super::request::Waiting;
use crate::job_master::execution_graph::{ExecutionGraph, TaskIndex};
use crate::moment::Moment;

/// A checkpoint under way.
#[derive(Debug, Clone)]
pub(super) struct PendingCheckpoint {
    pub(super) id: CheckpointId,
    pub(super) triggered: Moment,
    pub(super) kind: SnapshotKind,
    /// Who asked for it; None: it was its time.
    pub(super) request: Option<Waiting>,
    /// What each task has to do; for the vertices and subtasks of the graph.
    tasks: Vec<Vec<Part>>,
    /// When the trigger was last sent, by task.
    reminded: BTreeMap<TaskIndex, Duration>,
}

#[derive(Debug, Clone)]
enum Part {
    /// It had finished before the checkpoint began.
    FinishedBefore,
    /// Its acknowledgement is awaited.
    Awaited(ExecutionAttemptId),
    /// It has acknowledged.
    Acknowledged(CheckpointAck),
}

impl PendingCheckpoint {
    /// Begins with the tasks as they are.
    pub(super) fn new(
        id: CheckpointId,
        kind: SnapshotKind,
        request: Option<Waiting>,
        graph: &ExecutionGraph,
        now: Moment,
    ) -> Self {
        let vertices = 0..graph.graph.vertices.len();
        let part = |e: &crate::job_master::execution_graph::Execution| match e.state {
            ExecutionState::Finished => Part::FinishedBefore,
            _ => Part::Awaited(e.id),
        };
        let tasks = vertices.map(|v| graph.executions(v).iter().map(part).collect()).collect();
        Self { id, triggered: now, kind, request, tasks, reminded: BTreeMap::new() }
    }

    /// Takes an acknowledgement; false if it wasn't awaited.
    pub(super) fn acknowledge(&mut self, task: TaskIndex, ack: CheckpointAck) -> bool {
        let part = &mut self.tasks[task.vertex][task.subtask as usize];
        let awaited = matches!(part, Part::Awaited(attempt) if *attempt == ack.attempt);
        if awaited {
            *part = Part::Acknowledged(ack);
        }
        awaited
    }

    /// Whether an acknowledgement of this attempt is awaited.
    pub(super) fn awaits(&self, task: TaskIndex, attempt: ExecutionAttemptId) -> bool {
        let part = &self.tasks[task.vertex][task.subtask as usize];
        matches!(part, Part::Awaited(awaited) if *awaited == attempt)
    }

    /// Whether all have acknowledged.
    pub(super) fn is_complete(&self) -> bool {
        !self.tasks.iter().flatten().any(|part| matches!(part, Part::Awaited(_)))
    }

    /// The tasks to send the trigger to now: those that get no barrier from others, haven't
    /// acknowledged, haven't been seen to have begun, and weren't sent it within `interval`.
    ///
    /// Whose producers have all ended is found anew each time: a source can end between the
    /// decision and the trigger's arrival, and its consumers then wait for no barrier.
    pub(super) fn take_due_triggers(
        &mut self,
        graph: &ExecutionGraph,
        now: Duration,
        interval: Duration,
    ) -> Vec<TaskIndex> {
        let ended =
            |(part, execution): (&Part, &crate::job_master::execution_graph::Execution)| match part
            {
                Part::FinishedBefore => true,
                Part::Acknowledged(ack) => ack.input_ended || execution.input_ended,
                Part::Awaited(_) => {
                    execution.input_ended || execution.state == ExecutionState::Finished
                }
            };
        let ended: Vec<Vec<bool>> = (self.tasks.iter().enumerate())
            .map(|(v, parts)| parts.iter().zip(graph.executions(v)).map(ended).collect())
            .collect();
        let mut due = Vec::new();
        for task in graph.without_barriers(&ended) {
            let execution = graph.execution(task);
            if !self.awaits(task, execution.id) || execution.checkpoint_seen >= self.id {
                self.reminded.remove(&task);
                continue;
            }
            let sent = self.reminded.get(&task);
            if sent.is_none_or(|at| now.saturating_sub(*at) >= interval) {
                self.reminded.insert(task, now);
                due.push(task);
            }
        }
        due
    }

    /// When a trigger is to be sent again, unless it is seen before.
    pub(super) fn next_reminder(&self, interval: Duration) -> Option<Duration> {
        self.reminded.values().min().map(|sent| *sent + interval)
    }

    /// Attempts that have acknowledged at the end of their input: they finish with this one.
    pub(super) fn finishing(&self) -> Vec<ExecutionAttemptId> {
        self.acknowledgements().filter(|a| a.input_ended).map(|a| a.attempt).collect()
    }

    /// The acknowledgements so far.
    pub(super) fn acknowledgements(&self) -> impl Iterator<Item = &CheckpointAck> {
        self.tasks.iter().flatten().filter_map(|part| match part {
            Part::Acknowledged(ack) => Some(ack),
            Part::FinishedBefore | Part::Awaited(_) => None,
        })
    }

    /// All that take part.
    pub(super) fn attempts(&self) -> Vec<ExecutionAttemptId> {
        let attempt = |part: &Part| match part {
            Part::FinishedBefore => None,
            Part::Awaited(attempt) => Some(*attempt),
            Part::Acknowledged(ack) => Some(ack.attempt),
        };
        self.tasks.iter().flatten().filter_map(attempt).collect()
    }

    /// The objects written for it so far.
    pub(super) fn objects(&self) -> Vec<String> {
        let handles = self.acknowledgements().flat_map(|ack| &ack.handles);
        object_paths(handles).into_iter().map(str::to_owned).collect()
    }

    /// The checkpoint as a whole. Complete ones only: None while anything is awaited. `former` is
    /// the last one, in which the tasks that had finished before this one began had taken part.
    pub(super) fn complete(
        &self,
        job: JobId,
        graph: &ExecutionGraph,
        coordinators: Vec<(OperatorId, Vec<u8>)>,
        former: Option<&CompletedCheckpoint>,
        now: Moment,
    ) -> Option<CompletedCheckpoint> {
        let subtask = |vertex: &JobVertex, index: u32, part: &Part| -> Option<SubtaskSnapshot> {
            match part {
                Part::Awaited(_) => None,
                // What it left behind is still needed: rows that were collected, for one.
                Part::FinishedBefore => Some(SubtaskSnapshot {
                    finished: true,
                    handles: former.map(|f| f.of_finished(vertex, index)).unwrap_or_default(),
                }),
                Part::Acknowledged(ack) => Some(SubtaskSnapshot {
                    finished: ack.input_ended,
                    handles: Vec::<SnapshotHandle>::clone(&ack.handles),
                }),
            }
        };
        let vertices = graph.graph.vertices.iter().zip(&self.tasks);
        let vertices = vertices.map(|(vertex, parts)| {
            Some(VertexSnapshot {
                vertex: vertex.id,
                name: vertex.name.clone(),
                max_parallelism: vertex.max_parallelism,
                operators: vertex.operators.iter().map(|o| o.id).collect(),
                subtasks: (0u32..)
                    .zip(parts)
                    .map(|(index, part)| subtask(vertex, index, part))
                    .collect::<Option<_>>()?,
            })
        });
        Some(CompletedCheckpoint {
            job,
            id: self.id,
            triggered_ms: self.triggered.wall_ms,
            acknowledged_ms: now.wall_ms,
            vertices: vertices.collect::<Option<_>>()?,
            coordinators,
            directory: self.kind.savepoint().map(|savepoint| savepoint.directory.clone()),
            stopped: self.kind.stops(),
            requirements: Vec::new(),
        })
    }
}
