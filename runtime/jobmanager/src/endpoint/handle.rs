//! The JobManager as the rest of its process sees it: jobs in, results out, the end. REST reads the
//! facts that the endpoint publishes and never waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use thalweg_core::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::checkpointing;
use thalweg_core::ids::{CheckpointId, Epoch, JobId, JobVertexId, TriggerId};
use thalweg_core::job_graph::JobGraph;
use thalweg_rpc::message::JobInformation;
use thalweg_storage::manifest::VertexRequirement;
use tokio::sync::{Notify, mpsc, oneshot};

use super::disposal::Disposals;
use super::mail::{CancelError, CheckpointCommand, CommandError, CommandKind, Mail, SubmitError};
use super::options::{CheckpointStore, StoreOpener};
use super::recorded::retained;
use super::{savepoint, store};
use crate::checkpoint_coordinator::{CheckpointOptions, CompletedCheckpoint};
use crate::dispatcher::{JobSubmission, PreparedJob};
use crate::high_availability::lineage::Entered;
use crate::high_availability::{
    Claimed, ClaimedJob, EarlierRun, HighAvailabilityError, Loss, Records,
};
use crate::job_master::{JobResult, required};
use crate::rest::model::{ClusterFacts, JobFacts, OperationOutcome};
use crate::rest::{RestFailure, RestGateway, RestReply};
use crate::source_coordinator::{SourceCoordinator, sources};

/// Claims of a job before it is given up, with pauses that double up to the longest one.
const CLAIMS_MAX: u32 = 10;
const CLAIM_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Why a JobManager has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// It was asked to end everything.
    ShutDown,
    /// It was asked to end, and has left jobs and TaskManagers to the next leader.
    Suspended(String),
    /// Another one leads, or nobody can know: this one must do nothing more.
    LeadershipLost(Loss),
}

/// A JobManager. Clones are the same one.
#[derive(Debug, Clone)]
pub struct JobManagerHandle {
    pub(super) mailbox: mpsc::Sender<Mail>,
    pub(super) facts: Arc<RwLock<Arc<ClusterFacts>>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) configuration: Arc<Configuration>,
    pub(super) build_id: u64,
    pub(super) store: Option<CheckpointStore>,
    pub(super) stores: Arc<dyn StoreOpener>,
    /// Operations with which a job ends whose outcome nobody has asked for yet.
    pub(super) unread: Arc<Unread>,
    pub(super) disposals: Arc<Disposals>,
    pub(super) records: Option<Records>,
    pub(super) end: Arc<Mutex<Option<EndReason>>>,
    pub(super) epoch: Epoch,
    /// What an earlier resource has left of the first job.
    pub(super) earlier: Arc<Mutex<Option<EarlierRun>>>,
}

/// Operations with which a job ends. Its JobManager ends then, too, and whoever asked for them
/// still wants to know how they went.
#[derive(Debug, Default)]
pub(super) struct Unread {
    operations: Mutex<BTreeSet<TriggerId>>,
    changed: Notify,
}

impl JobManagerHandle {
    /// The term in which it leads.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Runs a job to its end. Its sources' splits are found first, on this thread, which may block.
    /// With high availability it goes on with its last checkpoint; one that has ended isn't run
    /// again, its result is the recorded one.
    ///
    /// # Errors
    /// When the job can't be taken in. A job that was and has failed is a result.
    pub async fn submit(&self, submission: JobSubmission) -> Result<JobResult, SubmitError> {
        let configuration = self.configuration_of(&submission)?;
        let id = submission.graph.job_id;
        if self.mailbox.is_closed() {
            return Err(SubmitError::Ended);
        }
        if self.job(&id.to_string()).is_some() {
            return Err(SubmitError::Duplicate(id));
        }
        let claimed = match self.claim(id, retained(&configuration)).await? {
            Some(Claimed::Ended(result, last_checkpoint, earlier)) => {
                self.found_earlier(submission.execute_ordinal, earlier);
                return Ok(self.ended_before(*result, last_checkpoint).await);
            }
            Some(Claimed::Leads(claimed)) => Some(*claimed),
            None => None,
        };
        let (leader, restore) = match claimed {
            Some(ClaimedJob { leader, restore, earlier }) => {
                self.found_earlier(submission.execute_ordinal, earlier);
                (Some(Box::new(leader)), restore)
            }
            None => (None, None),
        };
        let epoch = leader.as_ref().map(|leader| leader.leadership().epoch());
        let prepared = self.prepare(submission, configuration, epoch, restore).await?;
        let (reply, result) = oneshot::channel();
        let mail = Mail::Submit(Box::new(prepared), leader, reply);
        self.mailbox.send(mail).await.map_err(|_| SubmitError::Ended)?;
        result.await.map_err(|_| SubmitError::Ended)?
    }

