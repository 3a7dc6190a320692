//! What a store holds, for tools that look at it: its jobs, their checkpoints, and what their
//! logs say of those. Read only. Not here: what to make of it, and the runs' contents.

use std::collections::BTreeMap;

use thalweg_core::ids::{CheckpointId, JobId};

use crate::blob::{BlobPath, BlobStore};
use crate::layout;
use crate::log::{EntryBody, EntryHeader, Log, LogEntry, LogError, names};
use crate::manifest::{CheckpointManifest, ManifestError};

/// The objects of a store, by job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// The jobs' objects.
    pub jobs: BTreeMap<JobId, JobObjects>,
    /// Whether the store's root holds a manifest: then it's a savepoint's directory.
    pub savepoint: Option<BlobPath>,
}

/// The objects of one job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobObjects {
    /// All but those of its log, ascending.
    pub objects: Vec<BlobPath>,
    /// The manifests among them, by checkpoint. Of several of one checkpoint the log says which
    /// counts.
    pub manifests: Vec<(CheckpointId, BlobPath)>,
    /// The objects in its log's folder, ascending.
    pub log: Vec<BlobPath>,
}

impl Inventory {
    /// Sorts what was listed. What belongs to no job is left out.
    pub fn of(paths: impl IntoIterator<Item = BlobPath>) -> Inventory {
        let mut inventory = Inventory::default();
        let savepoint = layout::savepoint_manifest().ok();
        for path in paths {
            if savepoint.as_ref() == Some(&path) {
                inventory.savepoint = Some(path);
                continue;
            }
            // An object of a savepoint may have a name like a job's folder.
            let folder = path.as_str().split_once('/').and_then(|(folder, _)| folder.parse().ok());
            let Some(job): Option<JobId> = folder else { continue };
            let objects = inventory.jobs.entry(job).or_default();
            if names::folder(job).is_ok_and(|folder| path.is_within(&folder)) {
                objects.log.push(path);
                continue;
            }
            if let Some((_, checkpoint)) = layout::checkpoint_of_manifest(&path) {
                objects.manifests.push((checkpoint, path.clone()));
            }
            objects.objects.push(path);
        }
        for job in inventory.jobs.values_mut() {
            job.manifests.sort();
        }
        inventory
    }
}

/// The manifest of that name; `expected` is whose it must be.
///
/// # Errors
/// The store fails, or what is there isn't this manifest.
pub async fn read_manifest(
    store: &dyn BlobStore,
    path: &BlobPath,
    expected: Option<(JobId, CheckpointId)>,
) -> Result<CheckpointManifest, ManifestError> {
    let manifest = CheckpointManifest::from_bytes(&store.get(path).await?, path.as_str())?;
    let found = (manifest.job_id, manifest.checkpoint_id);
    if expected.is_some_and(|expected| expected != found) {
        let reason = format!("it's that of checkpoint {} of job {}", found.1, found.0);
        return Err(ManifestError::Damaged { place: path.to_string(), reason });
    }
    Ok(manifest)
}

/// What a log says of the checkpoints that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSummary {
    /// Its last entry.
    pub tail: LogEntry,
    /// The entries that publish checkpoints from `oldest` on, the newest first; those that were
    /// deleted, and older ones, are left out.
    pub publishes: Vec<LogEntry>,
}

impl LogSummary {
    /// The entry that publishes the manifest of that name.
    pub fn publish_of(&self, manifest: &BlobPath) -> Option<&LogEntry> {
        self.publishes.iter().find(|entry| match &entry.body {
            EntryBody::Publish { manifest: name, .. } => name == manifest.as_str(),
            EntryBody::Claim { .. } | EntryBody::Terminal { .. } => false,
        })
    }
}

/// Reads a log as far back as checkpoint `oldest`; nothing if it has no entries.
///
/// # Errors
/// The store fails, or an entry that has to be there is damaged or missing.
pub async fn read_log(log: &Log, oldest: CheckpointId) -> Result<Option<LogSummary>, LogError> {
    let Some(tail) = log.tail().await? else { return Ok(None) };
    let publishes = publishes(log, &tail.header, oldest).await?;
    Ok(Some(LogSummary { tail, publishes }))
}

async fn publishes(
    log: &Log,
    tail: &EntryHeader,
    oldest: CheckpointId,
) -> Result<Vec<LogEntry>, LogError> {
    let mut entries: Vec<LogEntry> = Vec::new();
    let mut next = tail.latest_publish();
    while let Some(published) = next {
        // The last one is never deleted; before it, whatever is missing was.
        let last = entries.is_empty();
        if !last
            && (published.checkpoint_id < oldest || log.read(published.position).await?.is_none())
        {
            break;
        }
        let entry = log.publish_of(published).await?;
        next = entry.header.previous_publish;
        entries.push(entry);
    }
    Ok(entries)
}
