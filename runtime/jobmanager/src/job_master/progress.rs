//! What a job goes on with whenever something has happened: checkpoints, scheduling, the end.

use std::collections::BTreeSet;

use thalweg_core::ids::TaskManagerId;
use thalweg_core::status::{ExecutionState, JobStatus};
use thalweg_rpc::message::FailureInfo;

use super::execution_graph::TaskIndex;
use super::message::{JobAction, JobResult, Observation};
use super::scheduler::Step;
use super::{End, JobMaster};
use crate::checkpoint_coordinator::{CheckpointAction, CheckpointEvent, CompletedCheckpoint};
use crate::moment::Moment;

impl JobMaster {
    /// Goes on, in this order:
    ///
    /// 1. Tasks whose deployment or end is overdue are given up; slots that nothing has needed for
    ///    a while, and those that nothing may need again, are given back.
    /// 2. The checkpoint coordinator looks at the tasks and the time.
    /// 3. A job that is to end, and all whose tasks have ended, ends; but not while a manifest is
    ///    being written.
    /// 4. A job all of whose tasks have finished has finished.
    /// 5. A change of parallelism goes on, and the move of tasks away from TaskManagers that are
    ///    about to go.
    /// 6. Regions that wait are deployed when their slots are there; never while a manifest is
    ///    being written: they restart from the newest checkpoint, and which one that is must be
    ///    known.
    pub(super) fn progress(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        self.look_for_overdue(now, actions);
        let mut idle = self.scheduler.release_idle(&self.graph, now.elapsed);
        idle.extend(self.scheduler.release_leaving(&self.graph));
        if !idle.is_empty() {
            actions.push(JobAction::ReleaseSlots(idle));
        }
        self.coordinate(CheckpointEvent::Tick, now, actions);
        if self.coordinator.is_publishing() {
            return;
        }
        let ended = self.graph.all(ExecutionState::is_terminal);
        if let Some(end) = self.end.clone() {
            if ended {
                let (status, error) = match end {
                    End::Canceled => (JobStatus::Canceled, None),
                    End::Failed(cause) => (JobStatus::Failed, Some(cause)),
                };
                self.finish(status, error, now, actions);
            }
            return;
        }
        if self.scheduler.all_deployed() && self.graph.all(|s| s == ExecutionState::Finished) {
            self.finish(JobStatus::Finished, None, now, actions);
            return;
        }
        self.go_on_rescaling(now, actions);
        self.go_on_relocating(now, actions);
        if !self.is_rescaling() {
            self.schedule(now, actions);
        }
    }

    fn schedule(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        if self.graph.status == JobStatus::Initializing {
            self.transition(JobStatus::Created, now, actions);
        }
        match self.scheduler.step(&self.graph, now.elapsed) {
            Step::Nothing => {}
            Step::Request(demand) => {
                let waiting =
                    self.graph.tasks().filter(|(_, e)| e.state == ExecutionState::Created);
                let waiting: Vec<TaskIndex> = waiting.map(|(task, _)| task).collect();
                for task in waiting {
                    self.graph.execution_mut(task).advance(ExecutionState::Scheduled, now);
                }
                actions.push(demand.into_action(None));
            }
            Step::Deploy(regions) => self.deploy(&regions, now, actions),
        }
        if self.scheduler.all_deployed() {
            self.transition(JobStatus::Running, now, actions);
        }
    }

    /// Deploys all tasks of these regions, with new attempts where there were some before.
    fn deploy(&mut self, regions: &[usize], now: Moment, actions: &mut Vec<JobAction>) {
        let of_region = |region: &usize| self.graph.regions().list[*region].tasks.clone();
        let tasks: Vec<TaskIndex> = regions.iter().flat_map(of_region).collect();
        let restored_from = self.restore_point().map(|checkpoint| checkpoint.id);
        for task in &tasks {
            self.graph.new_attempt(*task, now);
            let slot = self.scheduler.slot(*task).cloned();
            let execution = self.graph.execution_mut(*task);
            execution.slot = slot;
            execution.restored_from = restored_from;
            execution.advance(ExecutionState::Scheduled, now);
            execution.advance(ExecutionState::Deploying, now);
            execution.correspondence.deployed = Some(now.elapsed);
        }
        regions.iter().for_each(|region| self.scheduler.deployed(*region));
        if restored_from.is_some() {
            self.coordinator.restored(now);
        }
        let (count, restored) = (tasks.len(), restored_from);
        actions.push(JobAction::Observe(Observation::Deployed { tasks: count, restored }));
        self.send_deployments(&tasks, actions);
    }

    /// The checkpoint that tasks deployed now begin with.
    pub(super) fn restore_point(&self) -> Option<&CompletedCheckpoint> {
        self.coordinator.latest()
    }

