//! Finds the code of jobs: in this process, or by running the application again.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::configuration::Configuration;
use thalweg_core::ids::{JobId, OperatorId};
use thalweg_core::split::SourceSplit;
use thalweg_datastream::JobExecutionResult;
use thalweg_jobmanager::source_coordinator::SplitEnumeration;
use thalweg_operators::code::JobCode;
use thalweg_rpc::message::JobInformation;
use thalweg_taskmanager::{CodeError, CodeProvider};

use crate::application::{Application, CaptureRequest, capture};

/// The code of jobs that were captured in this process.
#[derive(Debug, Default)]
pub(super) struct LocalCodes(Mutex<BTreeMap<JobId, Arc<JobCode>>>);

impl LocalCodes {
    pub(super) fn add(&self, code: Arc<JobCode>) {
        self.0.lock().insert(code.graph.job_id, code);
    }

    pub(super) fn remove(&self, job: JobId) {
        self.0.lock().remove(&job);
    }
}

impl CodeProvider for LocalCodes {
    fn load(&self, job: &JobInformation) -> Result<Arc<JobCode>, CodeError> {
        let found = self.0.lock().get(&job.job_id).cloned();
        found.ok_or_else(|| CodeError {
            job: job.job_name.clone(),
            reason: "it wasn't executed by this process".to_owned(),
        })
    }
}

/// Runs the application to find the code.
pub(super) struct CapturedCodes(pub(super) Application);

impl CodeProvider for CapturedCodes {
    fn load(&self, job: &JobInformation) -> Result<Arc<JobCode>, CodeError> {
        let refused = |reason: String| CodeError { job: job.job_name.clone(), reason };
        let results = job.earlier_results.iter().map(|bytes| postcard::from_bytes(bytes));
        let results: Result<Vec<JobExecutionResult>, _> = results.collect();
        let mut configuration = Configuration::new();
        for (key, value) in &job.configuration {
            configuration.set_str(key, value).map_err(|e| refused(e.to_string()))?;
        }
        let request = CaptureRequest {
            job: job.job_id,
            ordinal: job.execute_ordinal,
            earlier_results: results
                .map_err(|e| refused(format!("the results of earlier jobs: {e}")))?,
            once_values: job.once_values.clone(),
            configuration,
        };
        let code = capture(&self.0, &job.arguments, request).map_err(|e| refused(e.to_string()))?;
        Ok(Arc::new(code))
    }
}

/// The sources' own code finds their splits.
pub(super) struct CodeSplits(pub(super) Arc<JobCode>);

impl SplitEnumeration for CodeSplits {
    fn enumerate(
        &self,
        operator: OperatorId,
        parallelism: u32,
    ) -> Result<Vec<SourceSplit>, String> {
        match self.0.sources.get(&operator) {
            Some(source) => source.enumerate(parallelism).map_err(|e| e.to_string()),
            None => Err(format!("the source {operator} has no code in this program")),
        }
    }
}
