//! A JobMaster: runs one job from its submission to its end.
//!
//! It decides: [`JobMaster::handle`] takes what happened and returns what is to be done. Its parts
//! are the [`execution_graph`] (what there is), the [`scheduler`] (what is deployed where), the
//! [`restart_strategy`], and the checkpoint coordinator. Not here: connections, storage, clocks.

mod deployment;
pub mod execution_graph;
mod failover;
mod failure_history;
mod message;
mod progress;
mod reconcile;
mod relocation;
mod rescale;
pub mod restart_strategy;
pub mod scheduler;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{slots, web};
use thalweg_core::ids::{CheckpointId, Epoch, ExecutionAttemptId, JobVertexId, TaskManagerId};
use thalweg_core::status::JobStatus;
use thalweg_rpc::message::{FailureInfo, JobInformation, JobProgress};
use thalweg_storage::manifest::VertexRequirement;

pub use failure_history::{Failure, FailureHistory};
pub use message::{JobAction, JobEvent, JobResult, Observation};
pub use relocation::Relocating;
pub use rescale::{RescaleError, RescaleOutcome, required, rescaled};

use crate::checkpoint_coordinator::{
    CheckpointCoordinator, CheckpointEvent, CheckpointOptions, CompletedCheckpoint, RestoreError,
};
use crate::moment::{Moment, earlier};
use crate::source_coordinator::SourceCoordinator;
use execution_graph::{ExecutionGraph, GraphError};
use relocation::Relocation;
use rescale::Rescale;
use restart_strategy::RestartStrategy;
use scheduler::Scheduler;

/// What a JobMaster begins with.
#[derive(Debug, Clone)]
pub struct JobDescription {
    /// What all its tasks have in common.
    pub information: Arc<JobInformation>,
    /// The job's effective configuration.
    pub configuration: Configuration,
    /// The leader's term.
    pub epoch: Epoch,
    /// Another one for every JobManager process; ids and jitter derive from it.
    pub seed: u64,
    /// The splits of its sources.
    pub sources: SourceCoordinator,
    /// The checkpoint that it begins with.
    pub restore: Option<CompletedCheckpoint>,
    /// The highest checkpoint id that was ever used for the job.
    pub highest_checkpoint: CheckpointId,
    /// Where the graph has another parallelism than the program gives it.
    pub requirements: Vec<VertexRequirement>,
}

/// A job can't be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobMasterError {
    /// Its graph is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// It can't begin with the checkpoint.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// How the job is going to end, once its tasks have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Canceled,
    Failed(FailureInfo),
}

/// Runs one job.
#[derive(Debug, Clone)]
pub struct JobMaster {
    information: Arc<JobInformation>,
    graph: ExecutionGraph,
    scheduler: Scheduler,
    restart_strategy: RestartStrategy,
    coordinator: CheckpointCoordinator,
    sources: SourceCoordinator,
    failures: FailureHistory,
    end: Option<End>,
    restarts: u64,
    relocation: Relocation,
    rescale: Option<Rescale>,
    last_rescale: Option<RescaleOutcome>,
    /// How often the parallelism was changed.
    rescales: u64,
    /// The parallelism that the program gives each vertex.
    declared: BTreeMap<JobVertexId, u32>,
    started: Moment,
    result: Option<JobResult>,
}

impl JobMaster {
    /// A job that has just been submitted. The first [`JobEvent::Tick`] sets it going.
    ///
    /// # Errors
    /// When its graph can't be run, or not from that checkpoint.
    pub fn new(description: JobDescription, now: Moment) -> Result<Self, JobMasterError> {
        let JobDescription { information, configuration, epoch, seed, sources, .. } = description;
        if let Some(restore) = &description.restore {
            restore.check(&information.graph)?;
        }
        let graph = ExecutionGraph::new(Arc::clone(&information.graph), epoch, seed, now)?;
        let job = information.job_id;
        let prefix = format!("{job}/{}/{seed:016x}", epoch.0);
        let idle_timeout = configuration.get(&slots::IDLE_TIMEOUT);
        let options = CheckpointOptions::of(&configuration);
        let highest = description.highest_checkpoint;
        let declared = rescale::declared(&information.graph, &description.requirements);
        let (restore, state) = (description.restore, sources.state());
        let life = prefix.clone();
        let coordinator = CheckpointCoordinator::new(job, options, restore, highest, state, life);
        let history = configuration.get(&web::EXCEPTION_HISTORY_SIZE) as usize;
        Ok(Self {
            scheduler: Scheduler::new(&graph, prefix, idle_timeout, now.elapsed),
            restart_strategy: RestartStrategy::of(&configuration, seed ^ job.bits() as u64),
            failures: FailureHistory::new(history),
            end: None,
            restarts: 0,
            relocation: Relocation::default(),
            rescale: None,
            last_rescale: None,
            rescales: 0,
            declared,
            started: now,
            result: None,
            information,
            graph,
            coordinator,
            sources,
        })
    }

