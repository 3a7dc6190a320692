//! What flows along a stream: batches and the control elements between them.
//!
//! A batch never spans a control element: what was emitted before a watermark or a barrier stays
//! before it on every channel.

use std::sync::Arc;

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

/// A savepoint, as far as tasks have to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavepointTarget {
    /// The store that it is written to: its own directory, which holds nothing else.
    pub directory: String,
    /// The job stops with it: nothing is processed after its barrier, and once it is complete
    /// tasks commit and end without another word to their operators.
    pub stop: bool,
}

/// What is to be in a snapshot, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SnapshotKind {
    /// A part of a checkpoint: it may refer to what earlier ones wrote.
    #[default]
    Checkpoint,
    /// A part of a checkpoint that refers to nothing before it.
    FullCheckpoint,
    /// A part of a savepoint: full, in the savepoint's directory.
    Savepoint(Arc<SavepointTarget>),
}

impl SnapshotKind {
    /// Whether it refers to nothing that was written before it.
    pub fn is_full(&self) -> bool {
        !matches!(self, Self::Checkpoint)
    }

    /// Where it goes and what follows, when it is a savepoint's.
    pub fn savepoint(&self) -> Option<&SavepointTarget> {
        match self {
            Self::Savepoint(target) => Some(target),
            Self::Checkpoint | Self::FullCheckpoint => None,
        }
    }

    /// Whether the job stops with it.
    pub fn stops(&self) -> bool {
        self.savepoint().is_some_and(|target| target.stop)
    }
}

/// What a checkpoint asks of the tasks that its barrier passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// When the coordinator triggered it: milliseconds since 1970, for start delays.
    pub triggered_ms: i64,
    /// What is to be in the snapshots.
    pub kind: SnapshotKind,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
