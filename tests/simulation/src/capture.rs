//! An executor that keeps the job instead of running it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use thalweg_core::configuration::Configuration;
use thalweg_core::ids::{JobId, job_id};
use thalweg_datastream::{ExecuteError, Executor, JobExecutionResult, StreamExecutionEnvironment};
use thalweg_operators::FunctionResult;
use thalweg_operators::code::JobCode;

/// The application's identity.
pub const CLUSTER_ID: &str = "simulation";

/// The id of the one job.
pub fn the_job() -> JobId {
    job_id(CLUSTER_ID, 0)
}

#[derive(Default)]
struct Capture {
    configuration: Configuration,
    job: RefCell<Option<JobCode>>,
}

impl Executor for Capture {
    fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    fn next_job_id(&self) -> JobId {
        the_job()
    }

    fn execute(&self, job: JobCode) -> Result<JobExecutionResult, ExecuteError> {
        let result = JobExecutionResult {
            job: job.graph.job_id,
            net_runtime: Duration::ZERO,
            results: Default::default(),
        };
        self.job.replace(Some(job));
        Ok(result)
    }

    fn once(
        &self,
        _name: &str,
        compute: &mut dyn FnMut() -> FunctionResult<Vec<u8>>,
    ) -> Result<Vec<u8>, ExecuteError> {
        compute().map_err(ExecuteError::Cluster)
    }
}

/// The job that `program` executes.
///
/// # Errors
/// It executes none, or describes one that can't be.
pub fn capture(
    program: impl FnOnce(&StreamExecutionEnvironment) -> Result<(), ExecuteError>,
) -> Result<JobCode, String> {
    let executor = Rc::new(Capture::default());
    let env = StreamExecutionEnvironment::new(executor.clone());
    program(&env).map_err(|error| error.to_string())?;
    executor.job.take().ok_or_else(|| "the program executes nothing".to_owned())
}
