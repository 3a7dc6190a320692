//! What programs and jobs leave in the store for whoever leads next: values of `env.once`, the
//! JobGraph, results; and claiming a job with all that is known of it. Not here: appending to a
//! job's log once it is claimed (`job_log`), and deleting (`garbage`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_core::ids::{CheckpointId, Epoch, JobId, cluster_log_id};
use thalweg_core::job_graph::JobGraph;
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::log::collect::CollectorView;
use thalweg_storage::log::{
    ClaimOutcome, EntryBody, Leader, Log, LogEntry, LogError, Refusal, WriterId, probe,
};
use thalweg_storage::{
    BlobPath, CoordinatorState, ManifestError, PutOutcome, layout, manifest, sealed,
};
use tokio::runtime::Handle;

use super::lineage::{self, Entered, LineageEntry};
use super::off_thread::off_thread;
use super::{HighAvailabilityError, garbage, recorded_result};
use crate::checkpoint_coordinator::CompletedCheckpoint;
use crate::endpoint::CheckpointStore;
use crate::job_master::JobResult;

/// The version of each of the objects here.
const FORMAT_VERSION: u64 = 1;

/// What records are opened with.
#[derive(Debug, Clone)]
pub struct RecordsOptions {
    /// Where logs and records are.
    pub store: CheckpointStore,
    /// Where checkpoints are; may be the same.
    pub checkpoints: CheckpointStore,
    /// The application's identity.
    pub cluster_id: String,
    /// Its name.
    pub application: String,
    /// This process, in logs.
    pub writer: WriterId,
    /// Where it is, for people.
    pub address: String,
    /// The uid of the resource that it belongs to, if there is one.
    pub owner: Option<String>,
}

/// What an earlier resource of the same name has left of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierRun {
    /// The resource.
    pub owner: String,
    /// Whether the job had ended: then it isn't run. Else it goes on.
    pub ended: bool,
    /// The last published checkpoint, and its folder.
    pub checkpoint: Option<(CheckpointId, String)>,
    /// Whether it has ended because it was stopped with a savepoint: to go on with that, which the
    /// checkpoint names, loses nothing and repeats nothing.
    pub stopped: bool,
}

/// The records of an application. Clones are the same.
#[derive(Debug, Clone)]
pub struct Records {
    options: Arc<RecordsOptions>,
}

/// A job that this process leads.
pub struct ClaimedJob {
    pub(crate) leader: Leader,
    /// The last published checkpoint: what it goes on with.
    pub restore: Option<CompletedCheckpoint>,
    /// Whose that is, if it is an earlier resource's.
    pub(crate) earlier: Option<EarlierRun>,
}

