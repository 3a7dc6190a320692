//! The contract between an operator and the task that drives it.
//!
//! - An operator takes rows off the front of a batch and emits batches into an [`Output`].
//!   Emitting never blocks. When the output is full the operator stops, between two rows or two
//!   timers, and is called again for the rest once the output was carried away. In between only
//!   a cancel happens: no watermark, no barrier, no other batch.
//! - One virtual call a batch. User closures are monomorphised inside the operator.
//! - An operator is made by its [`OperatorFactory`] on the thread that runs it, is opened once
//!   (state is restored while states are declared), and is closed once.

mod collector;
mod context;
mod error;
mod factory;
mod metrics;
mod operator;
mod output;

pub use collector::{Collector, RowBuffer};
pub use context::{JobInfo, OpenContext, RunContext, SubtaskInfo, WakeHandle};
pub use error::{FunctionError, FunctionResult, OperatorError};
pub use factory::{OperatorFactory, OperatorInstance};
pub use metrics::OperatorMetrics;
pub use operator::{Operator, Progress, SnapshotContext, SourceOperator, SourceStatus};
pub use output::{OUTPUT_ROWS, Output, OutputTag};
