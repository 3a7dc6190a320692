//! A chain's snapshot: complete when the barrier has passed every operator.

use thalweg_core::element::Barrier;
use thalweg_core::ids::{CheckpointId, OperatorId};

use super::Chain;

/// A run that was written.
pub(super) struct Written {
    pub(super) run: Vec<u8>,
    pub(super) extends: Option<CheckpointId>,
}

/// What one operator subtask remembers, as one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSnapshot {
    /// The operator.
    pub operator: OperatorId,
    /// The run.
    pub run: Vec<u8>,
    /// Set for a delta: the runs that this checkpoint has of the subtask come before it.
    pub extends: Option<CheckpointId>,
}

/// What the operators of a chain remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainSnapshot {
    /// The barrier that asked for it.
    pub barrier: Barrier,
    /// One entry per operator.
    pub operators: Vec<OperatorSnapshot>,
    /// Whether all input had ended when it was taken.
    pub input_ended: bool,
}

impl Chain {
    pub(super) fn collect_snapshot(&mut self, at: usize, barrier: Barrier, written: Written) {
        let input_ended = self.ended;
        let snapshot = self.snapshot.take().filter(|s| s.barrier == barrier);
        let mut snapshot = snapshot.unwrap_or_else(|| {
            let operators = Vec::with_capacity(self.nodes.len());
            Box::new(ChainSnapshot { barrier, operators, input_ended })
        });
        let (operator, Written { run, extends }) = (self.nodes[at].id, written);
        snapshot.operators.push(OperatorSnapshot { operator, run, extends });
        self.nodes[at].report_state();
        self.snapshot = Some(snapshot);
    }

    /// The snapshot that has become complete, once.
    pub fn take_snapshot(&mut self) -> Option<ChainSnapshot> {
        let complete =
            self.snapshot.as_ref().is_some_and(|s| s.operators.len() == self.nodes.len());
        self.snapshot.take_if(|_| complete).map(|snapshot| *snapshot)
    }

    /// Tells the counters how much state is held.
    pub fn report_state(&self) {
        for node in &self.nodes {
            node.report_state();
        }
    }
}
