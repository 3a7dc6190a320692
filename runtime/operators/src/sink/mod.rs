//! How a stream ends: the contract of sinks, and the operator that runs one.
//!
//! Output is committed in two phases. At a barrier the writer closes what it has written and
//! describes it in committables ([`SinkWriter::prepare_commit`]); they are part of the
//! checkpoint. When the checkpoint was published they are committed ([`SinkWriter::commit`]),
//! and again after a restore from it: so committing must be idempotent.

mod contract;
mod operator;
mod pending;
#[cfg(test)]
mod tests;

pub use thalweg_core::job_graph::DeliveryGuarantee;

pub use contract::{Committable, PrepareCommit, Sink, SinkContext, SinkWriter};
pub use operator::SinkDriver;
