//! The alignment of barriers, as a pure state machine.
//!
//! 1. The first barrier of a checkpoint starts its alignment; each channel that delivers it is
//!    blocked (by the gate).
//! 2. It is complete when all unfinished channels have delivered it. A channel that ends meanwhile
//!    counts as one that has.
//! 3. A barrier of a newer checkpoint gives up the one that is being aligned: its coordinator has.
//! 4. A barrier of a checkpoint that was completed, given up or overtaken is ignored.

use std::time::Duration;

use thalweg_core::element::Barrier;
use thalweg_core::ids::CheckpointId;

/// What an alignment cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlignmentStats {
    /// When the first channel delivered the barrier, on the clock of `poll`'s `now`.
    pub started: Duration,
    /// From then until the last one did.
    pub duration: Duration,
    /// Bytes of rows handed out meanwhile.
    pub bytes: u64,
}

#[derive(Debug)]
struct Current {
    barrier: Barrier,
    delivered: usize,
    started: Duration,
    bytes: u64,
}

/// What a barrier means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Nothing.
    Ignored,
    /// An alignment starts. `aborted`: another one ends by this.
    First { aborted: Option<CheckpointId> },
    /// One more channel has delivered it.
    Further,
}

#[derive(Debug)]
pub(super) struct Alignment {
    unfinished: usize,
    current: Option<Current>,
    /// The newest checkpoint that is over, one way or the other.
    last: CheckpointId,
}

impl Alignment {
    pub(super) fn new(channels: usize) -> Self {
        Self { unfinished: channels, current: None, last: CheckpointId(0) }
    }

    /// A channel that isn't blocked delivers a barrier.
    pub(super) fn barrier(&mut self, barrier: Barrier, now: Duration) -> Arrival {
        let id = barrier.checkpoint;
        if id <= self.last {
            return Arrival::Ignored;
        }
        let mut aborted = None;
        if let Some(current) = &mut self.current {
            if id == current.barrier.checkpoint {
                current.delivered += 1;
                return Arrival::Further;
            }
            if id < current.barrier.checkpoint {
                return Arrival::Ignored;
            }
            aborted = Some(current.barrier.checkpoint);
            self.last = current.barrier.checkpoint;
        }
        self.current = Some(Current { barrier, delivered: 1, started: now, bytes: 0 });
        Arrival::First { aborted }
    }

    /// A channel that isn't blocked has ended.
    pub(super) fn channel_ended(&mut self) {
        self.unfinished -= 1;
    }

    /// Rows were handed out.
    pub(super) fn passed(&mut self, bytes: usize) {
        if let Some(current) = &mut self.current {
            current.bytes += bytes as u64;
        }
    }

    /// Ends the alignment if all channels have delivered.
    pub(super) fn complete(&mut self, now: Duration) -> Option<(Barrier, AlignmentStats)> {
        let current = self.current.take_if(|current| current.delivered >= self.unfinished)?;
        self.last = current.barrier.checkpoint;
        let duration = now.saturating_sub(current.started);
        let stats = AlignmentStats { started: current.started, duration, bytes: current.bytes };
        Some((current.barrier, stats))
    }

    /// Gives up the checkpoint, whether or not its barrier has come; true if it was being aligned.
    pub(super) fn abort(&mut self, checkpoint: CheckpointId) -> bool {
        self.last = self.last.max(checkpoint);
        self.current.take_if(|current| current.barrier.checkpoint <= checkpoint).is_some()
    }

    pub(super) fn started(&self) -> Option<Duration> {
        self.current.as_ref().map(|current| current.started)
    }
}
