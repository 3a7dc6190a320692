//! The roles of a process: everything in one, a JobManager, a TaskManager.
//!
//! Each role reads its configuration, starts its part of the engine, and says how it ended by an
//! exit code. Not here: how the parts work.

mod build_id;
mod check;
mod codes;
mod executor;
mod high_availability;
mod job_manager;
mod kubernetes;
mod local;
mod machine;
mod progress;
#[cfg(feature = "s3")]
mod s3;
mod savepoint_stores;
mod security;
mod settings;
mod start_over;
mod stores;
mod task_manager;

pub use check::check;
pub use executor::ClusterExecutor;
pub(crate) use high_availability::writer_id;
pub use job_manager::run_job_manager;
pub use local::{LocalCluster, run_local};
pub(crate) use machine::process_usage;
pub use settings::{ProcessError, configuration};
pub(crate) use stores::Stores;
pub use task_manager::run_task_manager;

/// How long a process waits at its end for those who asked a job to stop and haven't read yet how
/// that went.
const LAST_QUESTIONS: std::time::Duration = std::time::Duration::from_secs(10);
