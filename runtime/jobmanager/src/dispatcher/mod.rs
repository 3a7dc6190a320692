//! The dispatcher: takes jobs in, runs a JobMaster for each, and stands between them, the
//! ResourceManager and the TaskManagers' messages.
//!
//! With it the whole control plane is one state machine without I/O: [`Dispatcher::handle`] takes
//! what happened and returns what is to be done. The endpoint feeds it, and so do simulations.

mod jobs;
mod message;
mod submission;
mod task_managers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_core::ids::{Epoch, ExecutionAttemptId, JobId, TaskManagerId};
use thalweg_rpc::message::{Fenced, JobManagerHeartbeat, JobManagerMessage, MetricGroup};

pub use message::{Action, Event, TaskManagerObservation};
pub use submission::{JobSubmission, PreparedJob};

use crate::job_master::{JobEvent, JobMaster};
use crate::moment::{Moment, earlier};
use crate::resource_manager::{
    ConnectionId, ResourceManager, ResourceManagerOptions, SlotEvent, WorkerOptions,
};

/// How many jobs that have ended are remembered for REST.
const ENDED_JOBS_MAX: usize = 50;

/// What distinguishes a JobManager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DispatcherOptions {
    /// The leader's term.
    pub epoch: Epoch,
    /// The binary's build.
    pub build_id: u64,
    /// Another one for every process; ids and jitter derive from it.
    pub seed: u64,
    /// Times.
    pub resources: ResourceManagerOptions,
    /// What the driver's TaskManagers are like; None: it starts none.
    pub workers: Option<WorkerOptions>,
}

/// Jobs, TaskManagers, and what passes between them.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    options: DispatcherOptions,
    resources: ResourceManager,
    jobs: BTreeMap<JobId, JobMaster>,
    /// In the order of submission.
    order: Vec<JobId>,
    /// Who registered on which connection.
    connections: BTreeMap<ConnectionId, TaskManagerId>,
    /// Of executions that have ended.
    final_metrics: BTreeMap<ExecutionAttemptId, Vec<MetricGroup>>,
    sequence: u64,
    next_heartbeat: Duration,
    shutting_down: bool,
}

impl Dispatcher {
    /// Without jobs and TaskManagers.
    pub fn new(options: DispatcherOptions, now: Moment) -> Self {
        Self {
            options,
            resources: ResourceManager::new(options.resources, options.workers),
            jobs: BTreeMap::new(),
            order: Vec::new(),
            connections: BTreeMap::new(),
            final_metrics: BTreeMap::new(),
            sequence: 0,
            next_heartbeat: now.elapsed,
            shutting_down: false,
        }
    }

