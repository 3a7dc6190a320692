//! Captures the graph of an application's first job without running anything.

use std::cell::RefCell;
use std::rc::Rc;

use thalweg_core::configuration::Configuration;
use thalweg_core::ids::JobId;
use thalweg_datastream::{ExecuteError, Executor, JobExecutionResult, StreamExecutionEnvironment};
use thalweg_operators::FunctionResult;
use thalweg_operators::code::JobCode;

use super::{Application, CaptureError};

struct GraphExecutor {
    job: JobId,
    configuration: Configuration,
    captured: RefCell<Option<JobCode>>,
}

impl Executor for GraphExecutor {
    fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    fn next_job_id(&self) -> JobId {
        self.job
    }

    fn execute(&self, code: JobCode) -> Result<JobExecutionResult, ExecuteError> {
        self.captured.borrow_mut().get_or_insert(code);
        Err(ExecuteError::CaptureEnded)
    }

    fn once(
        &self,
        name: &str,
        compute: &mut dyn FnMut() -> FunctionResult<Vec<u8>>,
    ) -> Result<Vec<u8>, ExecuteError> {
        compute().map_err(|source| ExecuteError::Once { name: name.into(), source })
    }
}

/// Runs the application up to its first `execute`, and gives the job that it would run.
///
/// # Errors
/// The program doesn't get there.
pub fn first_job(
    application: &Application,
    arguments: &[String],
    job: JobId,
    configuration: Configuration,
) -> Result<JobCode, CaptureError> {
    let executor = Rc::new(GraphExecutor { job, configuration, captured: RefCell::default() });
    let env = StreamExecutionEnvironment::new(executor.clone());
    let outcome = application(&env, arguments);
    // What the closure returns after the capture doesn't count: it was told to end.
    if let Some(code) = executor.captured.take() {
        return Ok(code);
    }
    Err(match outcome {
        Ok(()) => CaptureError::NotReached(0),
        Err(source) => CaptureError::Failed { ordinal: 0, source },
    })
}
