//! Tasks are moved away from TaskManagers that are about to go and work on until then:
//!
//! 1. Slots elsewhere are asked for while the tasks run.
//! 2. A checkpoint is taken for it, where the job has a place for some.
//! 3. The regions of these tasks restart from it, in the new slots.
//!
//! That is no failure, and the restart strategy isn't asked. What fails meanwhile is answered as
//! ever, and the rest begins anew after that. A job that is to end with a savepoint isn't moved
//! before: the end takes the place of the move, unless that savepoint fails. Not here:
//! TaskManagers being told that nothing is left (`dispatcher`), and the slots
//! (`scheduler::leaving`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_core::ids::{TaskManagerId, TriggerId};
use thalweg_core::status::JobStatus;

use super::JobMaster;
use super::execution_graph::{Execution, TaskIndex};
use super::message::{JobAction, Observation};
use super::restart_strategy::RestartStrategy;
use crate::checkpoint_coordinator::{
    CheckpointEvent, CheckpointRequest, OperationState, RequestKind,
};
use crate::moment::Moment;
use crate::resource_manager::RequestId;

/// How long before a TaskManager goes its tasks are moved without their checkpoint, if that isn't
/// there: enough for them to end, so that they restart where their slots are.
const WITHOUT_CHECKPOINT: Duration = Duration::from_secs(5);

/// What becomes of what a job has on a TaskManager that is about to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relocating {
    /// The job has nothing there.
    NothingThere,
    /// It is going to be moved.
    UnderWay,
    /// It can't be: why, for people.
    Impossible(String),
}

#[derive(Debug, Clone, Copy)]
struct Leave {
    until: Duration,
    slots_until: Duration,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    NotBegun,
    /// Slots elsewhere were asked for.
    Slots(RequestId),
    /// The checkpoint is under way.
    Checkpoint(TriggerId),
}

/// What is to be moved, and how far that is.
#[derive(Debug, Clone, Default)]
pub(super) struct Relocation {
    leaving: BTreeMap<TaskManagerId, Leave>,
    phase: Phase,
    impossible: Option<String>,
    /// How many checkpoints were asked for.
    asked: u64,
    /// How often tasks were moved.
    done: u64,
}

impl JobMaster {
    /// How often tasks were moved away from TaskManagers that were about to go.
    pub fn relocations(&self) -> u64 {
        self.relocation.done
    }

    /// What becomes of what the job has on this TaskManager, which is about to go.
    pub fn relocation_from(&self, id: &TaskManagerId) -> Relocating {
        if self.result.is_some() || !self.scheduler.has_slots_on(id) {
            return Relocating::NothingThere;
        }
        match &self.relocation.impossible {
            Some(why) => Relocating::Impossible(why.clone()),
            None => Relocating::UnderWay,
        }
    }

    /// A TaskManager is about to go.
    pub(super) fn task_manager_leaving(
        &mut self,
        id: TaskManagerId,
        (until, slots_until): (Duration, Duration),
        actions: &mut Vec<JobAction>,
    ) {
        if self.scheduler.has_slots_on(&id) {
            // What was asked for doesn't include these.
            self.give_up_relocation(actions);
        }
        self.scheduler.leaving(id.clone());
        self.relocation.leaving.insert(id, Leave { until, slots_until });
        self.relocation.impossible = None;
    }

    /// A TaskManager is gone, as it was about to or not.
    pub(super) fn has_left(&mut self, id: &TaskManagerId) {
        self.relocation.leaving.remove(id);
        if self.relocation.leaving.is_empty() {
            self.relocation.impossible = None;
        }
    }

    /// Whether a task is on a TaskManager that is about to go.
    pub(super) fn is_on_leaving(&self, task: TaskIndex) -> bool {
        let slot = self.graph.execution(task).slot.as_ref();
        slot.is_some_and(|slot| self.relocation.leaving.contains_key(&slot.task_manager))
    }

    /// The tasks that are to be moved: not those that end by themselves now, with the checkpoint
    /// that was just published.
    fn to_be_moved(&self) -> Vec<TaskIndex> {
        if self.relocation.leaving.is_empty() {
            return Vec::new();
        }
        let stays = |execution: &Execution| {
            !execution.state.is_terminal() && !self.coordinator.finishes(execution.id)
        };
        let staying = self.graph.tasks().filter(|(_, execution)| stays(execution));
        staying.map(|(task, _)| task).filter(|task| self.is_on_leaving(*task)).collect()
    }

    /// The leaves that this job waits for: of TaskManagers on which it has slots.
    fn own_leaves(&self) -> impl Iterator<Item = &Leave> {
        let own = |(id, _): &(&TaskManagerId, &Leave)| self.scheduler.has_slots_on(id);
        self.relocation.leaving.iter().filter(own).map(|(_, leave)| leave)
    }

    /// Goes on with it:
    ///
    /// 1. It begins when all regions are deployed and nothing else is about to end their tasks.
    /// 2. A checkpoint that fails is tried again, as long as there is time.
    /// 3. Without a place for checkpoints, and where the time is over, tasks move without one; but
    ///    not where they may never restart: they would begin from nothing.
    /// 4. It is left to what ends the job with a savepoint: a restart would only delay that.
    pub(super) fn go_on_relocating(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        if self.to_be_moved().is_empty() || self.coordinator.is_stopping() {
            return self.give_up_relocation(actions);
        }
        match self.relocation.phase {
            Phase::NotBegun => self.begin_relocating(now, actions),
            Phase::Slots(_) => {}
            Phase::Checkpoint(id) => self.look_at_relocation_checkpoint(id, now, actions),
        }
    }

