//! A running job is brought to another parallelism:
//!
//! 1. Slots that are missing are asked for while the old tasks run. If they can't be had, nothing
//!    has changed.
//! 2. A checkpoint is taken for it. If it fails, nothing has changed.
//! 3. The old tasks end, and new ones begin with that checkpoint.
//!
//! A failure of tasks before the third step gives it up. Not here: which key groups a new task
//! reads (`checkpoint_coordinator::completed`).

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::ids::{JobVertexId, TriggerId};
use thalweg_core::job_graph::{JobGraph, JobVertex, ShipStrategy};
use thalweg_core::status::{ExecutionState, JobStatus};
use thalweg_rpc::message::JobInformation;
use thalweg_storage::manifest::VertexRequirement;

use super::message::{JobAction, Observation};
use super::{JobMaster, execution_graph::ExecutionGraph};
use crate::checkpoint_coordinator::{
    CheckpointEvent, CheckpointRequest, CompletedCheckpoint, OperationState, RequestKind,
};
use crate::moment::Moment;
use crate::resource_manager::RequestId;

/// Another parallelism can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RescaleError {
    /// No such vertex.
    #[error("the job has no vertex {0}")]
    UnknownVertex(JobVertexId),
    /// Beyond the bounds.
    #[error(
        "vertex {vertex:?} can't have parallelism {parallelism}: it is from 1 to its max \
         parallelism, {max_parallelism}"
    )]
    Bounds {
        /// The vertex's name.
        vertex: String,
        /// What was asked for.
        parallelism: u32,
        /// The most that it can have.
        max_parallelism: u32,
    },
    /// Subtasks that are connected one to one.
    #[error(
        "vertex {from:?} would have parallelism {producers} and {to:?} {consumers}, and their \
         subtasks are connected one to one; give both the same"
    )]
    Forward {
        /// The producing vertex.
        from: String,
        /// Its parallelism.
        producers: u32,
        /// The consuming vertex.
        to: String,
        /// Its parallelism.
        consumers: u32,
    },
}

/// The graph with these vertices at another parallelism.
///
/// # Errors
/// What stands against it.
pub fn rescaled(
    graph: &JobGraph,
    parallelism: &BTreeMap<JobVertexId, u32>,
) -> Result<JobGraph, RescaleError> {
    let mut graph = graph.clone();
    for (id, parallelism) in parallelism {
        let found = graph.vertices.iter_mut().find(|vertex| vertex.id == *id);
        let vertex = found.ok_or(RescaleError::UnknownVertex(*id))?;
        if !(1..=vertex.max_parallelism).contains(parallelism) {
            return Err(RescaleError::Bounds {
                vertex: vertex.name.clone(),
                parallelism: *parallelism,
                max_parallelism: vertex.max_parallelism,
            });
        }
        vertex.parallelism = *parallelism;
    }
    for edge in graph.edges.iter().filter(|edge| edge.ship == ShipStrategy::Forward) {
        let (Some(from), Some(to)) = (graph.vertex(edge.from), graph.vertex(edge.to)) else {
            continue;
        };
        if from.parallelism != to.parallelism {
            return Err(RescaleError::Forward {
                from: from.name.clone(),
                producers: from.parallelism,
                to: to.name.clone(),
                consumers: to.parallelism,
            });
        }
    }
    Ok(graph)
}

/// The parallelism that the program gives each vertex of a graph that meets these requirements.
pub(super) fn declared(
    graph: &JobGraph,
    requirements: &[VertexRequirement],
) -> BTreeMap<JobVertexId, u32> {
    let all = graph.vertices.iter().map(|vertex| (vertex.id, vertex.parallelism));
    all.chain(requirements.iter().map(|r| (r.vertex_id, r.declared))).collect()
}

