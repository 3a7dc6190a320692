//! What a subtask hands over when its snapshot is taken. Each kind of state adds its rows to the
//! same [`RunWriter`]; this is the result.

use thalweg_core::key_group::KeyGroupRange;

use crate::run::{RunError, RunWriter};

/// The snapshot of one operator's subtask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSnapshot {
    /// The key groups that the subtask owned; `None` if the operator isn't keyed.
    pub key_groups: Option<KeyGroupRange>,
    /// The run.
    pub run: Vec<u8>,
}

impl OperatorSnapshot {
    /// The snapshot that was written to `writer`.
    ///
    /// # Errors
    /// As [`RunWriter::finish`].
    pub fn new(
        writer: RunWriter,
        key_groups: Option<KeyGroupRange>,
    ) -> Result<OperatorSnapshot, RunError> {
        Ok(OperatorSnapshot { key_groups, run: writer.finish()? })
    }
}
