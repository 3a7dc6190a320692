//! The checkpoints and savepoints at a place, each with what its job's log says of it. Not here:
//! what their manifests hold, which is read one at a time.

use thalweg_core::ids::{CheckpointId, JobId};
use thalweg_storage::inventory::{self, Inventory, LogSummary};
use thalweg_storage::log::{EntryBody, EntryHeader, Log, LogError, Published};
use thalweg_storage::{BlobPath, CheckpointManifest, ManifestError, layout};

use super::error::StateCommandError;
use super::location::{Location, Scope};
use super::store::OpenStore;

/// Looks at a place whose log publishes what wasn't listed: a job that runs may publish between
/// the listing and the log, but not each time.
const LOOKS_MAX: u32 = 100;

/// What is at a place.
pub(super) struct Selection {
    /// The jobs, each with its log and its manifests.
    pub(super) jobs: Vec<SelectedJob>,
    /// The savepoint's manifest, if the place is a savepoint's directory.
    pub(super) savepoint: Option<BlobPath>,
}

/// A job at the place.
pub(super) struct SelectedJob {
    pub(super) id: JobId,
    /// The manifests that are asked for, the oldest first.
    pub(super) manifests: Vec<(CheckpointId, BlobPath)>,
    /// Nothing if the job has no log, or it can't be read.
    pub(super) log: Option<LogSummary>,
    /// Why it can't be read.
    pub(super) log_error: Option<LogError>,
    /// The objects of its log.
    pub(super) log_objects: Vec<BlobPath>,
    /// What JobManagers have recorded beside the log.
    pub(super) records: Vec<BlobPath>,
}

/// Whether a checkpoint counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    /// There's no log: it counts as its manifest is there.
    Complete,
    /// The last one that the log publishes: a restart begins from it.
    Latest,
    /// The log publishes it.
    Published,
    /// The log doesn't publish it: it doesn't count.
    Unpublished,
    /// The log can't be read.
    Unknown,
}

impl Standing {
    pub(super) fn text(self) -> &'static str {
        match self {
            Standing::Complete => "complete",
            Standing::Latest => "latest",
            Standing::Published => "published",
            Standing::Unpublished => "unpublished",
            Standing::Unknown => "unknown",
        }
    }
}

impl Selection {
    /// What is at the place. The jobs' logs are in `logs`, if that is another store.
    pub(super) fn read(
        store: &OpenStore,
        logs: Option<&OpenStore>,
        scope: Scope,
    ) -> Result<Selection, StateCommandError> {
        let mut selection = Selection::look(store, logs, scope)?;
        for _ in 1..LOOKS_MAX {
            let missing: Vec<_> = selection.missing().collect();
            if missing.is_empty() {
                break;
            }
            let again = Selection::look(store, logs, scope)?;
            // One that is still missing is so for good; another one was published meanwhile.
            let for_good = again.missing().any(|place| missing.contains(&place));
            selection = again;
            if for_good {
                break;
            }
        }
        Ok(selection)
    }

    fn look(
        store: &OpenStore,
        logs: Option<&OpenStore>,
        scope: Scope,
    ) -> Result<Selection, StateCommandError> {
        let folder = match scope {
            Scope::Everything => BlobPath::root(),
            Scope::Job(job) | Scope::Checkpoint(job, _) => layout::job_folder(job)?,
        };
        let mut inventory = Inventory::of(store.wait(store.blobs().list(&folder))?);
        if let Some(logs) = logs {
            let listed = Inventory::of(logs.wait(logs.blobs().list(&folder))?);
            for (id, objects) in listed.jobs {
                let of_job = inventory.jobs.entry(id).or_default();
                of_job.log = objects.log;
                of_job.objects.extend(objects.objects.into_iter().filter(layout::is_record));
            }
        }
        let logs = logs.unwrap_or(store);
        let mut jobs = Vec::new();
        for (id, objects) in inventory.jobs {
            let mut manifests = objects.manifests;
            manifests.retain(|(checkpoint, _)| scope.contains(id, *checkpoint));
            let log = Log::new(logs.shared(), id);
            let oldest = manifests.first().map_or(CheckpointId(u64::MAX), |(id, _)| *id);
            let (log, log_error) = match logs.wait(inventory::read_log(&log, oldest)) {
                Ok(log) => (log, None),
                Err(error) => (None, Some(error)),
            };
            if !manifests.is_empty() || log.is_some() || log_error.is_some() {
                let log_objects = objects.log;
                let mut records = objects.objects;
                records.retain(layout::is_record);
                jobs.push(SelectedJob { id, manifests, log, log_error, log_objects, records });
            }
        }
        Ok(Selection { jobs, savepoint: inventory.savepoint })
    }