/// What a job that is taken over goes on with: its program's graph, with the parallelism that was
/// asked for while it ran. That of a vertex whose program gives it another one by now isn't asked
/// for any more: what was said last counts. Gives the requirements that are met, too.
///
/// # Errors
/// The program has changed, so that they can't be met.
pub fn required(
    graph: &JobGraph,
    recorded: &[VertexRequirement],
) -> Result<(JobGraph, Vec<VertexRequirement>), RescaleError> {
    let stands = |requirement: &&VertexRequirement| {
        let vertex = graph.vertex(requirement.vertex_id);
        vertex.is_none_or(|vertex| vertex.parallelism == requirement.declared)
    };
    let met: Vec<VertexRequirement> = recorded.iter().filter(stands).copied().collect();
    let parallelism = met.iter().map(|r| (r.vertex_id, r.parallelism)).collect();
    Ok((rescaled(graph, &parallelism)?, met))
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Slots that are missing were asked for.
    Slots(RequestId),
    /// The checkpoint is under way.
    Checkpoint,
    /// The old tasks are ending.
    Stopping,
}

/// A change of parallelism on its way.
#[derive(Debug, Clone)]
pub(super) struct Rescale {
    id: TriggerId,
    graph: Arc<JobGraph>,
    phase: Phase,
}

/// What became of a change of parallelism.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RescaleOutcome {
    /// Its name.
    pub id: TriggerId,
    /// None: it is under way. Else whether it was made, or why not.
    pub result: Option<Result<(), String>>,
}

impl JobMaster {
    /// Whether the old tasks are ending for another parallelism: it can't be given up any more.
    pub fn is_rescaling(&self) -> bool {
        self.rescale.as_ref().is_some_and(|rescale| rescale.phase == Phase::Stopping)
    }

    /// What became of the last change of parallelism.
    pub fn last_rescale(&self) -> Option<&RescaleOutcome> {
        self.last_rescale.as_ref()
    }

    /// Begins to bring the job to the parallelism of `graph`; a change that is on its way to
    /// another one is given up.
    pub(super) fn rescale_requested(
        &mut self,
        id: TriggerId,
        graph: Arc<JobGraph>,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        let repeated = self.last_rescale.as_ref().is_some_and(|last| last.id == id);
        if repeated || self.is_rescaling() || self.end.is_some() {
            return;
        }
        self.give_up_rescale("another parallelism was asked for", actions);
        self.give_up_relocation(actions);
        self.last_rescale = Some(RescaleOutcome { id, result: None });
        if graph == self.information.graph {
            return self.end_rescale(Ok(()));
        }
        let phase = match self.scheduler.reserve(&graph) {
            Err(busy) => return self.end_rescale(Err(busy)),
            Ok(None) => self.begin_rescale_checkpoint(id, now, actions),
            Ok(Some(demand)) => {
                let request = demand.request;
                actions.push(demand.into_action(None));
                Phase::Slots(request)
            }
        };
        self.rescale = Some(Rescale { id, graph, phase });
    }

    /// What a checkpoint that is published now says of the job's parallelism: what this one was
    /// taken for counts from then on, also if this JobManager doesn't come to it.
    pub(super) fn requirements_of(&self, complete: &CompletedCheckpoint) -> Vec<VertexRequirement> {
        if complete.directory.is_some() {
            return Vec::new();
        }
        let own = |rescale: &&Rescale| self.coordinator.publishing_for() == Some(rescale.id);
        let rescale = self.rescale.as_ref().filter(own);
        let graph = rescale.map_or(&self.information.graph, |rescale| &rescale.graph);
        let of_vertex = |vertex: &JobVertex| {
            let declared = *self.declared.get(&vertex.id)?;
            let (vertex_id, parallelism) = (vertex.id, vertex.parallelism);
            let differs = parallelism != declared;
            differs.then_some(VertexRequirement { vertex_id, declared, parallelism })
        };
        graph.vertices.iter().filter_map(of_vertex).collect()
    }

    fn begin_rescale_checkpoint(
        &mut self,
        id: TriggerId,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) -> Phase {
        let kind = RequestKind::Checkpoint { full: false };
        let request = CheckpointRequest { id, kind };
        self.coordinate(CheckpointEvent::Requested(request), now, actions);
        Phase::Checkpoint
    }

    /// The slots that it waited for were given.
    pub(super) fn rescale_slots_granted(
        &mut self,
        request: RequestId,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        let waited = |rescale: &&Rescale| rescale.phase == Phase::Slots(request);
        let Some(id) = self.rescale.as_ref().filter(waited).map(|rescale| rescale.id) else {
            return;
        };
        let phase = self.begin_rescale_checkpoint(id, now, actions);
        if let Some(rescale) = &mut self.rescale {
            rescale.phase = phase;
        }
    }

