//! What is done about failures: restart the region, or give the job up.

use std::time::Duration;

use thalweg_core::ids::ExecutionAttemptId;
use thalweg_core::status::{ExecutionState, JobStatus};
use thalweg_rpc::message::{FailureInfo, FailureKind};

use super::execution_graph::TaskIndex;
use super::failure_history::Failure;
use super::message::{JobAction, Observation};
use super::restart_strategy::RestartDecision;
use super::scheduler::RegionPhase;
use super::{End, JobMaster};
use crate::checkpoint_coordinator::CheckpointEvent;
use crate::moment::Moment;
use crate::resource_manager::RequestId;

impl JobMaster {
    /// A task was lost through no fault of its own.
    pub(super) fn task_lost(
        &mut self,
        task: TaskIndex,
        message: String,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        let failure = FailureInfo { operator: None, message, kind: FailureKind::Environment };
        self.task_failed(task, failure, now, actions);
    }

    /// A task has failed: it is marked, then the failure is answered.
    pub(super) fn task_failed(
        &mut self,
        task: TaskIndex,
        info: FailureInfo,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        if let Some(failure) = self.mark_failed(task, info, now, actions) {
            self.answer(task, failure, now, actions);
        }
    }

    /// Marks a task as failed. None if it had ended, or was being cancelled: then it has ended as
    /// it should, and that is all.
    pub(super) fn mark_failed(
        &mut self,
        task: TaskIndex,
        info: FailureInfo,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) -> Option<Failure> {
        let execution = self.graph.execution_mut(task);
        let was_cancelled = execution.state == ExecutionState::Canceling;
        if !execution.advance(ExecutionState::Failed, now) || was_cancelled {
            return None;
        }
        execution.failure = Some(info.clone());
        Some(self.failure_of(task, info, now, actions))
    }

    /// A TaskManager is ending a task by itself: it was told to end itself, or takes the task for
    /// an unwanted one. That is a failure, but the attempt lives until it is known to have ended.
    pub(super) fn task_ends_unasked(
        &mut self,
        task: TaskIndex,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        let message = "the task is being cancelled by its TaskManager".to_owned();
        let info = FailureInfo { operator: None, message, kind: FailureKind::Environment };
        let failure = self.failure_of(task, info, now, actions);
        self.answer(task, failure, now, actions);
    }

    fn failure_of(
        &self,
        task: TaskIndex,
        info: FailureInfo,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) -> Failure {
        let name = self.graph.task_name(task);
        let slot = self.graph.execution(task).slot.clone();
        let observation = Observation::TaskFailed { task: name.clone(), failure: info.clone() };
        actions.push(JobAction::Observe(observation));
        Failure {
            info,
            at_ms: now.wall_ms,
            task: Some(name),
            task_manager: slot.as_ref().map(|slot| slot.task_manager.clone()),
            address: slot.map(|slot| slot.data_address),
            concurrent: Vec::new(),
        }
    }

    /// Answers the failure of a task:
    ///
    /// 1. When the job is ending anyway, or its region is already being restarted, the failure is
    ///    only remembered, beside the one that is being answered.
    /// 2. A deployment that can never work fails the job at once.
    /// 3. A task that went with its TaskManager, which was about to go, restarts with its region at
    ///    once: that was to be expected, and doesn't count. Nor does a lost connection of its
    ///    region: that TaskManager's end may be known by it first. Not in a job that may never
    ///    restart. A region is excused once for each TaskManager that goes: nothing of it is there
    ///    afterwards.
    /// 4. Otherwise the restart strategy is asked: the region restarts after its delay, or the job
    ///    fails.
    pub(super) fn answer(
        &mut self,
        task: TaskIndex,
        failure: Failure,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        let region = self.graph.regions().of_task(task);
        let answered = matches!(self.scheduler.phase(region), RegionPhase::Waiting { .. });
        if self.end.is_some() || answered {
            self.failures.add_concurrent(failure);
            return;
        }
        let info = failure.info.clone();
        self.failures.add(failure);
        match info.kind {
            FailureKind::Deployment => self.fail(info, now, actions),
            kind if self.goes_with_leaving(task, kind) && !self.may_not_restart() => {
                self.restart_after(Duration::ZERO, &[region], now, actions);
            }
            FailureKind::User | FailureKind::Environment | FailureKind::Connection => {
                self.restart(&[region], info, now, actions);
            }
        }
    }

    /// Whether such a failure of the task follows from a TaskManager's being about to go.
    fn goes_with_leaving(&self, task: TaskIndex, kind: FailureKind) -> bool {
        match kind {
            FailureKind::User | FailureKind::Deployment => false,
            FailureKind::Environment => self.is_on_leaving(task),
            FailureKind::Connection => {
                let regions = self.graph.regions();
                let region = &regions.list[regions.of_task(task)];
                region.tasks.iter().any(|task| self.is_on_leaving(*task))
            }
        }
    }

