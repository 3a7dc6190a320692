//! Jobs coming in, going on, and ending.

use std::sync::Arc;

use thalweg_core::ids::JobId;
use thalweg_core::status::JobStatus;
use thalweg_rpc::message::{FailureInfo, FailureKind, JobManagerMessage};

use super::{Action, Dispatcher, ENDED_JOBS_MAX, PreparedJob};
use crate::job_master::{JobAction, JobDescription, JobEvent, JobMaster, JobResult};
use crate::moment::Moment;
use crate::resource_manager::{SlotEvent, SlotRequest};

/// How many tasks one message deploys at most, so that messages stay below their limit.
const TASKS_PER_MESSAGE_MAX: usize = 64;

impl Dispatcher {
    /// A job was handed in. One that can't be run fails at once.
    pub(super) fn submitted(&mut self, job: PreparedJob, now: Moment, actions: &mut Vec<Action>) {
        let information = Arc::clone(&job.information);
        let id = information.job_id;
        if self.jobs.contains_key(&id) {
            return;
        }
        let description = JobDescription {
            information: job.information,
            configuration: job.configuration,
            epoch: self.options.epoch,
            seed: self.options.seed,
            sources: job.sources,
            restore: job.restore,
            highest_checkpoint: job.highest_checkpoint,
            requirements: job.requirements,
        };
        match JobMaster::new(description, now) {
            Ok(master) => {
                self.jobs.insert(id, master);
                self.order.push(id);
                self.forget_ended();
                self.job_event(id, JobEvent::Tick, now, actions);
            }
            Err(error) => actions.push(Action::JobEnded(Box::new(JobResult {
                job: id,
                name: information.job_name.clone(),
                status: JobStatus::Failed,
                accumulators: Vec::new(),
                error: Some(FailureInfo {
                    operator: None,
                    message: error.to_string(),
                    kind: FailureKind::User,
                }),
                runtime_ms: 0,
                ended_ms: now.wall_ms,
                restarts: 0,
            }))),
        }
    }

    /// Drops the oldest jobs that have ended, beyond those that are remembered.
    fn forget_ended(&mut self) {
        let ended = |id: &&JobId| self.jobs.get(id).is_some_and(|job| job.result().is_some());
        let ended: Vec<JobId> = self.order.iter().filter(ended).copied().collect();
        let surplus = ended.len().saturating_sub(ENDED_JOBS_MAX);
        for id in &ended[..surplus] {
            self.jobs.remove(id);
            self.order.retain(|known| known != id);
        }
    }

    /// Passes an event on to a job, and its decisions on. An unknown job is none any more.
    pub(super) fn job_event(
        &mut self,
        id: JobId,
        event: JobEvent,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let of_job = job.handle(event, now);
        for action in of_job {
            self.perform_job_action(id, action, now, actions);
        }
    }

    fn perform_job_action(
        &mut self,
        job: JobId,
        action: JobAction,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        match action {
            JobAction::RequestSlots { request, allocations, replaces, until } => {
                let request = SlotRequest { job, id: request, allocations, replaces, until };
                self.slot_event(SlotEvent::Requested(request), now, actions);
            }
            JobAction::WithdrawRequest => {
                self.slot_event(SlotEvent::Withdrawn(job), now, actions);
            }
            JobAction::ReleaseSlots(allocations) => {
                self.slot_event(SlotEvent::Released(allocations), now, actions);
            }
            JobAction::Deploy { task_manager, tasks } => {
                let Some(master) = self.jobs.get(&job) else { return };
                let information = Arc::clone(master.information());
                for tasks in tasks.chunks(TASKS_PER_MESSAGE_MAX) {
                    let job = Arc::clone(&information);
                    let message = JobManagerMessage::DeployTasks { job, tasks: tasks.to_vec() };
                    self.send(&task_manager, message, actions);
                }
            }
            JobAction::CancelTask { task_manager, attempt } => {
                self.send(&task_manager, JobManagerMessage::CancelTask { attempt }, actions);
            }
            JobAction::TriggerCheckpoint { task_manager, attempt, barrier } => {
                let message = JobManagerMessage::TriggerCheckpoint { job, attempt, barrier };
                self.send(&task_manager, message, actions);
            }
            JobAction::EndInput { task_manager, attempt } => {
                self.send(&task_manager, JobManagerMessage::EndInput { attempt }, actions);
            }
            JobAction::NotifyCompleted(task_manager, checkpoint) => {
                let message = JobManagerMessage::CheckpointCompleted { job, checkpoint };
                self.send(&task_manager, message, actions);
            }
            JobAction::RewriteRuns { task_manager, checkpoint, objects } => {
                let message = JobManagerMessage::RewriteRuns { job, checkpoint, objects };
                self.send(&task_manager, message, actions);
            }
            JobAction::NotifyAborted(task_manager, checkpoint) => {
                let message = JobManagerMessage::CheckpointAborted { job, checkpoint };
                self.send(&task_manager, message, actions);
            }
            JobAction::Publish(checkpoint) => actions.push(Action::Publish(checkpoint)),
            JobAction::DiscardCheckpoint { checkpoint, kept_objects } => {
                actions.push(Action::DiscardCheckpoint { checkpoint, kept_objects });
            }
            JobAction::DeleteObjects(objects) => actions.push(Action::DeleteObjects(objects)),
            JobAction::DeleteAbandoned(abandoned) => {
                actions.push(Action::DeleteAbandoned(abandoned));
            }
            JobAction::DeleteFromSavepoint(directory, objects) => {
                actions.push(Action::DeleteFromSavepoint(directory, objects));
            }
            JobAction::GiveUpTaskManager { task_manager, cause } => {
                let reason = cause.clone();
                self.send(&task_manager, JobManagerMessage::ShutDown { reason }, actions);
                let of_resources = self.resources.remove(&task_manager, &cause, now);
                self.perform_resource_actions(of_resources, now, actions);
            }
            JobAction::Observe(observation) => actions.push(Action::Observe(job, observation)),
            JobAction::Ended(result) => actions.push(Action::JobEnded(result)),
        }
    }
}
