//! What TaskManagers say, and what becomes of them.

use thalweg_core::ids::{Epoch, ExecutionAttemptId, TaskManagerId};
use thalweg_rpc::message::{
    ExecutionReport, JobManagerMessage, MetricGroup, Notice, Registration, RegistrationRefusal,
    TaskManagerMessage, ToJobManager,
};

use super::{Action, Dispatcher, TaskManagerObservation};
use crate::job_master::{JobEvent, Relocating};
use crate::moment::Moment;
use crate::resource_manager::{
    ConnectionId, Disconnection, Reception, ResourceAction, SlotAction, WorkerEvent,
};

/// Why a TaskManager that is about to go needn't wait.
const NOTHING_LEFT: &str = "nothing runs there any more";

impl Dispatcher {
    /// A message:
    ///
    /// 1. A registration is answered, whatever epoch its sender knows; only one of a later epoch
    ///    means that this JobManager isn't the leader any more, and is dropped.
    /// 2. Anything else counts only from a TaskManager that has registered on this connection, and
    ///    in this epoch.
    /// 3. A notice is acknowledged once it was acted on.
    pub(super) fn received(
        &mut self,
        connection: ConnectionId,
        message: ToJobManager,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let (epoch, sequence) = (message.epoch, message.sequence);
        match message.message {
            TaskManagerMessage::Register(registration) => {
                if epoch <= self.options.epoch {
                    self.register(connection, registration, epoch, sequence, now, actions);
                }
            }
            _ if epoch != self.options.epoch => {}
            TaskManagerMessage::Heartbeat(heartbeat) => {
                if self.connections.get(&connection) != Some(&heartbeat.id) {
                    return;
                }
                let (reception, of_resources) =
                    self.resources.heartbeat(connection, &heartbeat, sequence, now);
                self.perform_resource_actions(of_resources, now, actions);
                if reception == Reception::Fresh {
                    let (id, seen) = (heartbeat.id, heartbeat.heartbeat_seen);
                    self.reports(&id, (sequence, seen), heartbeat.executions, now, actions);
                }
            }
            TaskManagerMessage::Notice { number, notice } => {
                let Some(id) = self.connections.get(&connection).cloned() else { return };
                let received = JobManagerMessage::Received { numbers: vec![number] };
                if let Notice::Goodbye { .. } = notice {
                    // Its connection is closed with what follows.
                    self.send_on(connection, received, actions);
                    self.notice(&id, sequence, notice, now, actions);
                } else {
                    self.notice(&id, sequence, notice, now, actions);
                    self.send_on(connection, received, actions);
                }
            }
        }
    }

    fn register(
        &mut self,
        connection: ConnectionId,
        registration: Registration,
        epoch: Epoch,
        sequence: u64,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let (id, slots) = (registration.id.clone(), registration.slots);
        let reports = registration.executions.clone();
        let known = self.resources.task_managers().contains_key(&id);
        let build_id = self.options.build_id;
        let registered = if self.shutting_down {
            Err(RegistrationRefusal::ShuttingDown)
        } else {
            self.resources.register(connection, registration, sequence, build_id, now)
        };
        let (reception, of_resources) = match registered {
            Ok(registered) => registered,
            Err(refusal) => {
                let observation = TaskManagerObservation::Refused(refusal.to_string());
                actions.push(Action::ObserveTaskManager(id, observation));
                self.send_on(connection, JobManagerMessage::Refused(refusal), actions);
                return;
            }
        };
        if reception == Reception::Stale && self.connections.get(&connection) != Some(&id) {
            return;
        }
        if !known {
            let observation = TaskManagerObservation::Registered { slots };
            actions.push(Action::ObserveTaskManager(id.clone(), observation));
        }
        self.connections.retain(|_, on| *on != id);
        self.connections.insert(connection, id.clone());
        let times = &self.options.resources;
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let answer = JobManagerMessage::Registered {
            heartbeat_interval_ms: millis(times.heartbeat_interval),
            heartbeat_timeout_ms: millis(times.heartbeat_timeout),
        };
        self.send_on(connection, answer, actions);
        self.tell_all_jobs(&JobEvent::TaskManagerConnected(id.clone()), now, actions);
        self.perform_resource_actions(of_resources, now, actions);
        if reception == Reception::Fresh && epoch == self.options.epoch {
            // It says nothing of heartbeats that it has seen.
            self.reports(&id, (sequence, 0), reports, now, actions);
        }
        self.send_heartbeat(&id, actions);
    }

    /// A connection is gone; its TaskManager may come back.
    pub(super) fn disconnected(
        &mut self,
        connection: ConnectionId,
        how: Disconnection,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let of_resources = self.resources.disconnected(connection, how, now);
        if let Some(id) = self.connections.remove(&connection) {
            self.tell_all_jobs(&JobEvent::TaskManagerDisconnected(id), now, actions);
        }
        self.perform_resource_actions(of_resources, now, actions);
    }

    fn tell_all_jobs(&mut self, event: &JobEvent, now: Moment, actions: &mut Vec<Action>) {
        let jobs: Vec<_> = self.jobs.keys().copied().collect();
        for job in jobs {
            self.job_event(job, event.clone(), now, actions);
        }
    }

