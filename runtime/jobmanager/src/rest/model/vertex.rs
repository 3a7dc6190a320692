//! A vertex of the ExecutionGraph and its subtasks.

use std::collections::BTreeMap;

use thalweg_core::job_graph::DeliveryGuarantee;
use thalweg_core::status::ExecutionState;

use super::{AccumulatorFacts, Metrics};

/// What is known of a vertex: a chain of operators.
#[derive(Debug, Clone, Default)]
pub struct VertexFacts {
    /// The vertex' id.
    pub id: String,
    /// Its operators' names, joined by ` -> `.
    pub name: String,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// How many it can ever have.
    pub max_parallelism: u32,
    /// The id of its slot sharing group.
    pub slot_sharing_group_id: String,
    /// The current attempt of each subtask, by index.
    pub subtasks: Vec<SubtaskFacts>,
    /// Where its records come from.
    pub inputs: Vec<InputFacts>,
    /// Its operators, each after the one it is chained to.
    pub operators: Vec<OperatorFacts>,
    /// Accumulators over its subtasks.
    pub accumulators: Vec<AccumulatorFacts>,
    /// Metrics of its operators' coordinators on the JobManager.
    pub coordinator_metrics: Metrics,
}

/// An edge into a vertex.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputFacts {
    /// The vertex at the other end.
    pub vertex_id: String,
    /// How records are spread, as Flink names it: `FORWARD`, `HASH`, `REBALANCE`, ...
    pub ship_strategy: String,
    /// How results are exchanged, as Flink names it: `pipelined_bounded`, `blocking`, ...
    pub exchange: String,
}

/// An operator in a chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorFacts {
    /// The operator's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it does, for people; empty means its name.
    pub description: String,
    /// What it promises, when it is a source or a sink.
    pub guarantee: Option<DeliveryGuarantee>,
    /// The place in the chain of the operator that feeds it; none for the chain's head.
    pub chained_to: Option<usize>,
}

/// The current attempt of one subtask.
#[derive(Debug, Clone)]
pub struct SubtaskFacts {
    /// The subtask's index.
    pub index: u32,
    /// Which attempt this is, from 0.
    pub attempt: u32,
    /// The attempt's id.
    pub attempt_id: String,
    /// The state it is in.
    pub state: ExecutionState,
    /// The TaskManager it was given to.
    pub task_manager_id: Option<String>,
    /// Where that is, `host:port` (port -1 within one process).
    pub endpoint: Option<String>,
    /// When each state was entered.
    pub timestamps: BTreeMap<ExecutionState, i64>,
    /// Its metrics: the task's by their name, an operator's by
    /// [`operator_metric_name`](super::operator_metric_name). Of an ended attempt: the last ones.
    pub metrics: Metrics,
}

impl SubtaskFacts {
    /// When it was sent to its TaskManager.
    pub fn start_ms(&self) -> Option<i64> {
        self.timestamps.get(&ExecutionState::Deploying).copied()
    }

    /// When it ended.
    pub fn end_ms(&self) -> Option<i64> {
        self.timestamps.get(&self.state).copied().filter(|_| self.state.is_terminal())
    }

    /// How long it has been in each state that isn't an end, in the order of their beginning.
    pub fn state_durations(&self, now_ms: i64) -> Vec<(ExecutionState, i64)> {
        let mut entered: Vec<_> = self.timestamps.iter().map(|(&state, &at)| (at, state)).collect();
        entered.sort_unstable();
        let left = entered.iter().skip(1).map(|&(at, _)| at).chain([now_ms]);
        let spans = entered.iter().zip(left).filter(|((_, state), _)| !state.is_terminal());
        spans.map(|(&(at, state), left)| (state, (left - at).max(0))).collect()
    }
}