    /// Whether it waited for these slots, which can't be had: then nothing has changed.
    pub(super) fn rescale_slots_unavailable(
        &mut self,
        request: RequestId,
        message: &str,
        actions: &mut Vec<JobAction>,
    ) -> bool {
        let waited = |rescale: &Rescale| rescale.phase == Phase::Slots(request);
        let waits = self.rescale.as_ref().is_some_and(waited);
        if waits {
            self.give_up_rescale(message, actions);
        }
        waits
    }

    /// Gives it up, unless the old tasks are ending already.
    pub(super) fn give_up_rescale(&mut self, why: &str, actions: &mut Vec<JobAction>) {
        let Some(given_up) = self.rescale.take_if(|r| r.phase != Phase::Stopping) else { return };
        if let Phase::Slots(request) = given_up.phase
            && self.scheduler.request_failed(request)
        {
            actions.push(JobAction::WithdrawRequest);
        }
        self.scheduler.release_reservation();
        actions.push(JobAction::Observe(Observation::RescaleGivenUp(why.to_owned())));
        self.end_rescale(Err(why.to_owned()));
    }

    fn end_rescale(&mut self, result: Result<(), String>) {
        if let Some(last) = &mut self.last_rescale {
            last.result.get_or_insert(result);
        }
    }

    /// Goes on with it, once its checkpoint is there and then once the old tasks have ended.
    pub(super) fn go_on_rescaling(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        let Some(rescale) = &self.rescale else { return };
        match rescale.phase {
            Phase::Slots(_) => {}
            Phase::Checkpoint => {
                let operation = self.coordinator.operations().get(rescale.id);
                match operation.map(|operation| operation.state.clone()) {
                    Some(OperationState::InProgress) => {}
                    Some(OperationState::Completed { .. }) => self.stop_to_rescale(now, actions),
                    Some(OperationState::Failed(why)) => {
                        self.give_up_rescale(&format!("its checkpoint failed: {why}"), actions);
                    }
                    None => self.give_up_rescale("its checkpoint is unknown", actions),
                }
            }
            Phase::Stopping if self.graph.all(ExecutionState::is_terminal) => {
                self.redeploy(now, actions);
            }
            Phase::Stopping => {}
        }
    }

    fn stop_to_rescale(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        if let Some(rescale) = &mut self.rescale {
            rescale.phase = Phase::Stopping;
        }
        let tasks: Vec<_> = self.graph.tasks().map(|(task, _)| task).collect();
        self.end_tasks(&tasks, now, actions);
        self.coordinate(CheckpointEvent::Interrupted, now, actions);
        self.transition(JobStatus::Restarting, now, actions);
    }

    /// Puts new tasks, which wait for being deployed, in the place of the old ones, all of which
    /// have ended.
    fn redeploy(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        let Some(rescale) = self.rescale.take() else { return };
        let (graph, Rescale { graph: description, .. }) = (&self.graph, rescale);
        let rescaled = match ExecutionGraph::rescaled(graph, Arc::clone(&description), now) {
            Ok(rescaled) => rescaled,
            // It was checked when it was asked for; the old tasks begin again.
            Err(error) => {
                self.end_rescale(Err(error.to_string()));
                let regions = 0..self.graph.regions().list.len();
                regions.for_each(|region| self.scheduler.restart(region, now.elapsed));
                return;
            }
        };
        self.graph = rescaled;
        self.information = Arc::new(JobInformation {
            graph: description,
            ..JobInformation::clone(&self.information)
        });
        let unneeded = self.scheduler.rescaled(&self.graph, now.elapsed);
        if !unneeded.is_empty() {
            actions.push(JobAction::ReleaseSlots(unneeded));
        }
        self.coordinator.tasks_replaced();
        self.rescales += 1;
        let tasks = self.graph.tasks().count();
        actions.push(JobAction::Observe(Observation::Rescaled { tasks }));
        self.end_rescale(Ok(()));
    }
}