/// What became of a claim.
pub(crate) enum Claimed {
    Leads(Box<ClaimedJob>),
    /// The job has ended like this; the folder of its last checkpoint, if it had any.
    Ended(Box<JobResult>, Option<String>, Option<EarlierRun>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplicationRecord {
    application: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnceRecord {
    name: String,
    /// Bytes as hexadecimal digits.
    value: CoordinatorState,
}

impl Records {
    /// Opens the records: tries whether the store honours conditional writes, and takes the
    /// cluster id for this application.
    ///
    /// # Errors
    /// The store can't be used, or the cluster id is another application's.
    pub async fn open(
        options: RecordsOptions,
        runtime: &Handle,
    ) -> Result<Self, HighAvailabilityError> {
        let asynchronous = |store: &CheckpointStore| CheckpointStore {
            store: off_thread(store, runtime),
            name: store.name.clone(),
            blocking: false,
        };
        let store = asynchronous(&options.store);
        let checkpoints = asynchronous(&options.checkpoints);
        let options = RecordsOptions { store, checkpoints, ..options };
        let this = Self { options: Arc::new(options) };
        let tried = probe::probe(this.options.store.store.as_ref(), this.options.writer).await;
        tried.map_err(|source| HighAvailabilityError::Unusable {
            location: this.options.store.name.clone(),
            source: Box::new(source),
        })?;
        this.admit_application().await?;
        Ok(this)
    }

    /// Where logs and records are, usable from async code.
    pub fn store(&self) -> &CheckpointStore {
        &self.options.store
    }

    /// Where checkpoints are, usable from async code.
    pub fn checkpoints(&self) -> &CheckpointStore {
        &self.options.checkpoints
    }

    /// The application's identity.
    pub fn cluster_id(&self) -> &str {
        &self.options.cluster_id
    }

    /// This process, in logs.
    pub(super) fn writer(&self) -> WriterId {
        self.options.writer
    }

    fn cluster(&self) -> JobId {
        cluster_log_id(&self.options.cluster_id)
    }

    async fn admit_application(&self) -> Result<(), HighAvailabilityError> {
        let path = layout::application(self.cluster())?;
        let name = self.options.application.clone();
        let record = ApplicationRecord { application: name.clone() };
        let found: ApplicationRecord = self.first(&path, &record).await?;
        if found.application == name {
            return Ok(());
        }
        Err(HighAvailabilityError::OtherApplication {
            location: self.options.store.name.clone(),
            cluster_id: self.options.cluster_id.clone(),
            found: found.application,
            name,
        })
    }

    /// The value of `env.once` that is recorded under this name.
    ///
    /// # Errors
    /// The store fails, or the value is damaged.
    pub async fn once(&self, name: &str) -> Result<Option<Vec<u8>>, HighAvailabilityError> {
        let path = layout::once(self.cluster(), name)?;
        match self.read(&path).await? {
            Some(bytes) => {
                let record = sealed::from_bytes(&bytes, FORMAT_VERSION, path.as_str())?;
                value_of(record, name, &path).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Records a value of `env.once`, unless there is one: gives the one that counts.
    ///
    /// # Errors
    /// The store fails, or the value is damaged.
    pub async fn record_once(
        &self,
        name: &str,
        value: Vec<u8>,
    ) -> Result<Vec<u8>, HighAvailabilityError> {
        let path = layout::once(self.cluster(), name)?;
        let record = OnceRecord { name: name.to_owned(), value: CoordinatorState(value) };
        value_of(self.first(&path, &record).await?, name, &path)
    }

    /// Whether the last claim of the cluster is this process's. Where nobody claims it, it is.
    async fn leads_cluster(&self) -> Result<(), HighAvailabilityError> {
        let log = Log::new(Arc::clone(&self.options.store.store), self.cluster());
        match log.tail().await? {
            Some(last) if last.header.writer != self.options.writer => {
                Err(LogError::Refused(Refusal::Fenced(last.header)).into())
            }
            _ => Ok(()),
        }
    }

    /// Claims a job: from now on nobody else publishes, commits or deletes anything of it. Of one
    /// that has ended, `retained` published checkpoints are kept.
    ///
    /// Only the cluster's leader goes on with it: one that was slow may come after its successor,
    /// whose tasks would run from an older checkpoint then than those of the slow one. So the
    /// cluster's log is looked at before, which saves the successor a restart, and after, which
    /// makes claims that go on follow each other as the leaders do.
    ///
    /// # Errors
    /// The store fails, what is recorded can't be used, or another leader is known (`is_fenced`).
    pub(crate) async fn claim(
        &self,
        job: JobId,
        retained: usize,
    ) -> Result<Claimed, HighAvailabilityError> {
        self.leads_cluster().await?;
        let log = Log::new(Arc::clone(&self.options.store.store), job);
        let (writer, address) = (self.options.writer, &self.options.address);
        let owner = self.options.owner.as_deref();
        let outcome = Leader::claim_for(log.clone(), writer, address, owner).await?;
        self.leads_cluster().await?;
        self.claimed(&log, outcome, retained).await
    }

    async fn claimed(
        &self,
        log: &Log,
        outcome: ClaimOutcome,
        retained: usize,
    ) -> Result<Claimed, HighAvailabilityError> {
        let job = log.job();
        match outcome {
            ClaimOutcome::Finished(entry) => {
                let ended = self.ended(log, &entry, retained).await?;
                let last = entry.header.latest_publish().map(|last| last.checkpoint_id);
                let last = last.filter(|_| ended.is_some());
                let mut earlier = self.earlier(job, entry.owner.as_deref(), true, last)?;
                if let (Some(earlier), Some(_)) = (&mut earlier, last) {
                    earlier.stopped = self.was_stopped(log, &entry).await?;
                }
                let last = last.map(|id| self.folder(job, id)).transpose()?;
                let result = ended.unwrap_or_else(|| recorded_result::deleted(job, &entry));
                Ok(Claimed::Ended(Box::new(result), last, earlier))
            }
            ClaimOutcome::Leads(leader) => {
                let restore = match leader.restore().await? {
                    Some(entry) => Some(self.checkpoint(job, &entry).await?),
                    None => None,
                };
                let last = restore.as_ref().map(|restore| restore.id);
                // What nothing was published of isn't gone on with.
                let before = leader.owner_before().filter(|_| last.is_some());
                let earlier = self.earlier(job, before, false, last)?;
                Ok(Claimed::Leads(Box::new(ClaimedJob { leader: *leader, restore, earlier })))
            }
        }
    }

    /// The folder of a checkpoint, as people name it.
    fn folder(&self, job: JobId, id: CheckpointId) -> Result<String, HighAvailabilityError> {
        let folder = layout::checkpoint_folder(job, id)?;
        Ok(format!("{}/{folder}", self.options.checkpoints.name))
    }

    /// What an earlier resource has left, if `owner` is one. Where nobody wrote down whose an entry
    /// is, it is taken for this one's.
    fn earlier(
        &self,
        job: JobId,
        owner: Option<&str>,
        ended: bool,
        last: Option<CheckpointId>,
    ) -> Result<Option<EarlierRun>, HighAvailabilityError> {
        let own = self.options.owner.as_deref();
        let Some(owner) = owner.filter(|owner| own.is_some_and(|own| own != *owner)) else {
            return Ok(None);
        };
        let checkpoint = last.map(|id| self.folder(job, id).map(|folder| (id, folder)));
        let (owner, checkpoint) = (owner.to_owned(), checkpoint.transpose()?);
        Ok(Some(EarlierRun { owner, ended, checkpoint, stopped: false }))
    }

    /// Whether a job that has ended was stopped with a savepoint. Not if its last checkpoint, which
    /// would say so, wasn't to be kept.
    async fn was_stopped(
        &self,
        log: &Log,
        terminal: &LogEntry,
    ) -> Result<bool, HighAvailabilityError> {
        let Some(last) = terminal.header.latest_publish() else { return Ok(false) };
        let entry = log.publish_of(last).await?;
        match self.checkpoint(log.job(), &entry).await {
            Ok(checkpoint) => Ok(checkpoint.stopped),
            Err(HighAvailabilityError::Checkpoint { source, .. }) if is_missing(&source) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Enters this application's identity as the one that its newest state has, where it belongs
    /// to a resource. `is_first`: it is that of a resource of which nothing is known.
    ///
    /// # Errors
    /// The store fails for longer than this waits, what is there can't be read, or another leader
    /// is known (`is_fenced`).
    pub async fn enter_lineage(&self, is_first: bool) -> Result<Entered, HighAvailabilityError> {
        let Some(owner) = self.options.owner.clone() else { return Ok(Entered::default()) };
        let own = LineageEntry { owner, cluster_id: self.options.cluster_id.clone() };
        lineage::enter(self.options.store.store.as_ref(), &own, is_first, self).await
    }

    async fn checkpoint(
        &self,
        job: JobId,
        entry: &LogEntry,
    ) -> Result<CompletedCheckpoint, HighAvailabilityError> {
        let EntryBody::Publish { checkpoint_id, manifest } = &entry.body else {
            let reason = format!("entry {} should publish a checkpoint", entry.header.position);
            return Err(HighAvailabilityError::Inconsistent { job, reason });
        };
        let path = BlobPath::parse(manifest)?;
        let store = &self.options.checkpoints;
        let read = manifest::load_from(store.store.as_ref(), &path, job, *checkpoint_id).await;
        let found = read.map_err(|source| HighAvailabilityError::Checkpoint {
            job,
            manifest: manifest.clone(),
            location: store.name.clone(),
            source: Box::new(source),
        })?;
        Ok(CompletedCheckpoint::of_manifest(&found, None))
    }

    /// How a job has ended; what its last leader left to be cleaned up is. None: its state was
    /// deleted, with the result.
    async fn ended(
        &self,
        log: &Log,
        entry: &LogEntry,
        retained: usize,
    ) -> Result<Option<JobResult>, HighAvailabilityError> {
        let job = log.job();
        let EntryBody::Terminal { results, .. } = &entry.body else {
            let reason = format!("entry {} isn't its end", entry.header.position);
            return Err(HighAvailabilityError::Inconsistent { job, reason });
        };
        let Some(path) = results else { return Ok(None) };
        let path = BlobPath::parse(path)?;
        let Some(bytes) = self.read(&path).await? else { return Ok(None) };
        let result = recorded_result::from_bytes(&bytes, job, path.as_str())?;
        if let Some(view) = CollectorView::of_terminal(&entry.header) {
            let mut roots = garbage::Roots::new(retained);
            if let Err(error) = garbage::collect(self, log, &view, &mut roots, Some(&path)).await {
                tracing::warn!(%job, "cleaning up after the job is left to the next one: {error}");
            }
        }
        Ok(Some(result))
    }

    /// Stores the graph that a leader of the job runs, for people.
    pub(crate) async fn record_graph(
        &self,
        graph: &JobGraph,
        epoch: Epoch,
    ) -> Result<(), HighAvailabilityError> {
        let path = layout::of_epoch(&layout::graph(graph.job_id)?, Some(epoch))?;
        let bytes = sealed::to_bytes(graph, FORMAT_VERSION, path.as_str())?;
        Ok(self.options.store.store.put(&path, bytes).await?)
    }

    /// Stores a result, to be named by the terminal entry.
    pub(crate) async fn record_result(
        &self,
        result: &JobResult,
        epoch: Epoch,
    ) -> Result<BlobPath, HighAvailabilityError> {
        let path = layout::of_epoch(&layout::result(result.job)?, Some(epoch))?;
        let bytes = recorded_result::to_bytes(result, path.as_str())?;
        self.options.store.store.put(&path, bytes).await?;
        Ok(path)
    }

    async fn read(&self, path: &BlobPath) -> Result<Option<Vec<u8>>, HighAvailabilityError> {
        match self.options.store.store.get(path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind == BlobErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object unless there is one; gives what is there. After an unknown outcome too:
    /// whatever is read is what everybody reads from now on.
    async fn first<T: Serialize + serde::de::DeserializeOwned>(
        &self,
        path: &BlobPath,
        content: &T,
    ) -> Result<T, HighAvailabilityError> {
        let bytes = sealed::to_bytes(content, FORMAT_VERSION, path.as_str())?;
        let put = self.options.store.store.put_if_absent(path, bytes.clone()).await;
        let there = match (put, self.read(path).await?) {
            (_, Some(there)) => there,
            (Ok(PutOutcome::Created | PutOutcome::AlreadyExists), None) => {
                let reason = format!("{path} was written and isn't there");
                return Err(HighAvailabilityError::Inconsistent { job: self.cluster(), reason });
            }
            (Err(error), None) => return Err(error.into()),
        };
        Ok(sealed::from_bytes(&there, FORMAT_VERSION, path.as_str())?)
    }
}

impl lineage::Fence for Records {
    async fn check(&self) -> Result<(), HighAvailabilityError> {
        self.leads_cluster().await
    }

    async fn fence(&self, cluster_id: &str) -> Result<(), HighAvailabilityError> {
        let store = Arc::clone(&self.options.store.store);
        let log = Log::new(store, cluster_log_id(cluster_id));
        // Nobody has led there. Of this process's own claim nothing more is to be fenced.
        let led = log.tail().await?.filter(|tail| tail.header.writer != self.options.writer);
        if led.is_some() {
            let (writer, address) = (self.options.writer, &self.options.address);
            Leader::claim_for(log, writer, address, self.options.owner.as_deref()).await?;
        }
        Ok(())
    }
}

fn value_of(
    record: OnceRecord,
    name: &str,
    path: &BlobPath,
) -> Result<Vec<u8>, HighAvailabilityError> {
    let CoordinatorState(value) = record.value;
    if record.name == name {
        return Ok(value);
    }
    let (place, found, name) = (path.to_string(), record.name, name.to_owned());
    Err(HighAvailabilityError::OtherValue { place, found, name })
}

/// Whether a manifest isn't there.
fn is_missing(error: &ManifestError) -> bool {
    matches!(error, ManifestError::Store(error) if error.kind == BlobErrorKind::NotFound)
}
