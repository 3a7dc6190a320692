//! What a task does: the operator contract, the chain that drives operators, and the operators.
//!
//! Everything here is synchronous and runs on the task's own thread. Nothing here knows threads,
//! sockets or the JobManager: a task (`taskmanager`) feeds a [`chain::Chain`] and carries away
//! what comes out. Read [`contract`] first, then [`chain`], then any operator: one a file.

pub mod chain;
pub mod code;
pub mod contract;
pub mod functions;
pub mod harness;
pub mod sink;
pub mod source;
pub mod time;
pub mod windows;

pub use contract::{
    Collector, FunctionError, FunctionResult, OpenContext, Operator, OperatorError,
    OperatorFactory, OperatorInstance, Output, OutputTag, Progress, RunContext,
};