    pub(super) fn transition(&mut self, to: JobStatus, now: Moment, actions: &mut Vec<JobAction>) {
        if self.graph.transition(to, now) {
            actions.push(JobAction::Observe(Observation::Status(to)));
        }
    }

    fn finish(
        &mut self,
        status: JobStatus,
        error: Option<FailureInfo>,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        self.transition(status, now, actions);
        let (open_request, slots) = self.scheduler.release_all();
        if open_request {
            actions.push(JobAction::WithdrawRequest);
        }
        if !slots.is_empty() {
            actions.push(JobAction::ReleaseSlots(slots));
        }
        self.coordinator.job_ended(status);
        let finished = status == JobStatus::Finished;
        let result = JobResult {
            job: self.information.job_id,
            name: self.information.job_name.clone(),
            status,
            accumulators: if finished { self.accumulators() } else { Vec::new() },
            error,
            runtime_ms: now.wall_ms - self.started.wall_ms,
            ended_ms: now.wall_ms,
            restarts: self.restarts,
        };
        self.result = Some(result.clone());
        actions.push(JobAction::Ended(Box::new(result)));
    }

    /// Passes an event on to the checkpoint coordinator and its decisions on.
    pub(super) fn coordinate(
        &mut self,
        event: CheckpointEvent,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        let ending = self.end.is_some();
        for action in self.coordinator.handle(event, &self.graph, now) {
            match action {
                CheckpointAction::FailJob(_) if ending => {}
                CheckpointAction::FailJob(message) => self.failed_globally(message, now, actions),
                CheckpointAction::CancelJob => self.cancel(now, actions),
                other => self.perform(other, actions),
            }
        }
    }

    fn perform(&self, action: CheckpointAction, actions: &mut Vec<JobAction>) {
        match action {
            CheckpointAction::Trigger { task, barrier } => {
                let execution = self.graph.execution(task);
                if let Some(task_manager) = execution.deployed_on().cloned() {
                    let attempt = execution.id;
                    let trigger = JobAction::TriggerCheckpoint { task_manager, attempt, barrier };
                    actions.push(trigger);
                }
            }
            CheckpointAction::EndInput(task) => {
                let execution = self.graph.execution(task);
                if let Some(task_manager) = execution.deployed_on().cloned() {
                    let attempt = execution.id;
                    actions.push(JobAction::EndInput { task_manager, attempt });
                }
            }
            CheckpointAction::Publish(mut complete) => {
                complete.requirements = self.requirements_of(&complete);
                actions.push(JobAction::Publish(complete));
            }
            CheckpointAction::NotifyCompleted(checkpoint) => {
                actions.push(JobAction::Observe(Observation::CheckpointCompleted(checkpoint)));
                let of = |tm| JobAction::NotifyCompleted(tm, checkpoint);
                actions.extend(self.task_managers().into_iter().map(of));
            }
            CheckpointAction::RewriteRuns { checkpoint, objects } => {
                let of = |task_manager| {
                    let objects = objects.clone();
                    JobAction::RewriteRuns { task_manager, checkpoint, objects }
                };
                actions.extend(self.task_managers().into_iter().map(of));
            }
            CheckpointAction::NotifyAborted(checkpoint) => {
                let of = |tm| JobAction::NotifyAborted(tm, checkpoint);
                actions.extend(self.task_managers().into_iter().map(of));
            }
            CheckpointAction::Discard(checkpoint) => {
                let kept = self.coordinator.retained();
                let kept = kept.flat_map(|c| c.objects()).map(str::to_owned);
                let kept_objects = kept.collect::<BTreeSet<_>>().into_iter().collect();
                actions.push(JobAction::DiscardCheckpoint { checkpoint, kept_objects });
            }
            CheckpointAction::DeleteObjects(objects) => {
                actions.push(JobAction::DeleteObjects(objects));
            }
            CheckpointAction::DeleteFromSavepoint(directory, objects) => {
                actions.push(JobAction::DeleteFromSavepoint(directory, objects));
            }
            CheckpointAction::DeleteAbandoned(abandoned) => {
                actions.push(JobAction::DeleteAbandoned(abandoned));
            }
            CheckpointAction::SavepointCompleted(checkpoint) => {
                actions.push(JobAction::Observe(Observation::SavepointCompleted(checkpoint)));
            }
            CheckpointAction::Failed { checkpoint, cause } => {
                actions
                    .push(JobAction::Observe(Observation::CheckpointFailed { checkpoint, cause }));
            }
            // Handled by the caller: they restart or end tasks.
            CheckpointAction::FailJob(_) | CheckpointAction::CancelJob => {}
        }
    }

    fn task_managers(&self) -> BTreeSet<TaskManagerId> {
        self.live_attempts().map(|(task_manager, _)| task_manager.clone()).collect()
    }
}
