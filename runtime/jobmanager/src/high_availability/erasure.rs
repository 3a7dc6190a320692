//! Deletes all that applications keep in a store, for good. What stays are the logs' claims, ends
//! and last segments: by these whoever still believes to lead is fenced, and nobody begins anew
//! where something was deleted. Not here: whether somebody leads, which is asked before.
//!
//! 1. Whoever comes next under the same name is told to begin elsewhere, where that is asked for;
//!    before that whoever leads is fenced, so that nobody tells them otherwise.
//! 2. Each cluster is claimed: its leader ends.
//! 3. Each job is claimed and ended, unless it has ended: nothing of it is published, committed or
//!    collected any more. It is looked again until no other cluster or job has appeared.
//! 4. Only then is anything deleted, manifests before what they name: a deletion that stops
//!    anywhere leaves no manifest without its objects. It is repeated until a listing shows
//!    nothing more, as tasks that are cut off may finish a write.
//! 5. Entries of the logs go by the collector's rules.
//!
//! What isn't named as an object of a job is somebody else's and stays. So does what is named as
//! one whose log isn't in the store where logs are claimed: nobody is kept from writing it. Runs
//! with a log claim it before they write anything but the application's name, which lies where
//! that log would be. Savepoints are elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::ids::{CheckpointId, JobId, OperatorId, cluster_log_id};
use thalweg_storage::log::collect::{CollectorView, deletion_order};
use thalweg_storage::log::{ClaimOutcome, Leader, Log, TerminalStatus, WriterId, collector, names};
use thalweg_storage::{BlobPath, BlobStore, layout};
use tokio::task::JoinSet;

use super::HighAvailabilityError;
use super::lineage::{self, LineageEntry};

/// Listings before it is given up as something still appears.
const ROUNDS_MAX: usize = 5;
/// The place of the logs' store among the two.
const WITH_LOGS: usize = 1;
/// Deletions at a time.
const DELETIONS_MAX: usize = 16;
/// What the entry says that ends a job so.
const FAILURE: &str = "the job's state was deleted";

/// What is to be deleted, and by whom.
#[derive(Clone)]
pub struct Erasure {
    /// Where logs and records are.
    pub store: Arc<dyn BlobStore>,
    /// Where checkpoints are, if that is another store.
    pub checkpoints: Option<Arc<dyn BlobStore>>,
    /// This process, in logs.
    pub writer: WriterId,
    /// Who it is, for people.
    pub address: String,
    /// What is entered into the lineage: whose state this was, and where the next one begins.
    pub successor: Option<LineageEntry>,
    /// Before the last listing: what tasks that were cut off had under way is there then.
    pub pause: Duration,
}

/// What there is in the stores.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// The clusters' logs.
    pub clusters: BTreeSet<JobId>,
    /// The jobs' logs.
    pub jobs: BTreeSet<JobId>,
    /// What is deleted, in this order, by the store that holds it: checkpoints', records'.
    pub doomed: [Vec<BlobPath>; 2],
    /// What is named as an object of a job without a log here, which may run: it stays.
    pub unclaimed: Vec<BlobPath>,
    /// What belongs to no job, and stays.
    pub foreign: Vec<BlobPath>,
}

/// Whose logs an erasure has claimed.
#[derive(Debug, Default)]
struct Claimed {
    clusters: BTreeSet<JobId>,
    /// They have ended, too.
    jobs: BTreeSet<JobId>,
}

impl Claimed {
    fn has(&self, log: JobId) -> bool {
        self.clusters.contains(&log) || self.jobs.contains(&log)
    }
}

impl Holdings {
    /// Whether a log says who may write here. Without one nobody can be kept from it.
    pub fn has_logs(&self) -> bool {
        !self.clusters.is_empty() || !self.jobs.is_empty()
    }
}

/// What belongs to whom, by its name.
enum Belongs {
    Log(JobId),
    Object(JobId),
    Probe,
    Lineage,
    Nobody,
}

