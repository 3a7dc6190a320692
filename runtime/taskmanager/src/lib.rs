//! Who works: task executor, slots, task threads and their wiring.
//!
//! - [`task`]: one subtask as a state machine, stepped from outside.
//! - [`driver`]: who steps it: a thread each, or one seeded loop in the simulation.
//! - [`executor`]: the endpoint that the JobManager talks to: deployments, heartbeats, snapshots.
//! - [`metrics`]: the figures of all of it, under Flink's names.
//! - [`TaskManager::start`] puts them together.
//!
//! Not here: what a job consists of (`jobmanager` decides), what operators do (`operators`), how
//! records travel (`network`).

pub mod driver;
pub mod executor;
mod hardware;
pub mod metrics;
mod start;
pub mod task;
#[cfg(test)]
mod tests;

pub use thalweg_storage::BlobStoreOpener;

pub use executor::{CodeError, CodeProvider, ExitReason};
pub use hardware::Hardware;
pub use start::{DataPlane, StartError, TaskManager, TaskManagerHandle, TaskManagerOptions};
