//! What the leader reports in its FlinkApplication's status: which fields are its own, and when it
//! writes them. Not here: the operator's fields, and conditions, which are all the operator's.

mod carry_over;
mod push;
mod report;
mod schedule;
#[cfg(test)]
mod tests;
mod undeclared;

pub use carry_over::carry_over;
pub use push::{StatusOptions, push_status};
pub use report::{LeaderFacts, PodCounts, report};
pub use schedule::StatusSchedule;

/// Who owns the fields that are written.
pub const FIELD_MANAGER: &str = "thalweg-jobmanager";
/// The version of what a JobManager and an operator say to each other.
pub const PROTOCOL: i32 = 1;
