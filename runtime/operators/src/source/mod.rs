//! How a stream begins: the contract of sources, and the operator that runs one.
//!
//! A [`Source`] is found out about on the JobManager ([`Source::enumerate`]: which splits there
//! are) and read on tasks ([`Source::open`]: a reader for one split). The operator in
//! [`SourceDriver`] does what all sources need: watermarks per split, lateness, idleness, rate, bad
//! records, positions in snapshots. So a connector is only an enumeration and a reader.

mod bad_records;
mod contract;
mod operator;
mod options;
mod rate;
#[cfg(test)]
pub(crate) mod rig;
mod split_state;
mod splits;
#[cfg(test)]
mod tests;

pub use bad_records::{BadRecord, BadRecords};
pub use contract::{Boundedness, ReadBuffer, ReadStatus, ReaderContext, Source, SplitReader};
pub use operator::SourceDriver;
pub use options::SourceOptions;
pub use thalweg_core::split::SourceSplit;
