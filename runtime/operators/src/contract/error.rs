//! What can go wrong in an operator.

use thalweg_core::batch::RowTypeMismatch;
use thalweg_state::{RunError, StateError};

/// What a user function may fail with: any error.
pub type FunctionError = Box<dyn std::error::Error + Send + Sync>;

/// What a user function returns.
pub type FunctionResult<T = ()> = Result<T, FunctionError>;

/// An operator can't go on. Its task fails, and the restart strategy decides.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The application's function returned an error.
    #[error("the function returned an error: {0}")]
    Function(#[source] FunctionError),
    /// The application's function panicked.
    #[error("the function panicked: {0}")]
    Panic(String),
    /// State can't be read, restored or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The snapshot has state that the operator doesn't ask for any more.
    #[error(
        "the snapshot has state that the program doesn't register: {0}; register it again, or \
         allow that it's dropped by execution.state-recovery.ignore-unclaimed-state"
    )]
    Unclaimed(String),
    /// A snapshot can't be written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A record can't be read from outside, and the source is told to fail on that.
    #[error(transparent)]
    Source(FunctionError),
    /// Something outside can't be written.
    #[error(transparent)]
    Sink(FunctionError),
    /// The graph was wired wrongly.
    #[error(transparent)]
    RowType(#[from] RowTypeMismatch),
}
