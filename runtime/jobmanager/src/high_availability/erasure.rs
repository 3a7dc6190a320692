//! Deletes all that applications keep in a store, for good. What stays are the logs' claims, ends
//! and last segments: by these whoever still believes to lead is fenced, and nobody begins anew
//! where something was deleted. Not here: whether somebody leads, which is asked before.
//!
//! 1. Whoever comes next under the same name is told to begin elsewhere, where that is asked for.
//! 2. Each cluster is claimed: its leader ends.
//! 3. Each job is claimed and ended, unless it has ended: nothing of it is published, committed or
//!    collected any more.
//! 4. Only then is anything deleted, manifests before what they name: a deletion that stops
//!    anywhere leaves no manifest without its objects. It is repeated until a listing shows
//!    nothing more, as tasks that are cut off may finish a write.
//! 5. Entries of the logs go by the collector's rules.
//!
//! What isn't named as an object of a job is somebody else's and stays; savepoints are elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_core::ids::JobId;
use thalweg_storage::log::collect::{CollectorView, deletion_order};
use thalweg_storage::log::{ClaimOutcome, Leader, Log, TerminalStatus, WriterId, collector, names};
use thalweg_storage::{BlobPath, BlobStore, layout};
use tokio::task::JoinSet;

use super::HighAvailabilityError;
use super::lineage::{self, LineageEntry};

/// Listings before what still appears is left.
const ROUNDS_MAX: usize = 5;
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
    /// What belongs to no job.
    pub foreign: Vec<BlobPath>,
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
    Deleted(JobId),
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
        None => Belongs::Deleted(job),
    }
}

impl Erasure {
    /// Looks at what there is. Changes nothing.
    ///
    /// # Errors
    /// A store fails.
    pub async fn look(&self) -> Result<Holdings, HighAvailabilityError> {
        let mut found = Holdings::default();
        let mut folders = BTreeSet::new();
        let stores = [self.checkpoints.as_ref(), Some(&self.store)];
        for (doomed, store) in found.doomed.iter_mut().zip(stores) {
            let Some(store) = store else { continue };
            for path in store.list(&BlobPath::root()).await? {
                match belongs(&path) {
                    Belongs::Log(job) => drop(found.jobs.insert(job)),
                    Belongs::Deleted(job) => {
                        if layout::application(job)? == path {
                            found.clusters.insert(job);
                        }
                        folders.insert(job);
                        doomed.push(path);
                    }
                    Belongs::Probe => doomed.push(path),
                    Belongs::Lineage => {}
                    Belongs::Nobody => found.foreign.push(path),
                }
            }
            let is_manifest = |path: &BlobPath| layout::checkpoint_of_manifest(path).is_some();
            let (names, rest) = std::mem::take(doomed).into_iter().partition(is_name);
            *doomed = deletion_order(rest, is_manifest);
            let names: Vec<BlobPath> = names;
            doomed.extend(names);
        }
        if found.has_logs() {
            // A job that wasn't claimed yet is, too.
            found.jobs.extend(folders);
        }
        self.tell_clusters_apart(&mut found).await?;
        Ok(found)
    }

    /// Clusters aren't ended, only claimed. The name of one is deleted last; one whose erasure was
    /// stopped after that is known by what only its leader writes, or by a log of nothing but
    /// claims.
    async fn tell_clusters_apart(&self, found: &mut Holdings) -> Result<(), HighAvailabilityError> {
        for job in std::mem::take(&mut found.jobs) {
            if found.clusters.contains(&job) {
                continue;
            }
            let folder = layout::job_folder(job)?;
            let of_job = || found.doomed.iter().flatten().filter(|path| path.is_within(&folder));
            let is_cluster = if of_job().next().is_some() {
                of_job().any(layout::is_of_clusters_leader)
            } else {
                let tail = Log::new(Arc::clone(&self.store), job).tail().await?;
                tail.is_some_and(|tail| {
                    tail.header.latest_publish().is_none() && !tail.header.is_terminal()
                })
            };
            let kind = if is_cluster { &mut found.clusters } else { &mut found.jobs };
            kind.insert(job);
        }
        Ok(())
    }

    /// Deletes all of it, and says how many objects that were.
    ///
    /// # Errors
    /// A store fails, or somebody else claims again and again: a repeat goes on where this stopped.
    pub async fn erase(&self) -> Result<usize, HighAvailabilityError> {
        let found = self.look().await?;
        if let Some(successor) = &self.successor {
            lineage::enter(self.store.as_ref(), successor, false).await?;
        }
        for cluster in &found.clusters {
            self.claim(*cluster).await?;
        }
        for job in &found.jobs {
            if let Some(mut leader) = self.claim(*job).await? {
                let (status, why) = (TerminalStatus::Canceled, Some(FAILURE.to_owned()));
                leader.terminal(status, why, None, None).await?;
            }
        }
        let mut deleted = 0;
        let mut doomed = found.doomed;
        for _ in 0..ROUNDS_MAX {
            deleted += self.delete(doomed).await?;
            doomed = self.look().await?.doomed;
            if doomed.iter().all(Vec::is_empty) {
                break;
            }
        }
        for job in &found.jobs {
            deleted += self.delete_entries(*job).await?;
        }
        Ok(deleted)
    }

    /// Fences whoever leads; none if the job has ended.
    async fn claim(&self, log: JobId) -> Result<Option<Leader>, HighAvailabilityError> {
        let log = Log::new(Arc::clone(&self.store), log);
        let owner = self.successor.as_ref().map(|successor| successor.owner.as_str());
        match Leader::claim_for(log, self.writer, &self.address, owner).await? {
            ClaimOutcome::Leads(leader) => Ok(Some(*leader)),
            ClaimOutcome::Finished(_) => Ok(None),
        }
    }

    async fn delete(&self, doomed: [Vec<BlobPath>; 2]) -> Result<usize, HighAvailabilityError> {
        let mut deleted = 0;
        let stores = [self.checkpoints.as_ref(), Some(&self.store)];
        for (paths, store) in doomed.into_iter().zip(stores) {
            let Some(store) = store else { continue };
            for write in store.unfinished(&BlobPath::root()).await? {
                if !matches!(belongs(&write.path), Belongs::Nobody | Belongs::Lineage) {
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