fn belongs(path: &BlobPath) -> Belongs {
    if layout::lineage_of(path).is_some() {
        return Belongs::Lineage;
    }
    if names::probes().is_ok_and(|folder| path.is_within(&folder)) {
        return Belongs::Probe;
    }
    let folder = path.as_str().split_once('/').and_then(|(folder, _)| folder.parse().ok());
    let Some(job): Option<JobId> = folder else { return Belongs::Nobody };
    match names::parse(job, path) {
        Some(_) => Belongs::Log(job),
        None if is_named_as_ours(job, path) => Belongs::Object(job),
        None => Belongs::Nobody,
    }
}

/// Whether the engine makes such a name. The folder alone doesn't say it: that of a job of Apache
/// Flink's is 32 hexadecimal digits, too.
fn is_named_as_ours(job: JobId, path: &BlobPath) -> bool {
    let is_within = layout::job_folder(job).is_ok_and(|folder| path.is_within(&folder));
    let is_ours = layout::origin_of(path).is_some()
        || layout::is_record(path)
        || layout::checkpoint_of_manifest(path).is_some()
        || is_run_without_epoch(job, path);
    is_within && is_ours
}

/// Whether it is named as a run of a checkpoint that was taken before the job had a log.
fn is_run_without_epoch(job: JobId, path: &BlobPath) -> bool {
    let Some((folder, name)) = path.as_str().rsplit_once('/') else { return false };
    let checkpoint = folder.rsplit_once("/chk-").and_then(|(_, number)| number.parse().ok());
    let Some(checkpoint) = checkpoint.map(CheckpointId) else { return false };
    let expected = layout::checkpoint_folder(job, checkpoint);
    if !expected.is_ok_and(|expected| expected.as_str() == folder) {
        return false;
    }
    let of_subtask = || -> Option<bool> {
        let (operator, subtask) = name.split_once('-')?;
        let operator: OperatorId = operator.parse().ok()?;
        let made = layout::snapshot(job, checkpoint, operator, subtask.parse().ok()?);
        Some(made.as_ref() == Ok(path))
    };
    layout::attempt_of(path).is_some() || of_subtask() == Some(true)
}

impl Erasure {
    /// Looks at what there is. Changes nothing.
    ///
    /// # Errors
    /// A store fails.
    pub async fn look(&self) -> Result<Holdings, HighAvailabilityError> {
        let mut found = Holdings::default();
        let with_logs = self.store.list(&BlobPath::root()).await?;
        for path in &with_logs {
            match belongs(path) {
                Belongs::Log(job) => drop(found.jobs.insert(job)),
                // Written before the first claim.
                Belongs::Object(job) if layout::application(job)? == *path => {
                    found.clusters.insert(job);
                }
                _ => {}
            }
        }
        let elsewhere = match &self.checkpoints {
            Some(store) => store.list(&BlobPath::root()).await?,
            None => Vec::new(),
        };
        let is_claimable = |job| found.jobs.contains(&job) || found.clusters.contains(&job);
        for (place, paths) in [elsewhere, with_logs].into_iter().enumerate() {
            let has_logs = place == WITH_LOGS;
            let mut doomed = Vec::new();
            for path in paths {
                match belongs(&path) {
                    Belongs::Object(job) if is_claimable(job) => doomed.push(path),
                    Belongs::Probe if has_logs => doomed.push(path),
                    Belongs::Log(_) | Belongs::Lineage if has_logs => {}
                    Belongs::Object(_) | Belongs::Log(_) => found.unclaimed.push(path),
                    Belongs::Probe | Belongs::Lineage | Belongs::Nobody => {
                        found.foreign.push(path);
                    }
                }
            }
            let is_manifest = |path: &BlobPath| layout::checkpoint_of_manifest(path).is_some();
            let (names, rest): (Vec<_>, _) = doomed.into_iter().partition(is_name);
            found.doomed[place] = deletion_order(rest, is_manifest);
            found.doomed[place].extend(names);
        }
        self.tell_clusters_apart(&mut found).await?;
        Ok(found)
    }