    /// Takes in what happened and decides what is to be done. Every call also does what is due by
    /// now: heartbeats, losses, time-outs.
    pub fn handle(&mut self, event: Event, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Received(connection, message) => {
                self.received(connection, message, now, &mut actions);
            }
            Event::Disconnected(connection, how) => {
                self.disconnected(connection, how, now, &mut actions);
            }
            Event::DeploymentRefused { job, attempts, cause } => {
                let event = JobEvent::DeploymentRefused { attempts, cause };
                self.job_event(job, event, now, &mut actions);
            }
            Event::Submitted(job) => self.submitted(*job, now, &mut actions),
            Event::Cancel(job) => self.job_event(job, JobEvent::Cancel, now, &mut actions),
            Event::CheckpointRequested(job, request) => {
                self.job_event(job, JobEvent::CheckpointRequested(request), now, &mut actions);
            }
            Event::RescaleRequested(job, id, graph) => {
                let event = JobEvent::RescaleRequested { id, graph };
                self.job_event(job, event, now, &mut actions);
            }
            Event::Publication(job, event) => {
                self.job_event(job, JobEvent::Publication(event), now, &mut actions);
            }
            Event::Worker(id, event) => self.worker_event(&id, &event, now, &mut actions),
            Event::Tick => {}
            Event::NoMoreJobs => {
                let of_resources = self.resources.no_more_jobs(now);
                self.perform_resource_actions(of_resources, now, &mut actions);
            }
            Event::ShutDown(reason) => self.shut_down(&reason, &mut actions),
        }
        self.tick(now, &mut actions);
        actions
    }

    fn tick(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let of_resources = self.resources.tick(now);
        self.perform_resource_actions(of_resources, now, actions);
        let due = |job: &JobMaster| job.deadline(now.elapsed).is_some_and(|at| at <= now.elapsed);
        let jobs: Vec<JobId> =
            self.jobs.iter().filter(|(_, job)| due(job)).map(|(id, _)| *id).collect();
        for job in jobs {
            self.job_event(job, JobEvent::Tick, now, actions);
        }
        self.dismiss_leaving(actions);
        if now.elapsed >= self.next_heartbeat {
            self.next_heartbeat = now.elapsed + self.options.resources.heartbeat_interval;
            let ids: Vec<TaskManagerId> = self.resources.task_managers().keys().cloned().collect();
            ids.iter().for_each(|id| self.send_heartbeat(id, actions));
        }
    }

    fn send_heartbeat(&mut self, id: &TaskManagerId, actions: &mut Vec<Action>) {
        let Some(connection) = self.resources.connection(id) else { return };
        let sequence = self.sequence + 1;
        let mut heartbeat = JobManagerHeartbeat::default();
        for job in self.jobs.values_mut() {
            let (expected, progress) = job.heartbeat_to(id, sequence);
            heartbeat.expected.extend(expected);
            heartbeat.jobs.extend(progress);
        }
        heartbeat.dismissed = self.resources.dismissed(id).map(str::to_owned);
        self.send_on(connection, JobManagerMessage::Heartbeat(heartbeat), actions);
    }

    /// Sends on a connection, under the next sequence number.
    fn send_on(
        &mut self,
        connection: ConnectionId,
        message: JobManagerMessage,
        actions: &mut Vec<Action>,
    ) {
        self.sequence += 1;
        let message = Fenced { epoch: self.options.epoch, sequence: self.sequence, message };
        actions.push(Action::Send(connection, message));
    }

    /// Sends to a TaskManager. To one without a connection nothing is sent: what was to be said is
    /// repeated as long as it matters.
    fn send(&mut self, to: &TaskManagerId, message: JobManagerMessage, actions: &mut Vec<Action>) {
        if let Some(connection) = self.resources.connection(to) {
            self.send_on(connection, message, actions);
        }
    }

    fn slot_event(&mut self, event: SlotEvent, now: Moment, actions: &mut Vec<Action>) {
        let of_resources = self.resources.slot_event(event, now);
        self.perform_resource_actions(of_resources, now, actions);
    }

    fn shut_down(&mut self, reason: &str, actions: &mut Vec<Action>) {
        self.shutting_down = true;
        let ids: Vec<TaskManagerId> = self.resources.task_managers().keys().cloned().collect();
        for id in ids {
            let message = JobManagerMessage::ShutDown { reason: reason.to_owned() };
            self.send(&id, message, actions);
        }
    }

    /// What distinguishes it.
    pub fn options(&self) -> &DispatcherOptions {
        &self.options
    }

    /// The figures of executions that have ended.
    pub fn final_metrics(&self) -> impl Iterator<Item = &MetricGroup> {
        self.final_metrics.values().flatten()
    }

    /// The TaskManagers.
    pub fn resources(&self) -> &ResourceManager {
        &self.resources
    }

    /// A job that is known.
    pub fn job(&self, id: JobId) -> Option<&JobMaster> {
        self.jobs.get(&id)
    }

    /// The jobs that are known, in the order of submission.
    pub fn jobs(&self) -> impl Iterator<Item = &JobMaster> {
        self.order.iter().filter_map(|id| self.jobs.get(id))
    }

    /// When something is to be decided if nothing happens before.
    pub fn deadline(&self, now: Duration) -> Duration {
        let of_jobs = self.jobs.values().filter_map(|job| job.deadline(now)).min();
        let other = earlier(of_jobs, self.resources.deadline());
        earlier(other, Some(self.next_heartbeat)).unwrap_or(self.next_heartbeat)
    }
}