    /// What an earlier resource of the same name has left of the application's first job, once
    /// that is known.
    pub fn earlier_run(&self) -> Option<EarlierRun> {
        self.earlier.lock().clone()
    }

    fn found_earlier(&self, execute_ordinal: u32, earlier: Option<EarlierRun>) {
        if let Some(earlier) = earlier.filter(|_| execute_ordinal == 0) {
            tracing::info!(
                "resource {} of this name has left a job that {}",
                earlier.owner,
                if earlier.ended { "has ended" } else { "goes on now" }
            );
            *self.earlier.lock() = Some(earlier);
        }
    }

    /// The recorded result of a job, which isn't run again: shown by REST, and an error says what
    /// to do.
    async fn ended_before(&self, result: JobResult, last_checkpoint: Option<String>) -> JobResult {
        let (job, status) = (result.job, result.status);
        tracing::info!(%job, "the job is {status} already and isn't run");
        // Nobody is there to be asked about it if this fails.
        let _ = self.mailbox.send(Mail::EndedBefore(Box::new(result.clone()))).await;
        let Some(mut error) = result.error else { return result };
        tracing::warn!(%job, "{}", error.message);
        let cluster_id = self.records.as_ref().map(Records::cluster_id).unwrap_or_default();
        let from = last_checkpoint.map_or_else(String::new, |folder| {
            format!(", with --from-savepoint {folder} to go on from its last checkpoint")
        });
        error.message = format!(
            "{} (this is what is recorded of an earlier run under the cluster id {cluster_id:?}, \
             and the job isn't run again; to run it anew set another \
             high-availability.cluster-id{from})",
            error.message
        );
        JobResult { error: Some(error), ..result }
    }

    fn configuration_of(&self, submission: &JobSubmission) -> Result<Configuration, SubmitError> {
        let mut configuration = Configuration::clone(&self.configuration);
        configuration.extend(&submission.configuration);
        configuration.validate().map_err(|error| SubmitError::Invalid(error.to_string()))?;
        Ok(configuration)
    }

