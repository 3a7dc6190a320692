//! Runs an application's jobs on a JobManager of this process.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::clock::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_core::ids::{JobId, job_id};
use thalweg_core::status::JobStatus;
use thalweg_datastream::{ExecuteError, Executor, JobExecutionResult};
use thalweg_jobmanager::high_availability::HighAvailabilityError;
use thalweg_jobmanager::{JobManagerHandle, JobResult, JobSubmission};
use thalweg_operators::FunctionResult;
use thalweg_operators::code::JobCode;
use tokio::runtime::Handle;

use super::codes::{CodeSplits, LocalCodes};
use crate::application::{Application, CaptureRequest, capture};

/// Runs jobs on a JobManager of this process, one after the other.
pub struct ClusterExecutor {
    pub(super) cluster_id: String,
    pub(super) configuration: Configuration,
    pub(super) arguments: Vec<String>,
    pub(super) job_manager: JobManagerHandle,
    pub(super) runtime: Handle,
    /// TaskManagers of this process find the code here; None: they run the application.
    pub(super) codes: Option<Arc<LocalCodes>>,
    /// When it is there, each job's code is found a second time and compared.
    pub(super) verify: Option<Application>,
    pub(super) results: RefCell<Vec<JobExecutionResult>>,
    pub(super) once_values: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(super) executing: Cell<bool>,
}

impl std::fmt::Debug for ClusterExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClusterExecutor({})", self.cluster_id)
    }
}

impl ClusterExecutor {
    fn ordinal(&self) -> u32 {
        u32::try_from(self.results.borrow().len()).unwrap_or(u32::MAX)
    }

    /// Finds the code once more, as a TaskManager of a cluster would: a program that takes
    /// another way the second time shows itself here and not only there.
    fn verify(&self, code: &JobCode) -> Result<(), ExecuteError> {
        let Some(application) = &self.verify else { return Ok(()) };
        let request = CaptureRequest {
            job: code.graph.job_id,
            ordinal: self.ordinal(),
            earlier_results: self.results.borrow().clone(),
            once_values: self.once_values.borrow().clone(),
            configuration: self.configuration.clone(),
        };
        let again = capture(application, &self.arguments, request)
            .map_err(|e| ExecuteError::Cluster(Box::new(e)))?;
        if again.graph.fingerprint() == code.graph.fingerprint() {
            return Ok(());
        }
        Err(ExecuteError::Cluster(
            "the program describes another job when it is run a second time: what comes from \
             outside and shapes a job (time, files, environment, random numbers) belongs into \
             env.once(...)"
                .into(),
        ))
    }

    /// The recorded value, where values are recorded: whoever runs the program next sees the same.
    fn recorded_once(
        &self,
        name: &str,
        compute: &mut dyn FnMut() -> FunctionResult<Vec<u8>>,
    ) -> Result<Vec<u8>, ExecuteError> {
        let failed = |source| ExecuteError::Once { name: name.into(), source };
        let unreadable = |e: HighAvailabilityError| failed(Box::new(e));
        let Some(records) = self.job_manager.records() else { return compute().map_err(failed) };
        if let Some(value) = self.runtime.block_on(records.once(name)).map_err(unreadable)? {
            return Ok(value);
        }
        let value = compute().map_err(failed)?;
        self.runtime.block_on(records.record_once(name, value)).map_err(unreadable)
    }

    fn submission(&self, code: &Arc<JobCode>) -> Result<JobSubmission, ExecuteError> {
        let results = self.results.borrow();
        let encoded = results.iter().map(postcard::to_stdvec);
        let earlier_results =
            encoded.collect::<Result<_, _>>().map_err(|e| ExecuteError::Cluster(Box::new(e)))?;
        Ok(JobSubmission {
            graph: code.graph.clone(),
            arguments: self.arguments.clone(),
            execute_ordinal: self.ordinal(),
            earlier_results,
            once_values: self.once_values.borrow().clone(),
            configuration: Configuration::new(),
            splits: Arc::new(CodeSplits(code.clone())),
        })
    }
}

impl Executor for ClusterExecutor {
    fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    fn next_job_id(&self) -> JobId {
        job_id(&self.cluster_id, self.ordinal())
    }

    fn execute(&self, code: JobCode) -> Result<JobExecutionResult, ExecuteError> {
        self.verify(&code)?;
        let code = Arc::new(code);
        if let Some(codes) = &self.codes {
            codes.add(code.clone());
        }
        let submission = self.submission(&code)?;
        self.executing.set(true);
        let outcome = self.runtime.block_on(self.job_manager.submit(submission));
        self.executing.set(false);
        if let Some(codes) = &self.codes {
            codes.remove(code.graph.job_id);
        }
        let result = to_result(outcome.map_err(|e| ExecuteError::Cluster(Box::new(e)))?)?;
        self.results.borrow_mut().push(result.clone());
        Ok(result)
    }

    fn once(
        &self,
        name: &str,
        compute: &mut dyn FnMut() -> FunctionResult<Vec<u8>>,
    ) -> Result<Vec<u8>, ExecuteError> {
        if let Some(value) = self.once_values.borrow().get(name) {
            return Ok(value.clone());
        }
        let value = self.recorded_once(name, compute)?;
        self.once_values.borrow_mut().insert(name.into(), value.clone());
        Ok(value)
    }
}

fn to_result(result: JobResult) -> Result<JobExecutionResult, ExecuteError> {
    let (job, name) = (result.job, result.name);
    match result.status {
        JobStatus::Finished => {
            let mut accumulators = result.accumulators;
            accumulators.sort_by_key(|a| (a.operator, a.subtask));
            let mut results: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
            for accumulator in accumulators {
                results.entry(accumulator.name).or_default().push(accumulator.value);
            }
            let runtime_ms = u64::try_from(result.runtime_ms).unwrap_or(0);
            Ok(JobExecutionResult { job, net_runtime: Duration::from_millis(runtime_ms), results })
        }
        JobStatus::Canceled => Err(ExecuteError::JobCanceled { job, name }),
        _ => {
            let cause = result.error.map_or_else(|| "no cause given".into(), |e| e.to_string());
            Err(ExecuteError::JobFailed { job, name, cause })
        }
    }
}

/// The exit code that an application's outcome stands for, after an error was printed:
/// 0 finished, 1 failed, 2 cancelled.
pub(super) fn exit_code(outcome: crate::Result) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            match error.downcast_ref::<ExecuteError>() {
                Some(ExecuteError::JobCanceled { .. }) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// A number that no other start of a process has: ids are drawn from it.
pub(super) fn process_seed(clock: &dyn Clock) -> u64 {
    let stack = 0u8;
    let place = std::ptr::from_ref(&stack) as usize;
    let text = format!("{}/{}/{place}", std::process::id(), clock.wall_ms());
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}
