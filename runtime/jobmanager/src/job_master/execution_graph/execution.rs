//! One attempt to run one subtask: its state, its place, what it reported.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_core::ids::{AllocationId, CheckpointId, ExecutionAttemptId, TaskManagerId};
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{Accumulator, FailureInfo};

use crate::moment::Moment;

/// A slot that the job holds, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedSlot {
    /// The job's claim.
    pub allocation: AllocationId,
    /// The TaskManager.
    pub task_manager: TaskManagerId,
    /// The slot on it, from 0.
    pub slot: u32,
    /// The TaskManager's data address.
    pub data_address: String,
}

/// What passed between JobManager and TaskManager about an execution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Correspondence {
    /// When the deployment was sent last.
    pub deployed: Option<Duration>,
    /// Number of the TaskManager's newest message that listed it. Messages overtake each other: one
    /// from before that says nothing about whether it is still there.
    pub listed: Option<u64>,
    /// Heartbeats since the deployment was sent last that didn't list it.
    pub missing_heartbeats: u32,
    /// Number of the first heartbeat to the TaskManager that didn't expect it any more.
    pub unexpected_since: Option<u64>,
    /// When it was first told to end.
    pub cancelled: Option<Duration>,
}

/// One attempt to run one subtask.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionAttemptId,
    /// Its number, from 0.
    pub number: u32,
    /// How far it is.
    pub state: ExecutionState,
    /// When it entered each state, in ms since the epoch.
    pub timestamps: BTreeMap<ExecutionState, i64>,
    /// Where it runs; None until slots were given.
    pub slot: Option<AssignedSlot>,
    /// The checkpoint that it was restored from.
    pub restored_from: Option<CheckpointId>,
    /// It has processed all its input.
    pub input_ended: bool,
    /// The highest checkpoint that it has seen.
    pub checkpoint_seen: CheckpointId,
    /// Why it failed.
    pub failure: Option<FailureInfo>,
    /// What its operators return; in state FINISHED.
    pub accumulators: Vec<Accumulator>,
    /// What was said about it.
    pub correspondence: Correspondence,
}

impl Execution {
    /// A new one, in state CREATED.
    pub fn new(id: ExecutionAttemptId, number: u32, now: Moment) -> Self {
        Self {
            id,
            number,
            state: ExecutionState::Created,
            timestamps: BTreeMap::from([(ExecutionState::Created, now.wall_ms)]),
            slot: None,
            restored_from: None,
            input_ended: false,
            checkpoint_seen: CheckpointId(0),
            failure: None,
            accumulators: Vec::new(),
            correspondence: Correspondence::default(),
        }
    }

    /// Moves on to `next`, if that can follow; tells whether anything changed.
    pub fn advance(&mut self, next: ExecutionState, now: Moment) -> bool {
        let state = self.state.consolidate(next);
        let changed = state != self.state;
        if changed {
            self.state = state;
            self.timestamps.insert(state, now.wall_ms);
        }
        changed
    }

    /// The TaskManager that it was deployed to, if it was.
    pub fn deployed_on(&self) -> Option<&TaskManagerId> {
        self.correspondence.deployed?;
        self.slot.as_ref().map(|slot| &slot.task_manager)
    }

    /// Whether it is deployed and neither ending nor ended.
    pub fn is_wanted(&self) -> bool {
        self.correspondence.deployed.is_some()
            && !self.state.is_terminal()
            && self.state != ExecutionState::Canceling
    }
}
