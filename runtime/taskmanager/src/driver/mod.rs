//! Who calls a task's `step`: a thread of its own in production ([`ThreadDriver`]), one loop for
//! all in the simulation ([`CooperativeDriver`]). Not here: what a step does.

mod cooperative;
mod threads;
mod waker;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use cooperative::{CooperativeDriver, Pace};
pub use threads::ThreadDriver;
pub use waker::TaskWaker;

use crate::task::Task;

/// A task couldn't be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The system gives no more threads.
    #[error(
        "no thread for task {task:?}: {source}; raise the limit of threads of the process or \
         container, or lower the number of slots"
    )]
    Thread {
        /// The task's name.
        task: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Work that may take long.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs tasks, and work that may block, so that nothing else waits for it.
pub trait TaskDriver: Send + Sync + Debug {
    /// Steps the task until it has finished; between steps that block it waits for `waker`.
    ///
    /// # Errors
    /// The task couldn't be started, and was dropped.
    fn spawn(&self, task: Task, waker: Arc<TaskWaker>) -> Result<(), SpawnError>;

    /// Runs work that reads files, waits for a store, or calls user code: it may block.
    fn run_aside(&self, work: Work);
}
