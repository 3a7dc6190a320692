//! Facts to JSON: pure functions, one file per area of the API. Member names and their order are
//! those of Flink 2.2's answers (`samples/`, compared by `tests/contract.rs`).

pub(crate) mod backpressure;
pub(crate) mod checkpoint_configuration;
pub(crate) mod checkpoint_tasks;
pub(crate) mod checkpoints;
pub(crate) mod cluster;
pub(crate) mod exceptions;
pub(crate) mod io_metrics;
pub(crate) mod job_manager;
pub(crate) mod jobs;
pub(crate) mod metrics;
pub(crate) mod operations;
pub(crate) mod plan;
pub(crate) mod states;
pub(crate) mod statistics;
pub(crate) mod task_managers;
mod throwable;
pub(crate) mod vertices;
