//! Where a task's elements come from: the gate's contract as the task needs it, so that tests can
//! give another. Not here: merging channels, which is the gate's.

use std::time::Duration;

use thalweg_core::ids::CheckpointId;
use thalweg_network::{GateEvent, InputGate, NetworkError};

/// What has come in, or gone out, since the task began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IoCounters {
    /// Rows.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Batches as they travelled.
    pub batches: u64,
}

/// The inputs of one task. No call waits.
pub trait TaskInput: Send {
    /// What comes next; [`GateEvent::Empty`] when there is nothing, and then the task is woken
    /// once there is.
    ///
    /// # Errors
    /// A channel is broken.
    fn poll(&mut self, now: Duration) -> Result<GateEvent, NetworkError>;

    /// Whether anything can come in at this input of the head operator. Where rows go to some
    /// subtasks only, others have no channels.
    fn has_channels(&self, input: usize) -> bool {
        let _ = input;
        true
    }

    /// Gives up the alignment of this checkpoint and of earlier ones.
    fn abort_checkpoint(&mut self, checkpoint: CheckpointId);

    /// What was handed out so far.
    fn counters(&self) -> IoCounters;

    /// Bytes that wait.
    fn queued_bytes(&self) -> usize;
}

impl TaskInput for InputGate {
    fn poll(&mut self, now: Duration) -> Result<GateEvent, NetworkError> {
        InputGate::poll(self, now)
    }

    fn has_channels(&self, input: usize) -> bool {
        InputGate::has_channels(self, input)
    }

    fn abort_checkpoint(&mut self, checkpoint: CheckpointId) {
        InputGate::abort_checkpoint(self, checkpoint);
    }

    fn counters(&self) -> IoCounters {
        let counters = InputGate::counters(self);
        IoCounters {
            records: counters.records,
            bytes: counters.bytes,
            batches: counters.batches_received,
        }
    }

    fn queued_bytes(&self) -> usize {
        InputGate::queued_bytes(self)
    }
}
