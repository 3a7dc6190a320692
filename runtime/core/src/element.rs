//! What flows along a stream: batches and the control elements between them.
//!
//! A batch never spans a control element: what was emitted before a watermark or a barrier stays
//! before it on every channel.

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::ids::CheckpointId;

/// A promise that no row with a timestamp at or below this comes any more. Milliseconds.
pub type Watermark = i64;

/// The watermark after the last row of bounded input.
pub const MAX_WATERMARK: Watermark = i64::MAX;
/// The watermark before anything is known.
pub const MIN_WATERMARK: Watermark = i64::MIN;

/// One element of a stream.
#[derive(Debug, Clone)]
pub enum StreamElement {
    /// Rows.
    Batch(Batch),
    /// Everything else.
    Control(Control),
}

/// What a checkpoint asks of the tasks that its barrier passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// When the coordinator triggered it: milliseconds since 1970, for start delays.
    pub triggered_ms: i64,
    /// The newest checkpoint that was published before it; 0 for none. What that one holds needn't
    /// be written again, and what later ones held must.
    pub published: CheckpointId,
}

/// A probe of the time that a row needs from its source to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyMarker {
    /// When the source sent it: milliseconds since 1970.
    pub sent_ms: i64,
    /// The subtask of the source that sent it.
    pub source_subtask: u32,
}

/// An element that isn't rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Event time has reached this.
    Watermark(Watermark),
    /// Take a snapshot.
    Barrier(Barrier),
    /// Nothing is expected here for a while: don't wait for this channel's watermark.
    Idle,
    /// This channel's watermark counts again.
    Active,
    /// A probe.
    LatencyMarker(LatencyMarker),
    /// Nothing follows, not even a barrier.
    EndOfInput,
}
