//! A part of a source's input, as plain data: found on the JobManager, read by one subtask.

use serde::{Deserialize, Serialize};

/// A part of a source's input.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceSplit {
    /// Unique within the source and the same in every run: a path, a partition's name.
    pub id: String,
    /// How much it is to read, in the source's own unit, for an even distribution. 0: unknown.
    pub weight: u64,
    /// What the source needs to open it.
    pub bytes: Vec<u8>,
    /// How many splits the source has in all; set when they are distributed, 0 before. A subtask's
    /// share of the source's rate is its share of the splits.
    pub total: u32,
}
