//! What a source remembers of a split in a snapshot, and how it is written and read back. Finished
//! splits aren't remembered: a source that is restored reads what it remembers and nothing else.

use thalweg_core::Record;

/// The name of the list state.
pub(super) const STATE: &str = "splits";

/// A split that isn't read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Record)]
#[record(crate = "thalweg_core")]
pub(super) struct SplitState {
    pub(super) id: String,
    pub(super) weight: u64,
    pub(super) bytes: Vec<u8>,
    /// Where to go on; none: it wasn't opened yet.
    pub(super) position: Option<Vec<u8>>,
    /// Of the rows before the position; `i64::MIN`: none had one.
    pub(super) highest_timestamp: i64,
}

impl From<super::SourceSplit> for SplitState {
    fn from(split: super::SourceSplit) -> Self {
        let super::SourceSplit { id, weight, bytes } = split;
        Self { id, weight, bytes, position: None, highest_timestamp: i64::MIN }
    }
}