    /// All executions of a TaskManager, to all jobs: what isn't listed matters too.
    fn reports(
        &mut self,
        id: &TaskManagerId,
        (sequence, heartbeat_seen): (u64, u64),
        reports: Vec<ExecutionReport>,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let jobs: Vec<_> = self.jobs.keys().copied().collect();
        for job in jobs {
            let of_job = reports.iter().filter(|report| report.job == job).cloned().collect();
            let task_manager = id.clone();
            let event =
                JobEvent::Heartbeat { task_manager, sequence, heartbeat_seen, reports: of_job };
            self.job_event(job, event, now, actions);
        }
    }

    fn notice(
        &mut self,
        id: &TaskManagerId,
        sequence: u64,
        notice: Notice,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        match notice {
            Notice::ExecutionChanged(report) => {
                let (job, task_manager) = (report.job, id.clone());
                let event = JobEvent::ExecutionChanged { task_manager, sequence, report };
                self.job_event(job, event, now, actions);
            }
            Notice::CheckpointAcknowledged(ack) => {
                let job = ack.job;
                self.job_event(job, JobEvent::CheckpointAcknowledged(ack), now, actions);
            }
            Notice::CheckpointDeclined(decline) => {
                let job = decline.job;
                self.job_event(job, JobEvent::CheckpointDeclined(decline), now, actions);
            }
            Notice::FinalMetrics { attempt, metrics } => self.keep_metrics(attempt, metrics),
            Notice::Goodbye { reason } => {
                let cause = format!("TaskManager {id} said goodbye: {reason}");
                let of_resources = self.resources.remove(id, &cause, now);
                self.perform_resource_actions(of_resources, now, actions);
            }
        }
    }

    /// Keeps the figures of an execution that has ended for as long as it is shown: until its
    /// subtask is attempted again.
    fn keep_metrics(&mut self, attempt: ExecutionAttemptId, metrics: Vec<MetricGroup>) {
        let jobs = &self.jobs;
        let shown = |attempt: ExecutionAttemptId| {
            jobs.values().any(|job| job.graph().find(attempt).is_some())
        };
        self.final_metrics.retain(|attempt, _| shown(*attempt));
        if shown(attempt) {
            self.final_metrics.insert(attempt, metrics);
        }
    }

    pub(super) fn perform_resource_actions(
        &mut self,
        of_resources: Vec<ResourceAction>,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        for action in of_resources {
            match action {
                ResourceAction::Slots(SlotAction::Granted { job, request, slots }) => {
                    let event = JobEvent::SlotsGranted { request, slots };
                    self.job_event(job, event, now, actions);
                }
                ResourceAction::Slots(SlotAction::TimedOut { job, request, message }) => {
                    let event = JobEvent::SlotsUnavailable { request, message };
                    self.job_event(job, event, now, actions);
                }
                ResourceAction::Lost { task_manager, connection, cause } => {
                    self.lost(&task_manager, connection, &cause, now, actions);
                }
                ResourceAction::RequireWorkers(total) => {
                    actions.push(Action::RequireWorkers(total));
                }
                ResourceAction::WorkerChanged(id, registered) => {
                    actions.push(Action::WorkerChanged(id, registered));
                }
                ResourceAction::ReleaseWorker(id) => actions.push(Action::ReleaseWorker(id)),
                ResourceAction::Leaving { task_manager, reason, until, slots_until } => {
                    let observation = TaskManagerObservation::Leaving(reason);
                    actions.push(Action::ObserveTaskManager(task_manager.clone(), observation));
                    if self.options.workers.is_some() {
                        actions.push(Action::WorkerLeaving(task_manager.clone()));
                    }
                    let event = JobEvent::TaskManagerLeaving { task_manager, until, slots_until };
                    self.tell_all_jobs(&event, now, actions);
                }
            }
        }
    }

    pub(super) fn worker_event(
        &mut self,
        id: &TaskManagerId,
        event: &WorkerEvent,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let of_resources = self.resources.worker_event(id, event, now);
        self.perform_resource_actions(of_resources, now, actions);
    }

    /// Tells TaskManagers that are about to go when they needn't wait any more: nothing is left
    /// there, or it can't be moved.
    pub(super) fn dismiss_leaving(&mut self, actions: &mut Vec<Action>) {
        let leaving: Vec<TaskManagerId> = self.resources.leaving().cloned().collect();
        for id in leaving {
            let of_jobs: Vec<_> = self.jobs.values().map(|job| job.relocation_from(&id)).collect();
            if of_jobs.contains(&Relocating::UnderWay) {
                continue;
            }
            let why = of_jobs.into_iter().find_map(|of_job| match of_job {
                Relocating::Impossible(why) => Some(why),
                Relocating::UnderWay | Relocating::NothingThere => None,
            });
            self.resources.dismiss(&id, why.unwrap_or_else(|| NOTHING_LEFT.to_owned()));
            self.send_heartbeat(&id, actions);
        }
    }

    fn lost(
        &mut self,
        id: &TaskManagerId,
        connection: Option<ConnectionId>,
        cause: &str,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let observation = TaskManagerObservation::Lost(cause.to_owned());
        actions.push(Action::ObserveTaskManager(id.clone(), observation));
        self.connections.retain(|_, on| on != id);
        actions.extend(connection.map(Action::Disconnect));
        let (task_manager, cause) = (id.clone(), cause.to_owned());
        self.tell_all_jobs(&JobEvent::TaskManagerLost { task_manager, cause }, now, actions);
    }
}
