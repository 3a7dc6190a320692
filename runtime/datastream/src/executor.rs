//! Who runs a job: the seam between the typed API and the rest of the engine.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_core::configuration::Configuration;
use thalweg_core::ids::JobId;
use thalweg_core::record::DecodeError;
use thalweg_core::{Record, configuration};
use thalweg_operators::code::JobCode;
use thalweg_operators::{FunctionError, FunctionResult};

use crate::generate::GraphError;

/// Runs jobs.
pub trait Executor {
    /// What it was configured with; the environment takes its defaults from it.
    fn configuration(&self) -> &Configuration;
    /// The id of the next job that is executed.
    fn next_job_id(&self) -> JobId;
    /// Runs a job to its end.
    fn execute(&self, job: JobCode) -> Result<JobExecutionResult, ExecuteError>;
    /// The value of this name: computed on the JobManager, once; the same wherever and whenever
    /// the program runs again.
    fn once(
        &self,
        name: &str,
        compute: &mut dyn FnMut() -> FunctionResult<Vec<u8>>,
    ) -> Result<Vec<u8>, ExecuteError>;
}

/// `execute` didn't run a job to its successful end.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The program describes a job that can't be run.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A setting can't be used.
    #[error(transparent)]
    Configuration(#[from] configuration::ConfigurationError),
    /// The job failed for good.
    #[error("the job {name:?} ({job}) failed: {cause}")]
    JobFailed {
        /// The job.
        job: JobId,
        /// Its name.
        name: String,
        /// Why.
        cause: String,
    },
    /// The job was cancelled.
    #[error("the job {name:?} ({job}) was cancelled")]
    JobCanceled {
        /// The job.
        job: JobId,
        /// Its name.
        name: String,
    },
    /// The cluster can't be reached or is going down.
    #[error("the job can't be run: {0}")]
    Cluster(#[source] FunctionError),
    /// The value of `env.once` can't be computed or read.
    #[error("env.once({name:?}): {source}")]
    Once {
        /// The value's name.
        name: String,
        /// What went wrong.
        source: FunctionError,
    },
    /// A result can't be read: this program isn't the one that wrote it.
    #[error("the result {name:?}: {source}")]
    Result {
        /// The result's name.
        name: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// Not an error: the program was run to find its code, and has come to the job that was asked
    /// for. Give it back (`?`); nothing behind this call may run.
    #[error("the program was run up to here to find its code; hand this error back from main")]
    CaptureEnded,
}

/// What a finished job gives back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobExecutionResult {
    /// The job.
    pub job: JobId,
    /// How long it took.
    pub net_runtime: Duration,
    /// What operators handed over, by name, one entry per subtask.
    pub results: BTreeMap<String, Vec<Vec<u8>>>,
}

/// Rows that a job hands to the caller of `execute`.
#[derive(Debug)]
pub struct Collected<T> {
    pub(crate) name: String,
    pub(crate) row: PhantomData<fn() -> T>,
}

impl JobExecutionResult {
    /// The rows that were collected, subtask by subtask.
    ///
    /// # Errors
    /// The rows can't be decoded.
    pub fn collected<T: Record>(&self, collected: &Collected<T>) -> Result<Vec<T>, ExecuteError> {
        let mut rows = Vec::new();
        for piece in self.results.get(&collected.name).into_iter().flatten() {
            let mut rest = piece.as_slice();
            while !rest.is_empty() {
                let row = T::decode(&mut rest).map_err(|source| ExecuteError::Result {
                    name: collected.name.clone(),
                    source,
                })?;
                rows.push(row);
            }
        }
        Ok(rows)
    }
}