    /// Clusters aren't ended, only claimed. The name of one is deleted last; one whose erasure was
    /// stopped after that is known by what only its leader writes, or by a log of nothing but
    /// claims.
    async fn tell_clusters_apart(&self, found: &mut Holdings) -> Result<(), HighAvailabilityError> {
        let led = led_by(&found.doomed);
        for job in std::mem::take(&mut found.jobs) {
            if found.clusters.contains(&job) {
                continue;
            }
            let is_cluster = match led.get(&job) {
                Some(is_cluster) => *is_cluster,
                None => {
                    let tail = Log::new(Arc::clone(&self.store), job).tail().await?;
                    tail.is_some_and(|tail| {
                        tail.header.latest_publish().is_none() && !tail.header.is_terminal()
                    })
                }
            };
            let kind = if is_cluster { &mut found.clusters } else { &mut found.jobs };
            kind.insert(job);
        }
        Ok(())
    }

    /// Deletes all of it, and says how many objects that were.
    ///
    /// # Errors
    /// A store fails, somebody else claims again and again, or objects appear again and again: a
    /// repeat goes on where this stopped.
    pub async fn erase(&self) -> Result<usize, HighAvailabilityError> {
        if let Some(successor) = &self.successor {
            lineage::enter(self.store.as_ref(), successor, false, self).await?;
        }
        let mut claimed = Claimed::default();
        let mut doomed = self.claim_all(&mut claimed).await?;
        let mut deleted = 0;
        for _ in 0..ROUNDS_MAX {
            deleted += self.delete(doomed, &claimed).await?;
            doomed = self.claim_all(&mut claimed).await?;
            if doomed.iter().all(Vec::is_empty) {
                tokio::time::sleep(self.pause).await;
                doomed = self.claim_all(&mut claimed).await?;
            }
            if doomed.iter().all(Vec::is_empty) {
                break;
            }
        }
        if let Some(one) = doomed.iter().flatten().next() {
            let (left, one) = (doomed.iter().map(Vec::len).sum(), one.to_string());
            return Err(HighAvailabilityError::StillWritten { left, one });
        }
        for job in &claimed.jobs {
            deleted += self.delete_entries(*job).await?;
        }
        Ok(deleted)
    }

    /// Claims what isn't claimed yet, clusters before jobs, until a look shows nothing more of it:
    /// a leader that was at claiming a job has claimed it before it was fenced, or doesn't run it.
    /// Gives what is to be deleted, which is of claimed jobs only.
    async fn claim_all(
        &self,
        claimed: &mut Claimed,
    ) -> Result<[Vec<BlobPath>; 2], HighAvailabilityError> {
        let mut last = None;
        for _ in 0..ROUNDS_MAX {
            let found = self.look().await?;
            let clusters = found.clusters.difference(&claimed.clusters).copied();
            if let Some(new) = some_of(clusters) {
                for cluster in new {
                    self.claim(cluster).await?;
                    claimed.clusters.insert(cluster);
                    last = Some(cluster);
                }
                continue;
            }
            let jobs = found.jobs.difference(&claimed.jobs).copied();
            let Some(new) = some_of(jobs) else { return Ok(found.doomed) };
            for job in new {
                if let Some(mut leader) = self.claim(job).await? {
                    let (status, why) = (TerminalStatus::Canceled, Some(FAILURE.to_owned()));
                    leader.terminal(status, why, None, None).await?;
                }
                claimed.jobs.insert(job);
                last = Some(job);
            }
        }
        let reason = "other jobs appear again and again: somebody still starts them".to_owned();
        let job = last.unwrap_or(JobId::new(0));
        Err(HighAvailabilityError::Inconsistent { job, reason })
    }