    fn begin_relocating(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        let busy = self.end.is_some()
            || self.rescale.is_some()
            || self.relocation.impossible.is_some()
            || !self.scheduler.all_deployed();
        if busy {
            return;
        }
        if self.may_not_restart() && self.information.checkpoint_directory.is_none() {
            let why = "its tasks can't be moved: the job takes no checkpoints, and may not restart";
            self.relocation.impossible = Some(why.to_owned());
            return;
        }
        match self.scheduler.replace_leaving() {
            None => self.take_relocation_checkpoint(now, actions),
            Some(demand) => {
                self.relocation.phase = Phase::Slots(demand.request);
                let until = self.own_leaves().map(|leave| leave.slots_until).min();
                actions.push(demand.into_action(until));
            }
        }
    }

    /// Whether the job fails with its first failure.
    pub(super) fn may_not_restart(&self) -> bool {
        matches!(self.restart_strategy, RestartStrategy::None)
    }

    /// Whether it waited for these slots, which were given.
    pub(super) fn relocation_slots_granted(
        &mut self,
        request: RequestId,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        if self.relocation.phase == Phase::Slots(request) {
            self.take_relocation_checkpoint(now, actions);
        }
    }

    /// Whether it waited for these slots, which can't be had: then its tasks stay where they are.
    pub(super) fn relocation_slots_unavailable(
        &mut self,
        request: RequestId,
        message: &str,
    ) -> bool {
        let waited = self.relocation.phase == Phase::Slots(request);
        if waited {
            self.scheduler.request_failed(request);
            self.relocation.phase = Phase::NotBegun;
            self.relocation.impossible = Some(format!("its tasks can't be moved: {message}"));
        }
        waited
    }

    fn take_relocation_checkpoint(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        if self.information.checkpoint_directory.is_none() {
            return self.relocate(now, actions);
        }
        self.relocation.asked += 1;
        let job = self.information.job_id;
        // Ids of tasks are other ones in every life of a JobManager.
        let life = self.graph.tasks().next().map(|(_, execution)| execution.id.to_string());
        let number = self.relocation.asked;
        let text = format!("{job}/relocation/{}/{number}", life.unwrap_or_default());
        let id = TriggerId::derive(&text);
        self.relocation.phase = Phase::Checkpoint(id);
        let kind = RequestKind::Checkpoint { full: false };
        self.coordinate(CheckpointEvent::Requested(CheckpointRequest { id, kind }), now, actions);
    }

    fn look_at_relocation_checkpoint(
        &mut self,
        id: TriggerId,
        now: Moment,
        actions: &mut Vec<JobAction>,
    ) {
        let state = self.coordinator.operations().get(id).map(|operation| operation.state.clone());
        let over = self.relocation_checkpoint_until().is_none_or(|until| now.elapsed >= until);
        match state {
            Some(OperationState::Completed { .. }) => self.relocate(now, actions),
            _ if over && self.may_not_restart() => {
                let why = "its tasks can't be moved: there is no checkpoint of them in time";
                self.relocation.impossible = Some(why.to_owned());
                self.give_up_relocation(actions);
            }
            _ if over => self.relocate(now, actions),
            Some(OperationState::InProgress) => {}
            Some(OperationState::Failed(_)) | None => self.take_relocation_checkpoint(now, actions),
        }
    }

    /// Ends the tasks and those that run with them; they begin again elsewhere.
    fn relocate(&mut self, now: Moment, actions: &mut Vec<JobAction>) {
        self.relocation.phase = Phase::NotBegun;
        let regions = self.graph.regions();
        let affected: BTreeSet<usize> =
            self.to_be_moved().into_iter().map(|task| regions.of_task(task)).collect();
        let tasks: Vec<TaskIndex> =
            affected.iter().flat_map(|region| regions.list[*region].tasks.clone()).collect();
        if tasks.is_empty() {
            return;
        }
        self.relocation.done += 1;
        affected.iter().for_each(|region| self.scheduler.restart(*region, now.elapsed));
        actions.push(JobAction::Observe(Observation::Relocating { tasks: tasks.len() }));
        self.end_tasks(&tasks, now, actions);
        self.coordinate(CheckpointEvent::Interrupted, now, actions);
        self.transition(JobStatus::Restarting, now, actions);
    }

    /// Leaves it for now: something else ends tasks. It begins anew, if there is still need then.
    pub(super) fn give_up_relocation(&mut self, actions: &mut Vec<JobAction>) {
        if let Phase::Slots(request) = std::mem::take(&mut self.relocation.phase)
            && self.scheduler.request_failed(request)
        {
            actions.push(JobAction::WithdrawRequest);
        }
    }

    /// When the wait for its checkpoint is over. While a manifest is being written nothing is
    /// decided.
    pub(super) fn relocation_deadline(&self) -> Option<Duration> {
        let waits = matches!(self.relocation.phase, Phase::Checkpoint(_));
        let waits = waits && !self.coordinator.is_publishing();
        self.relocation_checkpoint_until().filter(|_| waits)
    }

    fn relocation_checkpoint_until(&self) -> Option<Duration> {
        let until = self.own_leaves().map(|leave| leave.until).min()?;
        Some(until.saturating_sub(WITHOUT_CHECKPOINT))
    }
}
