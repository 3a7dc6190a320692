//! Finds a job's code by running the application up to the `execute` that the job came from.
//!
//! Closures can't be sent, so a TaskManager runs the same program: earlier `execute` calls return
//! what they returned on the JobManager, `env.once` gives the JobManager's values, and the call
//! that is asked for ends the run. Nothing is executed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use thalweg_core::configuration::Configuration;
use thalweg_core::ids::JobId;
use thalweg_datastream::{ExecuteError, Executor, JobExecutionResult, StreamExecutionEnvironment};
use thalweg_operators::FunctionResult;
use thalweg_operators::code::JobCode;

use super::Application;
use crate::Error;

/// Which job's code is asked for, and what the program is to see until it gets there.
#[derive(Debug, Clone)]
pub struct CaptureRequest {
    /// The job.
    pub job: JobId,
    /// Which `execute` of the program it is, from 0.
    pub ordinal: u32,
    /// What the earlier ones returned.
    pub earlier_results: Vec<JobExecutionResult>,
    /// What `env.once` gave.
    pub once_values: BTreeMap<String, Vec<u8>>,
    /// The configuration that the job was made with.
    pub configuration: Configuration,
}

/// The job's code can't be found.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The program ended before it came to the job.
    #[error(
        "the program ended before its execute() number {0}: it takes another way here than on the \
         JobManager. What comes from outside and shapes a job belongs into env.once(...)"
    )]
    NotReached(u32),
    /// The program failed before it came to the job.
    #[error("the program failed before its execute() number {ordinal}: {source}")]
    Failed {
        /// The `execute` that was asked for.
        ordinal: u32,
        /// What the program failed with.
        source: Error,
    },
    /// The program panicked before it came to the job.
    #[error("the program panicked before its execute() number {ordinal}: {message}")]
    Panicked {
        /// The `execute` that was asked for.
        ordinal: u32,
        /// The panic's message.
        message: String,
    },
}

struct CaptureExecutor {
    request: CaptureRequest,
    executed: Cell<u32>,
    captured: RefCell<Option<JobCode>>,
}

impl Executor for CaptureExecutor {
    fn configuration(&self) -> &Configuration {
        &self.request.configuration
    }

    fn next_job_id(&self) -> JobId {
        self.request.job
    }

    fn execute(&self, code: JobCode) -> Result<JobExecutionResult, ExecuteError> {
        let ordinal = self.executed.get();
        if ordinal >= self.request.ordinal {
            if self.captured.borrow().is_none() {
                self.captured.replace(Some(code));
            }
            return Err(ExecuteError::CaptureEnded);
        }
        self.executed.set(ordinal + 1);
        let result = self.request.earlier_results.get(ordinal as usize).cloned();
        result.ok_or_else(|| {
            ExecuteError::Cluster(
                format!("the result of execute() number {ordinal} is missing").into(),
            )
        })
    }

    fn once(
        &self,
        name: &str,
        _compute: &mut dyn FnMut() -> FunctionResult<Vec<u8>>,
    ) -> Result<Vec<u8>, ExecuteError> {
        self.request.once_values.get(name).cloned().ok_or_else(|| ExecuteError::Once {
            name: name.into(),
            source: "the JobManager has no value of this name: the program takes another way here \
                     than there"
                .into(),
        })
    }
}

/// Runs the application up to the job that is asked for and returns its code.
///
/// # Errors
/// The program doesn't get there.
pub fn capture(
    application: &Application,
    arguments: &[String],
    request: CaptureRequest,
) -> Result<JobCode, CaptureError> {
    let ordinal = request.ordinal;
    let executor =
        Rc::new(CaptureExecutor { request, executed: Cell::new(0), captured: RefCell::default() });
    let env = StreamExecutionEnvironment::new(executor.clone());
    let run = std::panic::AssertUnwindSafe(|| application(&env, arguments));
    let outcome = std::panic::catch_unwind(run);
    // What the closure returns after the capture doesn't count: it was told to end.
    if let Some(code) = executor.captured.take() {
        return Ok(code);
    }
    match outcome {
        Ok(Ok(())) => Err(CaptureError::NotReached(ordinal)),
        Ok(Err(source)) => Err(CaptureError::Failed { ordinal, source }),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|t| t.to_string());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let message = text.unwrap_or_else(|| "no message".into());
            Err(CaptureError::Panicked { ordinal, message })
        }
    }
}
