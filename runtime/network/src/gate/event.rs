//! What an input gate hands to its task.

use thalweg_core::Batch;
use thalweg_core::element::{Barrier, LatencyMarker, Watermark};
use thalweg_core::ids::CheckpointId;

use super::AlignmentStats;

/// One thing that has come in.
#[derive(Debug, Clone)]
pub enum GateEvent {
    /// Rows, never none.
    Batch {
        /// The logical input.
        input: u8,
        /// The rows.
        batch: Batch,
    },
    /// The input's watermark has risen.
    Watermark {
        /// The logical input.
        input: u8,
        /// The new watermark, higher than every one before.
        watermark: Watermark,
    },
    /// All unfinished channels of the input are idle.
    Idle {
        /// The logical input.
        input: u8,
    },
    /// A channel of the input, which was idle, is active again.
    Active {
        /// The logical input.
        input: u8,
    },
    /// All unfinished channels of all inputs have delivered the barrier, and nothing that came
    /// behind it on any of them was handed out.
    BarrierAligned {
        /// The barrier.
        barrier: Barrier,
        /// What the alignment cost.
        alignment: AlignmentStats,
    },
    /// A newer barrier came while this checkpoint's was being aligned: it is given up.
    BarrierAborted {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// A probe.
    LatencyMarker {
        /// The logical input.
        input: u8,
        /// The probe.
        marker: LatencyMarker,
    },
    /// All channels of the input have ended.
    EndOfInput {
        /// The logical input.
        input: u8,
    },
    /// All inputs have ended and everything was handed out. Every later poll gives this again.
    Finished,
    /// Nothing is there.
    Empty,
}
