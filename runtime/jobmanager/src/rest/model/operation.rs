//! What users have set going in a job: checkpoints, savepoints, a stop.

use thalweg_core::ids::TriggerId;

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationFacts {
    /// Its name, chosen by whoever asked for it.
    pub trigger: TriggerId,
    /// Whether a savepoint comes of it, else a checkpoint.
    pub is_savepoint: bool,
    /// How it went so far.
    pub outcome: OperationOutcome,
}

/// How an operation went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationOutcome {
    /// It waits, or is under way.
    InProgress,
    /// It is done.
    Completed {
        /// The checkpoint's id.
        checkpoint: u64,
        /// Where it is.
        location: String,
    },
    /// It won't be done.
    Failed {
        /// Why.
        message: String,
    },
}
