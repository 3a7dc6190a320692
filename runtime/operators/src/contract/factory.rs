//! Makes an operator's instances, one per subtask.

use super::{Operator, SourceOperator};

/// One instance of an operator.
pub enum OperatorInstance {
    /// Begins a stream.
    Source(Box<dyn SourceOperator>),
    /// Is fed.
    Operator(Box<dyn Operator>),
}

impl std::fmt::Debug for OperatorInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Source(_) => "Source",
            Self::Operator(_) => "Operator",
        })
    }
}

/// Makes instances. Shared by all subtasks of the operator in a process; capturing the program
/// puts it into the registry under the operator's id.
pub trait OperatorFactory: Send + Sync {
    /// A new instance, not opened yet.
    fn create(&self) -> OperatorInstance;
}

impl<F: Fn() -> OperatorInstance + Send + Sync> OperatorFactory for F {
    fn create(&self) -> OperatorInstance {
        self()
    }
}