    /// The job as a whole has failed: all regions restart, or the job fails.
    pub(super) fn failed_globally(
        &mut self,
        message: String,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        if self.end.is_some() {
            return;
        }
        let failure = Failure::of_job(message, FailureKind::Environment, now.wall_ms);
        let info = failure.info.clone();
        self.failures.add(failure);
        let regions: Vec<usize> = (0..self.graph.regions().list.len()).collect();
        self.restart(&regions, info, now, actions);
    }

    fn restart(
        &mut self,
        regions: &[usize],
        cause: FailureInfo,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        match self.restart_strategy.failed(now.elapsed) {
            RestartDecision::Restart(delay) => self.restart_after(delay, regions, now, actions),
            RestartDecision::Fail => self.fail(cause, now, actions),
        }
    }

    fn restart_after(
        &mut self,
        delay: Duration,
        regions: &[usize],
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        self.restarts += 1;
        self.give_up_rescale("tasks failed before it", actions);
        self.give_up_relocation(actions);
        let mut tasks = Vec::new();
        for region in regions {
            self.scheduler.restart(*region, now.elapsed + delay);
            tasks.extend(self.graph.regions().list[*region].tasks.iter().copied());
        }
        actions.push(JobAction::Observe(Observation::Restarting { tasks: tasks.len(), delay }));
        self.end_tasks(&tasks, now, actions);
        self.coordinate(CheckpointEvent::Interrupted, now, actions);
        self.transition(JobStatus::Restarting, now, actions);
    }

    /// The job fails once all its tasks have ended.
    pub(super) fn fail(&mut self, cause: FailureInfo, now: Moment, actions: &mut Vec<JobAction>) {
        if self.end.is_none() {
            self.end = Some(End::Failed(cause));
            self.transition(JobStatus::Failing, now, actions);
            self.end_all(now, actions);
        }
    }

    /// The user wants the job to end.
    pub(super) fn cancel(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        if self.end.is_none() {
            self.end = Some(End::Canceled);
            self.transition(JobStatus::Cancelling, now, actions);
            self.end_all(now, actions);
        }
    }

    fn end_all(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        self.give_up_rescale("the job ends", actions);
        self.give_up_relocation(actions);
        let tasks: Vec<TaskIndex> = self.graph.tasks().map(|(task, _)| task).collect();
        self.end_tasks(&tasks, now, actions);
        self.coordinate(CheckpointEvent::Interrupted, now, actions);
    }

    /// Ends these tasks: those that were never deployed at once, others by telling them.
    pub(super) fn end_tasks(
        &mut self,
        tasks: &[TaskIndex],
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        for task in tasks {
            let execution = self.graph.execution_mut(*task);
            match execution.deployed_on().cloned() {
                None => {
                    execution.advance(ExecutionState::Canceled, now);
                }
                Some(task_manager) => {
                    if execution.advance(ExecutionState::Canceling, now) {
                        execution.correspondence.cancelled = Some(now.elapsed);
                        let attempt = execution.id;
                        actions.push(JobAction::CancelTask { task_manager, attempt });
                    }
                }
            }
        }
    }

    /// Slots couldn't be had. A job that has never run fails with the number that is missing; for
    /// one that has, it is a failure like any other: TaskManagers may come back.
    pub(super) fn slots_unavailable(
        &mut self,
        request: RequestId,
        message: String,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        if self.rescale_slots_unavailable(request, &message, actions)
            || self.relocation_slots_unavailable(request, &message)
        {
            return;
        }
        if !self.scheduler.request_failed(request) || self.end.is_some() {
            return;
        }
        if self.scheduler.started {
            self.failed_waiting(message, now, actions);
        } else {
            let failure = Failure::of_job(message, FailureKind::Environment, now.wall_ms);
            let info = failure.info.clone();
            self.failures.add(failure);
            self.fail(info, now, actions);
        }
    }

    /// Regions that wait couldn't get slots: they wait anew, or the job fails.
    fn failed_waiting(&mut self, message: String, now: Moment, actions: &mut Vec<JobAction>) {
        let failure = Failure::of_job(message, FailureKind::Environment, now.wall_ms);
        let info = failure.info.clone();
        self.failures.add(failure);
        let waiting: Vec<usize> = (0..self.graph.regions().list.len())
            .filter(|region| matches!(self.scheduler.phase(*region), RegionPhase::Waiting { .. }))
            .collect();
        self.restart(&waiting, info, now, actions);
    }

    /// The current attempts of tasks that are to be told something, with where they are.
    pub(super) fn live_attempts(
        &self,
    ) -> impl Iterator<Item = (&thalweg_core::ids::TaskManagerId, ExecutionAttemptId)> {
        self.graph.tasks().filter_map(|(_, execution)| {
            let task_manager = execution.deployed_on()?;
            (!execution.state.is_terminal()).then_some((task_manager, execution.id))
        })
    }
}