    /// Takes in what happened, then goes on with whatever is possible now (`progress`).
    pub fn handle(&mut self, event: JobEvent, now: Moment) -> Vec<JobAction> {
        let mut actions = Vec::new();
        if self.result.is_some() {
            return actions;
        }
        let actions_of = &mut actions;
        match event {
            JobEvent::SlotsGranted { request, slots } => {
                let unwanted = self.scheduler.granted(request, slots);
                if !unwanted.is_empty() {
                    actions_of.push(JobAction::ReleaseSlots(unwanted));
                }
                self.rescale_slots_granted(request, now, actions_of);
                self.relocation_slots_granted(request, now, actions_of);
            }
            JobEvent::SlotsUnavailable { request, message } => {
                self.slots_unavailable(request, message, now, actions_of);
            }
            JobEvent::ExecutionChanged { task_manager, sequence, report } => {
                self.execution_changed(&task_manager, sequence, report, now, actions_of);
            }
            JobEvent::Heartbeat { task_manager, sequence, heartbeat_seen, reports } => {
                let numbers = (sequence, heartbeat_seen);
                self.heartbeat(&task_manager, numbers, reports, now, actions_of);
            }
            JobEvent::TaskManagerDisconnected(id) => self.scheduler.disconnected(id),
            JobEvent::TaskManagerConnected(id) => self.scheduler.connected(&id),
            JobEvent::TaskManagerLost { task_manager, cause } => {
                self.task_manager_lost(&task_manager, &cause, now, actions_of);
            }
            JobEvent::TaskManagerLeaving { task_manager, until, slots_until } => {
                let times = (until, slots_until);
                self.task_manager_leaving(task_manager, times, actions_of);
            }
            JobEvent::DeploymentRefused { attempts, cause } => {
                self.deployment_refused(&attempts, &cause, now, actions_of);
            }
            JobEvent::CheckpointAcknowledged(ack) => {
                self.coordinate(CheckpointEvent::Acknowledged(ack), now, actions_of);
            }
            JobEvent::CheckpointDeclined(decline) => {
                self.coordinate(CheckpointEvent::Declined(decline), now, actions_of);
            }
            JobEvent::Publication(event) => self.coordinate(event, now, actions_of),
            JobEvent::CheckpointRequested(request) => {
                self.coordinate(CheckpointEvent::Requested(request), now, actions_of);
            }
            JobEvent::RescaleRequested { id, graph } => {
                self.rescale_requested(id, graph, now, actions_of);
            }
            JobEvent::Cancel => self.cancel(now, actions_of),
            JobEvent::Tick => {}
        }
        self.progress(now, &mut actions);
        actions
    }

    /// What all its tasks have in common.
    pub fn information(&self) -> &Arc<JobInformation> {
        &self.information
    }

    /// Its subtasks.
    pub fn graph(&self) -> &ExecutionGraph {
        &self.graph
    }

    /// Its state.
    pub fn status(&self) -> JobStatus {
        self.graph.status
    }

    /// How it ended, once it has.
    pub fn result(&self) -> Option<&JobResult> {
        self.result.as_ref()
    }

    /// Its checkpoints, and what was asked of them.
    pub fn coordinator(&self) -> &CheckpointCoordinator {
        &self.coordinator
    }

    /// Its failures.
    pub fn failures(&self) -> &FailureHistory {
        &self.failures
    }

    /// How often tasks were restarted.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// How often its parallelism was changed.
    pub fn rescales(&self) -> u64 {
        self.rescales
    }

    /// Its restart strategy in words.
    pub fn restart_strategy(&self) -> String {
        self.restart_strategy.description()
    }

    /// What the heartbeat with this sequence number tells a TaskManager of the job: the executions
    /// that are wanted there and, if there are any of the job, how far its checkpoints are.
    pub fn heartbeat_to(
        &mut self,
        task_manager: &TaskManagerId,
        sequence: u64,
    ) -> (Vec<ExecutionAttemptId>, Option<JobProgress>) {
        let mut expected = Vec::new();
        let mut any = false;
        let tasks: Vec<_> = self.graph.tasks().map(|(task, _)| task).collect();
        for task in tasks {
            let execution = self.graph.execution_mut(task);
            if execution.deployed_on() != Some(task_manager) || execution.state.is_terminal() {
                continue;
            }
            any = true;
            if execution.is_wanted() {
                expected.push(execution.id);
            } else {
                execution.correspondence.unexpected_since.get_or_insert(sequence);
            }
        }
        (expected, any.then(|| self.job_progress()))
    }

    fn job_progress(&self) -> JobProgress {
        let coordinator = &self.coordinator;
        JobProgress {
            job: self.information.job_id,
            completed: coordinator.latest().map_or(CheckpointId(0), |latest| latest.id),
            pending: coordinator.pending(),
            begun: coordinator.begun(),
        }
    }

    /// When something is to be decided if nothing happens before.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        if self.result.is_some() {
            return None;
        }
        let checkpoints = self.coordinator.deadline(&self.graph);
        let checkpoints = earlier(checkpoints, self.relocation_deadline());
        earlier(earlier(self.scheduler.deadline(now), checkpoints), self.reconcile_deadline())
    }

    /// Accumulators of all tasks, by operator, name and subtask.
    fn accumulators(&self) -> Vec<thalweg_rpc::message::Accumulator> {
        let all = self.graph.tasks().flat_map(|(_, e)| e.accumulators.iter().cloned());
        let mut sorted = BTreeMap::new();
        for accumulator in all {
            let key = (accumulator.operator, accumulator.name.clone(), accumulator.subtask);
            sorted.insert(key, accumulator);
        }
        sorted.into_values().collect()
    }
}
