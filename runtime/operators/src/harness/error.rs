//! What a harness has to report.

use thalweg_core::batch::RowTypeMismatch;
use thalweg_state::{RunError, StateError};

use crate::contract::OperatorError;

/// An operator failed under test, broke the contract, or the harness was used wrongly.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// The operator failed.
    #[error("subtask {subtask}: {source}")]
    Operator {
        /// The subtask.
        subtask: usize,
        /// What went wrong.
        source: OperatorError,
    },
    /// The operator neither took a row nor emitted one, and yet isn't done: it would be called
    /// for ever.
    #[error(
        "subtask {subtask} makes no progress in {call}: it must take a row, or emit, or say that \
         it is done"
    )]
    Stalled {
        /// The subtask.
        subtask: usize,
        /// What was called.
        call: &'static str,
    },
    /// Rows were read or pushed as another type than they have.
    #[error(transparent)]
    RowType(#[from] RowTypeMismatch),
    /// The snapshots can't be restored.
    #[error("the snapshot can't be restored: {0}")]
    State(#[from] StateError),
    /// The snapshots can't be written or read.
    #[error("the snapshot can't be written or read: {0}")]
    Run(#[from] RunError),
    /// State was lost: nobody registered it after the restore.
    #[error(
        "state {states:?} of the snapshot was not restored: register it in open, by the same name"
    )]
    Unclaimed {
        /// The states' names.
        states: Vec<String>,
    },
    /// The harness was asked for what doesn't exist.
    #[error("the harness has {inputs} inputs and was given something for input {input}")]
    NoSuchInput {
        /// The input asked for.
        input: usize,
        /// How many there are.
        inputs: usize,
    },
    /// An operator was polled, or a source was fed.
    #[error("the harness holds {actual}, which can't be {asked}")]
    WrongKind {
        /// What it holds.
        actual: &'static str,
        /// What was asked of it.
        asked: &'static str,
    },
}
