//! Takes in what TaskManagers say about executions, however late, repeated or incomplete.

use std::time::Duration;

use thalweg_core::ids::{ExecutionAttemptId, TaskManagerId};
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{ExecutionReport, FailureInfo, FailureKind};

use super::execution_graph::{Execution, TaskIndex};
use super::message::JobAction;
use super::{JobMaster, deployment};
use crate::moment::Moment;

/// Heartbeats that don't list a deployed execution before its deployment is sent again.
const MISSING_HEARTBEATS_MAX: u32 = 2;
/// How long a deployment may stay unconfirmed.
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a task may take to end after it was told to, before its process is given up.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(180);

impl JobMaster {
    /// One report:
    ///
    /// 1. Of an attempt that isn't current, or from a TaskManager that it isn't on: nothing.
    /// 2. States only advance ([`ExecutionState::consolidate`]); so do the other facts.
    /// 3. A task that ends as CANCELED, or is about to, without having been told to has failed.
    pub(super) fn execution_changed(
        &mut self,
        task_manager: &TaskManagerId,
        sequence: u64,
        report: ExecutionReport,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        let Some(task) = self.graph.find(report.attempt) else { return };
        let execution = self.graph.execution_mut(task);
        if execution.deployed_on() != Some(task_manager) || execution.state.is_terminal() {
            return;
        }
        let listed = &mut execution.correspondence.listed;
        *listed = (*listed).max(Some(sequence));
        execution.correspondence.missing_heartbeats = 0;
        execution.input_ended |= report.input_ended;
        execution.checkpoint_seen = execution.checkpoint_seen.max(report.checkpoint);
        let told = execution.state == ExecutionState::Canceling;
        match report.state {
            ExecutionState::Failed => {
                let failure = report.failure.unwrap_or_else(|| FailureInfo {
                    operator: None,
                    message: "the TaskManager gave no reason".to_owned(),
                    kind: FailureKind::Environment,
                });
                self.task_failed(task, failure, now, actions);
            }
            ExecutionState::Canceling if !told => self.task_ends_unasked(task, now, actions),
            ExecutionState::Canceled if !told => {
                let message = "the task was cancelled by its TaskManager".to_owned();
                self.task_lost(task, message, now, actions);
            }
            ExecutionState::Finished => {
                execution.accumulators = report.accumulators;
                execution.input_ended = true;
                execution.advance(ExecutionState::Finished, now);
            }
            state => {
                execution.advance(state, now);
            }
        }
    }

    /// All reports of a TaskManager:
    ///
    /// 1. Each is taken in as above.
    /// 2. One that an earlier message listed and this one doesn't has been lost.
    /// 3. A deployment that isn't listed in two heartbeats is sent again; if it isn't confirmed in
    ///    a minute the task fails.
    /// 4. One that is being cancelled is gone once the TaskManager has acted on a heartbeat that
    ///    didn't want it, and doesn't list it: then it can't appear later either.
    pub(super) fn heartbeat(
        &mut self,
        task_manager: &TaskManagerId,
        (sequence, heartbeat_seen): (u64, u64),
        reports: Vec<ExecutionReport>,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        let mut listed: Vec<ExecutionAttemptId> = reports.iter().map(|r| r.attempt).collect();
        listed.sort_unstable();
        let job = self.information.job_id;
        for report in reports.into_iter().filter(|report| report.job == job) {
            self.execution_changed(task_manager, sequence, report, now, actions);
        }
        let mut again = Vec::new();
        for task in self.deployed_on(task_manager) {
            let execution = self.graph.execution_mut(task);
            if listed.binary_search(&execution.id).is_ok() {
                continue;
            }
            if execution.state == ExecutionState::Canceling {
                let unexpected = execution.correspondence.unexpected_since;
                if unexpected.is_some_and(|since| heartbeat_seen >= since) {
                    execution.advance(ExecutionState::Canceled, now);
                }
            } else if let Some(listed) = execution.correspondence.listed {
                if sequence <= listed {
                    continue;
                }
                let message = format!("TaskManager {task_manager} doesn't know the task any more");
                self.task_lost(task, message, now, actions);
            } else {
                execution.correspondence.missing_heartbeats += 1;
                if execution.correspondence.missing_heartbeats >= MISSING_HEARTBEATS_MAX {
                    execution.correspondence.missing_heartbeats = 0;
                    again.push(task);
                }
            }
        }
        self.send_deployments(&again, actions);
    }