    /// Fences whoever leads; none if the job has ended. Where nobody succeeds, what is written is
    /// whose it was: a resource that is made again doesn't take this end for its own.
    async fn claim(&self, job: JobId) -> Result<Option<Leader>, HighAvailabilityError> {
        let log = Log::new(Arc::clone(&self.store), job);
        let owner = match &self.successor {
            Some(successor) => Some(successor.owner.clone()),
            None => log.tail().await?.and_then(|tail| tail.owner),
        };
        match Leader::claim_for(log, self.writer, &self.address, owner.as_deref()).await? {
            ClaimOutcome::Leads(leader) => Ok(Some(*leader)),
            ClaimOutcome::Finished(_) => Ok(None),
        }
    }

    async fn delete(
        &self,
        doomed: [Vec<BlobPath>; 2],
        claimed: &Claimed,
    ) -> Result<usize, HighAvailabilityError> {
        let mut deleted = 0;
        let stores = [self.checkpoints.as_ref(), Some(&self.store)];
        for (place, (paths, store)) in doomed.into_iter().zip(stores).enumerate() {
            let Some(store) = store else { continue };
            for write in store.unfinished(&BlobPath::root()).await? {
                let goes = match belongs(&write.path) {
                    Belongs::Object(job) => claimed.has(job),
                    Belongs::Log(job) => place == WITH_LOGS && claimed.has(job),
                    Belongs::Probe => place == WITH_LOGS,
                    Belongs::Lineage | Belongs::Nobody => false,
                };
                if goes {
                    store.discard_unfinished(&write).await?;
                }
            }
            deleted += paths.len();
            let manifests =
                paths.iter().take_while(|path| layout::checkpoint_of_manifest(path).is_some());
            let (first, rest) = paths.split_at(manifests.count());
            let others = rest.iter().take_while(|path| !is_name(path)).count();
            let (rest, last) = rest.split_at(others);
            for part in [first, rest, last] {
                delete_all(store, part).await?;
            }
        }
        Ok(deleted)
    }

    async fn delete_entries(&self, job: JobId) -> Result<usize, HighAvailabilityError> {
        let log = Log::new(Arc::clone(&self.store), job);
        let tail = log.tail().await?;
        let Some(view) = tail.and_then(|tail| CollectorView::of_terminal(&tail.header)) else {
            return Ok(0);
        };
        let plan = collector::plan_log(&log, &view, None).await?;
        Ok(collector::delete_entries(&log, &plan).await?)
    }
}

/// The jobs and clusters that have objects, and whether one of these is what only a cluster's
/// leader writes. One pass: many applications may share a place.
fn led_by(doomed: &[Vec<BlobPath>; 2]) -> BTreeMap<JobId, bool> {
    let mut led = BTreeMap::new();
    for path in doomed.iter().flatten() {
        if let Belongs::Object(job) = belongs(path) {
            *led.entry(job).or_insert(false) |= layout::is_of_clusters_leader(path);
        }
    }
    led
}

impl lineage::Fence for Erasure {
    /// It leads nothing: whoever begins here meanwhile is fenced in turn.
    async fn check(&self) -> Result<(), HighAvailabilityError> {
        Ok(())
    }

    async fn fence(&self, cluster_id: &str) -> Result<(), HighAvailabilityError> {
        self.claim(cluster_log_id(cluster_id)).await.map(drop)
    }
}

/// All of them, if there are any.
fn some_of(logs: impl Iterator<Item = JobId>) -> Option<Vec<JobId>> {
    let logs: Vec<JobId> = logs.collect();
    (!logs.is_empty()).then_some(logs)
}

/// Whether it says whose cluster id it is.
fn is_name(path: &BlobPath) -> bool {
    path.as_str().ends_with("/application")
}

/// Deletes some at a time.
async fn delete_all(
    store: &Arc<dyn BlobStore>,
    paths: &[BlobPath],
) -> Result<(), HighAvailabilityError> {
    for some in paths.chunks(DELETIONS_MAX) {
        let mut under_way = JoinSet::new();
        for path in some {
            let (store, path) = (Arc::clone(store), path.clone());
            under_way.spawn(async move { store.delete(&path).await });
        }
        while let Some(deleted) = under_way.join_next().await {
            match deleted {
                Ok(deleted) => deleted?,
                // None is aborted; one that panics is a bug of the store's.
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
