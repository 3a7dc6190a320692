//! A chain's snapshot: begun when the barrier has passed every operator, complete when each one has
//! written its state, in slices. Not here: when a slice is due, and where runs go.

use thalweg_core::element::Barrier;
use thalweg_core::ids::{CheckpointId, OperatorId};
use thalweg_state::EncodingBudget;

use super::node::{Encoded, Node};
use super::{Chain, ChainError};

/// A run that was written.
pub(super) struct Written {
    pub(super) run: Vec<u8>,
    pub(super) taken: u64,
    pub(super) is_keyed: bool,
    pub(super) extends: Option<CheckpointId>,
}

/// A piece of a run, in its place after those before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPart {
    /// The operator.
    pub operator: OperatorId,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What one operator subtask remembers, as one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSnapshot {
    /// The operator.
    pub operator: OperatorId,
    /// The run, or its last part.
    pub run: Vec<u8>,
    /// How many bytes of it went ahead, in parts.
    pub ahead: u64,
    /// Whether all its states are keyed.
    pub is_keyed: bool,
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

/// A snapshot that isn't complete.
pub(super) struct SnapshotUnderWay {
    barrier: Barrier,
    input_ended: bool,
    /// Operators that the barrier has passed.
    passed: usize,
    /// Their runs, by operator.
    runs: Vec<Option<Written>>,
    /// Nobody wants it any more; the barrier passes the other operators all the same.
    aborted: bool,
}

/// A snapshot that was given up here, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSnapshot {
    /// Its checkpoint.
    pub checkpoint: CheckpointId,
    /// For people.
    pub reason: String,
}

impl Chain {
    /// The barrier has passed an operator, which may have written its run already.
    pub(super) fn barrier_passed(&mut self, at: usize, barrier: Barrier, run: Option<Written>) {
        let input_ended = self.ended;
        let before = self.snapshot.take().filter(|snapshot| snapshot.barrier == barrier);
        let mut snapshot = before.unwrap_or_else(|| {
            let runs = self.nodes.iter().map(|_| None).collect();
            let (passed, aborted) = (0, false);
            Box::new(SnapshotUnderWay { barrier, input_ended, passed, runs, aborted })
        });
        snapshot.passed += 1;
        snapshot.runs[at] = run;
        self.nodes[at].report_state();
        if snapshot.aborted {
            self.nodes[at].abort_snapshot();
        }
        if !(snapshot.aborted && snapshot.passed == self.nodes.len()) {
            self.snapshot = Some(snapshot);
        }
    }

    /// Whether a barrier is on its way through the operators.
    pub fn is_barrier_inside(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.passed < self.nodes.len())
    }

    /// Whether operators still have to write their states.
    pub fn is_encoding(&self) -> bool {
        self.nodes.iter().any(|node| node.is_encoding())
    }

    /// How far the states that aren't complete are written: about the part of their rows, from 0
    /// to 1; None if there are none.
    pub fn encoded_part(&self) -> Option<f64> {
        let rows = self.nodes.iter().filter_map(|node| node.encoded_rows());
        let (written, expected) = rows.reduce(|(a, b), (c, d)| (a + c, b + d))?;
        Some((written as f64 / expected.max(1) as f64).min(1.0))
    }

    /// Goes on with writing the states, in this slice.
    pub fn encode(&mut self, budget: &mut EncodingBudget) -> Result<(), ChainError> {
        for at in 0..self.nodes.len() {
            if !self.nodes[at].is_encoding() {
                continue;
            }
            self.current = at;
            match self.nodes[at].encode(budget)? {
                Encoded::Partly => return Ok(()),
                Encoded::Complete(written) => {
                    if let Some(snapshot) = &mut self.snapshot {
                        snapshot.runs[at] = Some(written);
                    }
                }
                Encoded::Refused(error) => {
                    let checkpoint = self.snapshot.as_ref().map(|s| s.barrier.checkpoint);
                    self.abort_snapshot();
                    let reason = error.to_string();
                    self.refused =
                        checkpoint.map(|checkpoint| RefusedSnapshot { checkpoint, reason });
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes what is finished of the run that is being written, if it's at least so many bytes.
    pub fn take_part(&mut self, at_least: usize) -> Option<RunPart> {
        let take = |node: &mut Node| {
            let bytes = node.take_part(at_least)?;
            Some(RunPart { operator: node.id, bytes })
        };
        self.nodes.iter_mut().find_map(take)
    }

    /// Gives up the snapshot that isn't complete; what it held counts as changed. Returns its
    /// checkpoint, if there was one.
    pub fn abort_snapshot(&mut self) -> Option<CheckpointId> {
        let snapshot = self.snapshot.as_mut().filter(|snapshot| !snapshot.aborted)?;
        let checkpoint = snapshot.barrier.checkpoint;
        snapshot.aborted = true;
        let passed = snapshot.passed == self.nodes.len();
        self.nodes.iter_mut().for_each(|node| node.abort_snapshot());
        self.snapshot.take_if(|_| passed);
        Some(checkpoint)
    }

    /// The checkpoint whose snapshot isn't complete.
    pub fn snapshot_under_way(&self) -> Option<CheckpointId> {
        let snapshot = self.snapshot.as_ref().filter(|snapshot| !snapshot.aborted);
        snapshot.map(|snapshot| snapshot.barrier.checkpoint)
    }

    /// The snapshot that couldn't be written, once. The state is as it was.
    pub fn take_refused(&mut self) -> Option<RefusedSnapshot> {
        self.refused.take()
    }

    /// The snapshot that has become complete, once.
    pub fn take_snapshot(&mut self) -> Option<ChainSnapshot> {
        let complete = self.snapshot.as_ref().is_some_and(|s| s.runs.iter().all(Option::is_some));
        let SnapshotUnderWay { barrier, input_ended, runs, .. } =
            *self.snapshot.take_if(|_| complete)?;
        let runs = self.nodes.iter().zip(runs.into_iter().flatten());
        let operators = runs.map(|(node, written)| OperatorSnapshot {
            operator: node.id,
            run: written.run,
            ahead: written.taken,
            is_keyed: written.is_keyed,
            extends: written.extends,
        });
        Some(ChainSnapshot { barrier, operators: operators.collect(), input_ended })
    }

    /// Tells the counters how much state is held.
    pub fn report_state(&self) {
        for node in &self.nodes {
            node.report_state();
        }
    }
}
