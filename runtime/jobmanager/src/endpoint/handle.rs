//! The JobManager as the rest of its process sees it: jobs in, results out, the end. REST reads the
//! facts that the endpoint publishes and never waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use thalweg_core::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_core::ids::{CheckpointId, JobId};
use thalweg_rpc::message::JobInformation;
use tokio::sync::{mpsc, oneshot};

use super::mail::{CancelError, Mail, SubmitError};
use super::options::CheckpointStore;
use super::store;
use crate::checkpoint_coordinator::CheckpointOptions;
use crate::dispatcher::{JobSubmission, PreparedJob};
use crate::job_master::JobResult;
use crate::rest::model::{ClusterFacts, JobFacts};
use crate::rest::{RestFailure, RestGateway, RestReply};
use crate::source_coordinator::{SourceCoordinator, sources};

/// A JobManager. Clones are the same one.
#[derive(Debug, Clone)]
pub struct JobManagerHandle {
    pub(super) mailbox: mpsc::Sender<Mail>,
    pub(super) facts: Arc<RwLock<Arc<ClusterFacts>>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) configuration: Arc<Configuration>,
    pub(super) build_id: u64,
    pub(super) store: Option<CheckpointStore>,
}

impl JobManagerHandle {
    /// Runs a job to its end. Its sources' splits are found first, on this thread, which may block.
    ///
    /// # Errors
    /// When the job can't be taken in. A job that was and has failed is a result.
    pub async fn submit(&self, submission: JobSubmission) -> Result<JobResult, SubmitError> {
        let prepared = self.prepare(submission).await?;
        let (reply, result) = oneshot::channel();
        let mail = Mail::Submit(Box::new(prepared), reply);
        self.mailbox.send(mail).await.map_err(|_| SubmitError::Ended)?;
        result.await.map_err(|_| SubmitError::Ended)?
    }

    async fn prepare(&self, submission: JobSubmission) -> Result<PreparedJob, SubmitError> {
        let mut configuration = Configuration::clone(&self.configuration);
        configuration.extend(&submission.configuration);
        configuration.validate().map_err(|error| SubmitError::Invalid(error.to_string()))?;
        let graph = submission.graph;
        let checkpointing = CheckpointOptions::of(&configuration).is_some();
        let highest_checkpoint = match &self.store {
            _ if !checkpointing => CheckpointId(0),
            Some(store) => store::highest_checkpoint(store, graph.job_id)
                .await
                .map_err(SubmitError::Invalid)?,
            None => {
                return Err(SubmitError::Invalid(
                    "execution.checkpointing.interval is set and this JobManager has no place for \
                     checkpoints; set execution.checkpointing.dir in its configuration"
                        .to_owned(),
                ));
            }
        };
        let mut splits = Vec::new();
        for (operator, parallelism) in sources(&graph) {
            let found =
                submission.splits.enumerate(operator, parallelism).map_err(SubmitError::Source)?;
            splits.push((operator, parallelism, found));
        }
        let directory = self.store.as_ref().filter(|_| checkpointing);
        let information = JobInformation {
            job_id: graph.job_id,
            job_name: graph.name.clone(),
            graph_fingerprint: graph.fingerprint(),
            graph,
            build_id: self.build_id,
            arguments: submission.arguments,
            execute_ordinal: submission.execute_ordinal,
            earlier_results: submission.earlier_results,
            once_values: submission.once_values,
            configuration: keys_and_values(&configuration)?,
            checkpointing,
            checkpoint_directory: directory.map(|store| store.name.clone()),
        };
        Ok(PreparedJob {
            information: Arc::new(information),
            configuration,
            sources: SourceCoordinator::new(splits),
            highest_checkpoint,
        })
    }

    /// Asks for a job's end and returns when that is under way.
    ///
    /// # Errors
    /// When there is no such job, it has ended otherwise, or the JobManager has.
    pub async fn cancel(&self, job: JobId) -> Result<(), CancelError> {
        let (reply, done) = oneshot::channel();
        self.mailbox.send(Mail::Cancel(job, reply)).await.map_err(|_| CancelError::Ended)?;
        done.await.map_err(|_| CancelError::Ended)?
    }

    /// Ends the JobManager: its TaskManagers are told to end, jobs that still run are given up.
    /// Returns when all has been said.
    pub async fn shutdown(&self, reason: &str) {
        let (reply, done) = oneshot::channel();
        if self.mailbox.send(Mail::ShutDown(reason.to_owned(), reply)).await.is_ok() {
            // It has ended either way.
            let _ = done.await;
        }
    }

    /// Returns when the JobManager has ended, for whatever reason.
    pub async fn ended(&self) {
        self.mailbox.closed().await;
    }
}

/// What is set, secrets included: TaskManagers need them.
fn keys_and_values(configuration: &Configuration) -> Result<BTreeMap<String, String>, SubmitError> {
    let value = serde_json::to_value(configuration);
    value.and_then(serde_json::from_value).map_err(|error| SubmitError::Invalid(error.to_string()))
}

impl RestGateway for JobManagerHandle {
    fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    fn cluster(&self) -> Arc<ClusterFacts> {
        Arc::clone(&self.facts.read())
    }

    fn job(&self, job_id: &str) -> Option<Arc<JobFacts>> {
        self.facts.read().jobs.iter().find(|job| job.id == job_id).cloned()
    }

    fn cancel(&self, job_id: &str) -> RestReply {
        let (this, job) = (self.clone(), job_id.parse::<JobId>());
        Box::pin(async move {
            let job = job.map_err(|_| RestFailure::JobNotFound)?;
            JobManagerHandle::cancel(&this, job).await.map_err(|error| match error {
                CancelError::Unknown => RestFailure::JobNotFound,
                CancelError::HasEnded(_) => RestFailure::Conflict(error.to_string()),
                CancelError::Ended => RestFailure::Unavailable(error.to_string()),
            })
        })
    }

    fn shut_down(&self) -> RestReply {
        let mailbox = self.mailbox.clone();
        Box::pin(async move {
            let (reply, _) = oneshot::channel();
            let mail = Mail::ShutDown("asked for by REST".to_owned(), reply);
            let unavailable = |_| RestFailure::Unavailable("the JobManager has ended".to_owned());
            mailbox.send(mail).await.map_err(unavailable)
        })
    }
}