    /// The entries that publish what isn't there, by job.
    fn missing(&self) -> impl Iterator<Item = (JobId, Option<Published>)> {
        let missing = self.jobs.iter().filter(|job| job.missing().is_some());
        missing.map(|job| {
            let tail = job.log.as_ref().map(|log| &log.tail.header);
            (job.id, tail.and_then(EntryHeader::latest_publish))
        })
    }

    /// The one checkpoint that a command for one is about.
    pub(super) fn only(
        &self,
        store: &OpenStore,
        location: &Location,
    ) -> Result<CheckpointManifest, StateCommandError> {
        let path = location.directory.clone();
        if let Some(savepoint) = &self.savepoint {
            return Ok(store.wait(inventory::read_manifest(store.blobs(), savepoint, None))?);
        }
        let jobs: Vec<_> = self.jobs.iter().filter(|job| !job.manifests.is_empty()).collect();
        let job = match jobs.as_slice() {
            [] => return Err(StateCommandError::NothingThere { path }),
            [SelectedJob { log_error: Some(error), .. }]
                if !matches!(location.scope, Scope::Checkpoint(..)) =>
            {
                return Err(StateCommandError::Log(error.to_string()));
            }
            [job] => *job,
            several => {
                let jobs = several.iter().map(|job| job.id).collect();
                return Err(StateCommandError::SeveralJobs { path, jobs });
            }
        };
        let wanted = |(_, manifest): &&(CheckpointId, BlobPath)| match location.scope {
            Scope::Checkpoint(..) => true,
            _ => matches!(job.standing(manifest), Standing::Latest | Standing::Complete),
        };
        // Of several attempts at one checkpoint the published one counts.
        let rank = |(id, manifest): &&(CheckpointId, BlobPath)| {
            (*id, job.standing(manifest) != Standing::Unpublished)
        };
        let chosen = job.manifests.iter().filter(wanted).max_by_key(rank);
        let (id, manifest) = match (chosen, job.missing()) {
            (Some(chosen), _) => chosen,
            (None, Some(missing)) => return Err(missing),
            (None, None) => return Err(StateCommandError::NothingThere { path }),
        };
        let expected = Some((job.id, *id));
        Ok(store.wait(inventory::read_manifest(store.blobs(), manifest, expected))?)
    }
}

impl SelectedJob {
    /// Whether it's no job's log but the one in which JobManagers settle who leads their cluster.
    pub(super) fn is_cluster(&self) -> bool {
        [layout::leader(self.id), layout::application(self.id)]
            .into_iter()
            .any(|path| path.is_ok_and(|path| self.records.contains(&path)))
    }

    /// Whether the checkpoint with this manifest counts.
    pub(super) fn standing(&self, manifest: &BlobPath) -> Standing {
        let Some(log) = &self.log else {
            return match self.log_error {
                Some(_) => Standing::Unknown,
                None => Standing::Complete,
            };
        };
        match log.publish_of(manifest) {
            None => Standing::Unpublished,
            Some(entry) if Some(entry) == log.publishes.first() => Standing::Latest,
            Some(_) => Standing::Published,
        }
    }

    /// That the last published checkpoint isn't at the place.
    pub(super) fn missing(&self) -> Option<StateCommandError> {
        let latest = self.log.as_ref()?.publishes.first()?;
        let EntryBody::Publish { checkpoint_id: checkpoint, manifest } = &latest.body else {
            return None;
        };
        let there = self.manifests.iter().any(|(_, path)| path.as_str() == manifest);
        let (job, checkpoint, manifest) = (self.id, *checkpoint, manifest.clone());
        (!there).then_some(StateCommandError::PublishedMissing { job, checkpoint, manifest })
    }

    /// Reads one of its manifests.
    pub(super) fn manifest(
        &self,
        store: &OpenStore,
        (id, path): &(CheckpointId, BlobPath),
    ) -> Result<CheckpointManifest, ManifestError> {
        store.wait(inventory::read_manifest(store.blobs(), path, Some((self.id, *id))))
    }
}
