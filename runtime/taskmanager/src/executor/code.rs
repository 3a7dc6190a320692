//! The code of jobs: loaded once per job, off the executor's loop, and shared by its tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::ids::JobId;
use thalweg_operators::code::JobCode;
use thalweg_rpc::message::JobInformation;

/// The code of a job can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the code of job {job:?} can't be loaded: {reason}")]
pub struct CodeError {
    /// The job's name.
    pub job: String,
    /// What went wrong, and what to do.
    pub reason: String,
}

/// Finds the code of jobs: the facade runs the application's closure again and captures it.
pub trait CodeProvider: Send + Sync {
    /// The code of the job. May take long and block; called on a thread where that is allowed.
    ///
    /// # Errors
    /// The program doesn't give such a job here.
    fn load(&self, job: &JobInformation) -> Result<Arc<JobCode>, CodeError>;
}

/// What was loaded for one job.
struct Entry {
    information: Arc<JobInformation>,
    /// Locked while it is being loaded, so that one load serves all tasks.
    code: Mutex<Option<Arc<JobCode>>>,
}

/// Remembers the code of the jobs that have executions here.
pub(super) struct CodeCache {
    provider: Arc<dyn CodeProvider>,
    entries: Mutex<BTreeMap<JobId, Arc<Entry>>>,
}

impl CodeCache {
    pub(super) fn new(provider: Arc<dyn CodeProvider>) -> Self {
        Self { provider, entries: Mutex::default() }
    }

    /// The code of the job, loaded if it isn't yet. Blocks.
    pub(super) fn get(&self, job: &Arc<JobInformation>) -> Result<Arc<JobCode>, CodeError> {
        let entry = self.entry(job);
        let mut code = entry.code.lock();
        if let Some(code) = &*code {
            return Ok(Arc::clone(code));
        }
        let loaded = self.provider.load(job)?;
        let found = loaded.graph.fingerprint();
        if found != job.graph_fingerprint {
            return Err(CodeError {
                job: job.job_name.clone(),
                reason: format!(
                    "the program gives another graph here (fingerprint {found:016x}) than on the \
                     JobManager ({:016x}): what shapes the graph must be the same in all \
                     processes; pass what comes from outside through env.once",
                    job.graph_fingerprint
                ),
            });
        }
        // The graph that is deployed is the JobManager's: parallelism isn't in the fingerprint.
        let loaded = JobCode { graph: Arc::clone(&job.graph), ..(*loaded).clone() };
        let loaded = Arc::new(loaded);
        *code = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    /// No execution of the job is left.
    pub(super) fn forget(&self, job: JobId) {
        self.entries.lock().remove(&job);
    }

    fn entry(&self, job: &Arc<JobInformation>) -> Arc<Entry> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(&job.job_id)
            && (Arc::ptr_eq(&entry.information, job) || entry.information == *job)
        {
            return Arc::clone(entry);
        }
        let entry = Arc::new(Entry { information: Arc::clone(job), code: Mutex::new(None) });
        entries.insert(job.job_id, Arc::clone(&entry));
        entry
    }
}