    /// A TaskManager is gone, and all its executions with it.
    pub(super) fn task_manager_lost(
        &mut self,
        id: &TaskManagerId,
        cause: &str,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        self.scheduler.lost(id);
        let mut failures = Vec::new();
        // All are marked before any failure is answered: nobody is there to be told to end.
        for task in self.deployed_on(id) {
            let execution = self.graph.execution_mut(task);
            if execution.state == ExecutionState::Canceling {
                execution.advance(ExecutionState::Canceled, now);
                continue;
            }
            let (message, kind) = (cause.to_owned(), FailureKind::Environment);
            let info = FailureInfo { operator: None, message, kind };
            failures.extend(self.mark_failed(task, info, now, actions).map(|f| (task, f)));
        }
        for (task, failure) in failures {
            self.answer(task, failure, now, actions);
        }
        self.has_left(id);
    }

    /// A deployment that can't be sent will not be better the next time.
    pub(super) fn deployment_refused(
        &mut self,
        attempts: &[ExecutionAttemptId],
        cause: &str,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        let tasks: Vec<_> =
            attempts.iter().filter_map(|attempt| self.graph.find(*attempt)).collect();
        for task in tasks {
            let failure = FailureInfo {
                operator: None,
                message: format!("the task can't be deployed: {cause}"),
                kind: FailureKind::Deployment,
            };
            self.task_failed(task, failure, now, actions);
        }
    }

    /// Tasks whose deployment or end is overdue, and what follows.
    pub(super) fn look_for_overdue(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        let tasks: Vec<TaskIndex> = self.graph.tasks().map(|(task, _)| task).collect();
        for task in tasks {
            let execution = self.graph.execution(task);
            if overdue_at(execution).is_none_or(|at| now.elapsed < at) {
                continue;
            }
            let Some(task_manager) = execution.deployed_on().cloned() else { continue };
            if execution.state == ExecutionState::Canceling {
                let name = self.graph.task_name(task);
                let cause = format!("task {name} didn't end within {CANCEL_TIMEOUT:?}");
                actions.push(JobAction::GiveUpTaskManager { task_manager, cause });
            } else {
                let message = format!(
                    "TaskManager {task_manager} hasn't confirmed the deployment within \
                     {DEPLOY_TIMEOUT:?}"
                );
                self.task_lost(task, message, now, actions);
            }
        }
    }

    /// When the next of them is overdue.
    pub(super) fn reconcile_deadline(&self) -> Option<Duration> {
        self.graph.tasks().filter_map(|(_, execution)| overdue_at(execution)).min()
    }

    /// Executions on a TaskManager that haven't ended.
    fn deployed_on(&self, id: &TaskManagerId) -> Vec<TaskIndex> {
        let there = self.graph.tasks().filter(|(_, execution)| {
            execution.deployed_on() == Some(id) && !execution.state.is_terminal()
        });
        there.map(|(task, _)| task).collect()
    }

    /// Sends the deployments of these tasks, one message for each TaskManager.
    pub(super) fn send_deployments(&self, tasks: &[TaskIndex], actions: &mut Vec<JobAction>) {
        let restore = self.restore_point();
        let mut by_task_manager = std::collections::BTreeMap::<TaskManagerId, Vec<_>>::new();
        for task in tasks {
            let execution = self.graph.execution(*task);
            let Some(slot) = &execution.slot else { continue };
            let restore = restore.filter(|_| execution.restored_from.is_some());
            if let Some(task) = deployment::deployment(&self.graph, *task, &self.sources, restore) {
                by_task_manager.entry(slot.task_manager.clone()).or_default().push(task);
            }
        }
        for (task_manager, tasks) in by_task_manager {
            actions.push(JobAction::Deploy { task_manager, tasks });
        }
    }
}

fn overdue_at(execution: &Execution) -> Option<Duration> {
    let correspondence = &execution.correspondence;
    if execution.state.is_terminal() {
        return None;
    }
    match correspondence.cancelled {
        Some(at) => Some(at + CANCEL_TIMEOUT),
        None if correspondence.listed.is_none() => {
            correspondence.deployed.map(|at| at + DEPLOY_TIMEOUT)
        }
        None => None,
    }
}