    /// Claims the job's log, where jobs are recorded. What may pass is tried again for a while.
    async fn claim(&self, job: JobId, retained: usize) -> Result<Option<Claimed>, SubmitError> {
        let Some(records) = &self.records else { return Ok(None) };
        let mut pause = Duration::from_millis(100);
        for attempt in 1.. {
            if self.mailbox.is_closed() {
                return Err(SubmitError::Ended);
            }
            match records.claim(job, retained).await {
                Ok(claimed) => return Ok(Some(claimed)),
                Err(error) if error.is_transient() && attempt < CLAIMS_MAX => {
                    tracing::warn!(%job, "the job can't be claimed, it is tried again: {error}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(CLAIM_PAUSE_MAX);
                }
                Err(error) if error.is_fenced() => {
                    // As if its election had noticed; this one says it first, or second.
                    self.fenced(&error).await;
                    return Err(SubmitError::Ended);
                }
                Err(error) => return Err(SubmitError::Records(error.to_string())),
            }
        }
        Err(SubmitError::Ended)
    }

    async fn fenced(&self, error: &HighAvailabilityError) {
        let lost = Mail::LeadershipLost(Loss::Fenced(error.to_string()));
        // It may have ended by now.
        let _ = self.mailbox.send(lost).await;
    }

    /// Enters the lineage ([`Records::enter_lineage`]). None where another one leads by now: then
    /// this JobManager has ended.
    ///
    /// # Errors
    /// The store fails, or what is there can't be read.
    pub async fn enter_lineage(
        &self,
        is_first: bool,
    ) -> Result<Option<Entered>, HighAvailabilityError> {
        let Some(records) = &self.records else { return Ok(Some(Entered::default())) };
        match records.enter_lineage(is_first).await {
            Err(error) if error.is_fenced() => {
                self.fenced(&error).await;
                self.ended().await;
                Ok(None)
            }
            entered => entered.map(Some),
        }
    }

    async fn prepare(
        &self,
        submission: JobSubmission,
        configuration: Configuration,
        log_epoch: Option<Epoch>,
        restore: Option<CompletedCheckpoint>,
    ) -> Result<PreparedJob, SubmitError> {
        // As its tasks' processes find it.
        let graph_fingerprint = submission.graph.fingerprint();
        let (graph, requirements) = as_required(submission.graph, restore.as_ref());
        let checkpointing = CheckpointOptions::of(&configuration).is_periodic();
        let highest_checkpoint = match &self.store {
            Some(store) => store::highest_checkpoint(store, graph.job_id)
                .await
                .map_err(SubmitError::Invalid)?,
            None if checkpointing => {
                return Err(SubmitError::Invalid(
                    "execution.checkpointing.interval is set and this JobManager has no place for \
                     checkpoints; set execution.checkpointing.dir in its configuration"
                        .to_owned(),
                ));
            }
            None => CheckpointId(0),
        };
        let configured = savepoint::configured(&configuration);
        let configured = configured.filter(|_| submission.execute_ordinal == 0);
        let restore = self.begun_with(configured, restore, &graph, &configuration).await?;
        let mut splits = Vec::new();
        // What the savepoint knows finds its splits in its state.
        let known = |operator| restore.as_ref().is_some_and(|r| r.has_operator(operator));
        for (operator, parallelism) in sources(&graph).filter(|(operator, _)| !known(*operator)) {
            let found =
                submission.splits.enumerate(operator, parallelism).map_err(SubmitError::Source)?;
            splits.push((operator, parallelism, found));
        }
        let restored = restore.iter().flat_map(|r| r.coordinators.iter().cloned());
        let sources = SourceCoordinator::new(splits).with_restored(restored);
        let directory = self.store.as_ref();
        let information = JobInformation {
            job_id: graph.job_id,
            job_name: graph.name.clone(),
            graph_fingerprint,
            graph,
            build_id: self.build_id,
            arguments: submission.arguments,
            execute_ordinal: submission.execute_ordinal,
            earlier_results: submission.earlier_results,
            once_values: submission.once_values,
            configuration: keys_and_values(&configuration)?,
            checkpointing,
            checkpoint_directory: directory.map(|store| store.name.clone()),
            log_epoch,
        };
        Ok(PreparedJob {
            information: Arc::new(information),
            configuration,
            sources,
            restore,
            highest_checkpoint,
            requirements,
        })
    }

    /// What a job begins with. What it has published itself since goes before the savepoint that it
    /// once began with.
    async fn begun_with(
        &self,
        savepoint: Option<String>,
        own: Option<CompletedCheckpoint>,
        graph: &JobGraph,
        configuration: &Configuration,
    ) -> Result<Option<CompletedCheckpoint>, SubmitError> {
        let Some(path) = savepoint else { return Ok(own) };
        if let Some(own) = own {
            let (job, checkpoint) = (graph.job_id, own.id);
            tracing::warn!(
                %job,
                "the job goes on from its own checkpoint {checkpoint}; it isn't restored from the \
                 savepoint {path}, with which it may have begun: for that set another \
                 high-availability.cluster-id"
            );
            return Ok(Some(own));
        }
        let ignore = configuration.get(&checkpointing::IGNORE_UNCLAIMED_STATE);
        let restored = savepoint::restore(self.stores.as_ref(), &path, graph, ignore).await;
        restored.map(Some).map_err(|error| SubmitError::Restore(error.to_string()))
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

    /// Asks for a checkpoint or a savepoint of a job. Gives the name under which the job's facts
    /// tell what becomes of it.
    ///
    /// # Errors
    /// When it can't be taken in.
    pub async fn checkpoint(
        &self,
        job: JobId,
        command: CheckpointCommand,
    ) -> Result<TriggerId, CommandError> {
        let ends_job = match &command.kind {
            CommandKind::Checkpoint { .. } => false,
            CommandKind::Savepoint { cancel, .. } => *cancel,
            CommandKind::Stop { .. } => true,
        };
        let (reply, taken) = oneshot::channel();
        let mail = Mail::Checkpoint(job, command, reply);
        self.mailbox.send(mail).await.map_err(|_| CommandError::Ended)?;
        let name = taken.await.map_err(|_| CommandError::Ended)??;
        if ends_job {
            self.unread.operations.lock().insert(name);
        }
        Ok(name)
    }

    /// Gives vertices of a job another parallelism. Gives the name under which the job's facts tell
    /// what becomes of it.
    ///
    /// # Errors
    /// When it can't be taken in.
    pub async fn rescale(
        &self,
        job: JobId,
        trigger: Option<TriggerId>,
        parallelism: BTreeMap<JobVertexId, u32>,
    ) -> Result<TriggerId, CommandError> {
        let (reply, taken) = oneshot::channel();
        let mail = Mail::Rescale(job, trigger, parallelism, reply);
        self.mailbox.send(mail).await.map_err(|_| CommandError::Ended)?;
        taken.await.map_err(|_| CommandError::Ended)?
    }

    /// Deletes the savepoint at `path`. Gives the name under which `disposal` tells how that goes.
    ///
    /// # Errors
    /// When it can't be taken in.
    pub async fn dispose(
        &self,
        path: String,
        trigger: Option<TriggerId>,
    ) -> Result<TriggerId, CommandError> {
        let (reply, taken) = oneshot::channel();
        let mail = Mail::Dispose(path, trigger, reply);
        self.mailbox.send(mail).await.map_err(|_| CommandError::Ended)?;
        taken.await.map_err(|_| CommandError::Ended)?
    }

    /// Returns when everybody who asked a job to end with a savepoint has read how it went, or
    /// after this time.
    pub async fn outcomes_read(&self, at_most: Duration) {
        let read = async {
            loop {
                let changed = self.unread.changed.notified();
                if self.unread.operations.lock().is_empty() {
                    return;
                }
                changed.await;
            }
        };
        // Whoever doesn't ask again doesn't want to know.
        let _ = tokio::time::timeout(at_most, read).await;
    }

    /// Says that no more jobs will be handed in, and so that TaskManagers needn't be kept for any.
    pub async fn no_more_jobs(&self) {
        // If it has ended, so have they.
        let _ = self.mailbox.send(Mail::NoMoreJobs).await;
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

    /// Ends the JobManager and leaves its jobs and TaskManagers to the next leader, who needn't
    /// wait. Returns when that is done. For high availability only: else nobody would go on.
    pub async fn suspend(&self, reason: &str) {
        let (reply, done) = oneshot::channel();
        if self.mailbox.send(Mail::Suspend(reason.to_owned(), reply)).await.is_ok() {
            // It has ended either way.
            let _ = done.await;
        }
    }

    /// Returns when the JobManager has ended, for whatever reason.
    pub async fn ended(&self) {
        self.mailbox.closed().await;
    }

    /// Why it has ended, if it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.end.lock().clone()
    }

    /// Where jobs and values are recorded, with high availability.
    pub fn records(&self) -> Option<&Records> {
        self.records.as_ref()
    }
}

/// The graph of a job that goes on, with the parallelism that was asked for while it ran.
fn as_required(
    graph: Arc<JobGraph>,
    restore: Option<&CompletedCheckpoint>,
) -> (Arc<JobGraph>, Vec<VertexRequirement>) {
    let recorded = restore.map_or(&[][..], |restore| &restore.requirements);
    if recorded.is_empty() {
        return (graph, Vec::new());
    }
    let job = graph.job_id;
    match required(&graph, recorded) {
        Ok((graph, met)) => {
            let (met_count, asked) = (met.len(), recorded.len());
            tracing::info!(
                %job,
                "the job goes on with the parallelism that was asked for while it ran: \
                 {met_count} of {asked} vertices; the others' programs give another one by now"
            );
            (Arc::new(graph), met)
        }
        Err(error) => {
            tracing::warn!(
                %job,
                "the parallelism that was asked for while the job ran can't be had any more, it \
                 goes on with its program's: {error}"
            );
            (graph, Vec::new())
        }
    }
}

/// What is set, secrets included: TaskManagers need them.
fn keys_and_values(configuration: &Configuration) -> Result<BTreeMap<String, String>, SubmitError> {
    let value = serde_json::to_value(configuration);
    value.and_then(serde_json::from_value).map_err(|error| SubmitError::Invalid(error.to_string()))
}

fn refusal(error: CommandError) -> RestFailure {
    match error {
        CommandError::Unknown => RestFailure::JobNotFound,
        CommandError::NoTarget
        | CommandError::BadTarget(_)
        | CommandError::NoStore
        | CommandError::Parallelism(_) => RestFailure::Invalid(error.to_string()),
        CommandError::HasEnded(_)
        | CommandError::Ending
        | CommandError::Rescaling
        | CommandError::TooMany(_)
        | CommandError::DrainNeedsCheckpoints => RestFailure::Conflict(error.to_string()),
        CommandError::Ended => RestFailure::Unavailable(error.to_string()),
    }
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

    fn checkpoint(&self, job_id: &str, command: CheckpointCommand) -> RestReply<TriggerId> {
        let (this, job) = (self.clone(), job_id.parse::<JobId>());
        Box::pin(async move {
            let job = job.map_err(|_| RestFailure::JobNotFound)?;
            JobManagerHandle::checkpoint(&this, job, command).await.map_err(refusal)
        })
    }

    fn rescale(
        &self,
        job_id: &str,
        trigger: Option<TriggerId>,
        parallelism: BTreeMap<JobVertexId, u32>,
    ) -> RestReply<TriggerId> {
        let (this, job) = (self.clone(), job_id.parse::<JobId>());
        Box::pin(async move {
            let job = job.map_err(|_| RestFailure::JobNotFound)?;
            JobManagerHandle::rescale(&this, job, trigger, parallelism).await.map_err(refusal)
        })
    }

    fn dispose(&self, path: String, trigger: Option<TriggerId>) -> RestReply<TriggerId> {
        let this = self.clone();
        Box::pin(
            async move { JobManagerHandle::dispose(&this, path, trigger).await.map_err(refusal) },
        )
    }

    fn disposal(&self, trigger: TriggerId) -> Option<OperationOutcome> {
        self.disposals.outcome(trigger)
    }

    fn outcome_read(&self, trigger: TriggerId) {
        if self.unread.operations.lock().remove(&trigger) {
            self.unread.changed.notify_waiters();
        }
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
