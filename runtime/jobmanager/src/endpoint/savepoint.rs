//! Savepoints at the edge: what users ask for is checked and passed on, manifests are written to
//! their directory, and what is restored from is read. Not here: taking one (`coordinator`).

use std::sync::Arc;

use thalweg_core::configuration::options::checkpointing;
use thalweg_core::configuration::{ConfigValue, Configuration, Location};
use thalweg_core::ids::{JobId, TriggerId};
use thalweg_core::job_graph::JobGraph;
use thalweg_core::status::JobStatus;
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::{
    BlobPath, BlobPathError, CheckpointKind, CheckpointManifest, ManifestError, layout, manifest,
};

use super::mail::{CheckpointCommand, CommandError, CommandKind, Mail};
use super::options::{CheckpointStore, StoreOpener};
use super::{JobManager, log, store};
use crate::checkpoint_coordinator::{
    CheckpointEvent, CheckpointRequest, CompletedCheckpoint, RequestKind, RestoreError,
};
use crate::dispatcher::Event;
use crate::job_master::JobMaster;

/// How many requests of a job wait at most.
const WAITING_MAX: usize = 64;

impl JobManager {
    /// Takes a command in and gives the name under which its outcome is found. One with a name
    /// that is known is a repetition.
    pub(super) fn command(
        &mut self,
        id: JobId,
        command: CheckpointCommand,
    ) -> Result<TriggerId, CommandError> {
        let job = self.dispatcher.job(id).ok_or(CommandError::Unknown)?;
        let coordinator = job.coordinator();
        let known = |trigger: &TriggerId| coordinator.operations().get(*trigger).is_some();
        if let Some(repeated) = command.trigger.filter(known) {
            return Ok(repeated);
        }
        self.takes_commands(job)?;
        if coordinator.is_full() {
            return Err(CommandError::TooMany(WAITING_MAX));
        }
        let information = Arc::clone(job.information());
        let target = |given: Option<String>| {
            let key = checkpointing::SAVEPOINT_DIRECTORY.key();
            let configured = || information.configuration.get(key).cloned();
            let given = given.filter(|text| !text.is_empty()).or_else(configured);
            let target = given.ok_or(CommandError::NoTarget)?;
            let location = Location::parse(&target).ok();
            let local = |l: &Location| l.local_path().is_none_or(|path| path.is_absolute());
            if location.is_some_and(|location| local(&location)) {
                Ok(target)
            } else {
                Err(CommandError::BadTarget(target))
            }
        };
        let kind = match command.kind {
            CommandKind::Checkpoint { .. } if self.store.is_none() => {
                return Err(CommandError::NoStore);
            }
            CommandKind::Checkpoint { full } => RequestKind::Checkpoint { full },
            CommandKind::Savepoint { target: given, cancel } => {
                RequestKind::Savepoint { target: target(given)?, cancel }
            }
            CommandKind::Stop { drain: true, .. } if !information.checkpointing => {
                return Err(CommandError::DrainNeedsCheckpoints);
            }
            CommandKind::Stop { target: given, drain } => {
                RequestKind::Stop { target: target(given)?, drain }
            }
        };
        let name = self.name_of_command(command.trigger);
        self.handle(Event::CheckpointRequested(id, CheckpointRequest { id: name, kind }));
        Ok(name)
    }

    /// Whether anything can be asked of a job.
    pub(super) fn takes_commands(&self, job: &JobMaster) -> Result<(), CommandError> {
        let status = job.status();
        let ending = matches!(status, JobStatus::Cancelling | JobStatus::Failing);
        if status.is_globally_terminal() {
            Err(CommandError::HasEnded(status))
        } else if ending || job.coordinator().is_stopping() {
            Err(CommandError::Ending)
        } else {
            Ok(())
        }
    }

    /// The command's own name, or one that no other has.
    pub(super) fn name_of_command(&mut self, own: Option<TriggerId>) -> TriggerId {
        self.commands += 1;
        let text = format!("{}/{}", self.dispatcher.options().seed, self.commands);
        own.unwrap_or_else(|| TriggerId::derive(&text))
    }

    /// Writes a savepoint's manifest. One that the job stops with is published in the job's own
    /// store after that: if the JobManager is lost before the job has ended, the next one ends it.
    pub(super) fn write_savepoint(&self, complete: CompletedCheckpoint) {
        let (id, job) = (complete.id, complete.job);
        let graph = self.dispatcher.job(job).map(|job| Arc::clone(&job.information().graph));
        let (Some(graph), Some(mailbox)) = (graph, self.weak_mailbox.upgrade()) else { return };
        let (stores, own) = (Arc::clone(&self.stores), self.store.clone());
        let runtime = self.runtime.clone();
        self.runtime.spawn_blocking(move || {
            runtime.block_on(async move {
                let written = write(stores.as_ref(), own.as_ref(), &graph, &complete).await;
                let mail = match written {
                    Ok((written, _, _)) if written.stopped && own.is_some() => {
                        Mail::SavepointWritten(Box::new(written))
                    }
                    Ok((_, path, bytes)) => {
                        let event = CheckpointEvent::Published { checkpoint: id, path, bytes };
                        Mail::Publication(job, event)
                    }
                    Err(cause) => {
                        let event = CheckpointEvent::PublishFailed { checkpoint: id, cause };
                        Mail::Publication(job, event)
                    }
                };
                // The JobManager may have ended.
                let _ = mailbox.send(mail).await;
            });
        });
    }

    /// Deletes what a savepoint that was given up has left behind.
    pub(super) fn delete_from_savepoint(&self, directory: String, objects: Vec<String>) {
        let (stores, runtime) = (Arc::clone(&self.stores), self.runtime.clone());
        self.runtime.spawn_blocking(move || {
            log::deletion(match stores.open_existing(&directory) {
                Ok(store) => runtime.block_on(store::delete(&store, &objects)),
                Err(cause) => Err(cause),
            });
        });
    }
}

/// Writes the manifest. Gives the savepoint with all of it in its directory, the directory, and the
/// manifest's length.
async fn write(
    stores: &dyn StoreOpener,
    own: Option<&CheckpointStore>,
    graph: &JobGraph,
    complete: &CompletedCheckpoint,
) -> Result<(CompletedCheckpoint, String, u64), String> {
    let directory = complete.directory.clone().unwrap_or_default();
    let target = stores.open(&directory)?;
    let places = store::Places { objects: &target, own };
    let mut manifest = store::manifest(places, graph, complete, None).await?;
    manifest.kind = CheckpointKind::Savepoint;
    let bytes = manifest.to_bytes().map_err(|error| error.to_string())?.len();
    let path = layout::savepoint_manifest().map_err(|error| error.to_string())?;
    let saved = manifest::save_to(target.store.as_ref(), &path, &manifest).await;
    saved.map_err(|error| error.to_string())?;
    let written = CompletedCheckpoint {
        stopped: complete.stopped,
        ..CompletedCheckpoint::of_manifest(&manifest, Some(directory.clone()))
    };
    Ok((written, directory, u64::try_from(bytes).unwrap_or(u64::MAX)))
}

/// A savepoint, or a checkpoint that was retained, as it was found.
#[derive(Debug, Clone)]
pub struct Savepoint {
    /// What is in it.
    pub manifest: CheckpointManifest,
    /// The store that its objects are in, by its name.
    pub directory: String,
    /// That store.
    pub store: CheckpointStore,
}

/// A savepoint can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SavepointError {
    /// Its place can't be read.
    #[error("the savepoint {path} can't be opened: {cause}")]
    Open {
        /// What the user gave.
        path: String,
        /// Why.
        cause: String,
    },
    /// There is none.
    #[error(
        "there is no savepoint at {path}: it has no file \"manifest\"; give the directory that \
         `thalweg savepoint` printed, or a retained checkpoint's (<job id>/chk-<n>)"
    )]
    Missing {
        /// What the user gave.
        path: String,
    },
    /// Its manifest can't be read.
    #[error("the savepoint {path} can't be used: {source}")]
    Manifest {
        /// What the user gave.
        path: String,
        /// Why.
        source: Box<ManifestError>,
    },
    /// A name in it is wrong.
    #[error("the savepoint {path} can't be used: {source}")]
    Name {
        /// What the user gave.
        path: String,
        /// Why.
        source: BlobPathError,
    },
    /// A checkpoint that isn't where it was.
    #[error(
        "{path} is a checkpoint, not a savepoint: it belongs with the other folders of its job and \
         is only found as <job id>/chk-<n>; it was moved or renamed"
    )]
    Moved {
        /// What the user gave.
        path: String,
    },
    /// It doesn't fit the job.
    #[error("the job can't begin with the savepoint {path}: {problems}")]
    Unfit {
        /// What the user gave.
        path: String,
        /// What stands against it.
        problems: String,
    },
    /// A part of it is gone or cut off.
    #[error(
        "the savepoint {path} is damaged: {object} can't be read up to its end: {cause}; restore \
         another one"
    )]
    Incomplete {
        /// What the user gave.
        path: String,
        /// The object.
        object: String,
        /// What the store says.
        cause: String,
    },
}

/// Reads the manifest of the savepoint (or retained checkpoint) at `path`, its directory or the
/// manifest itself, and sees to it that all objects are there with their full length. Blocks where
/// the store does.
///
/// # Errors
/// It isn't there, isn't whole, or is of a later version. Nothing was changed.
pub async fn open_savepoint(
    stores: &dyn StoreOpener,
    path: &str,
) -> Result<Savepoint, SavepointError> {
    let (savepoint, _) = find_savepoint(stores, path).await?;
    savepoint.look_at_objects(path).await?;
    Ok(savepoint)
}

/// The same without a look at its objects; gives the manifest's name in its folder, too.
pub(super) async fn find_savepoint(
    stores: &dyn StoreOpener,
    path: &str,
) -> Result<(Savepoint, BlobPath), SavepointError> {
    let name = |source| SavepointError::Name { path: path.to_owned(), source };
    let open = |cause| SavepointError::Open { path: path.to_owned(), cause };
    let trimmed = path.trim_end_matches('/');
    let (folder, file) = match trimmed.rsplit_once('/') {
        Some((folder, file)) if file.ends_with("manifest") => (folder, Some(file)),
        _ => (trimmed, None),
    };
    let place = stores.open_existing(folder).map_err(open)?;
    let manifest_path = match file {
        Some(file) => BlobPath::parse(file).map_err(name)?,
        None => manifest_in(&place).await.map_err(open)?,
    };
    let file = manifest_path.as_str();
    let bytes = place.store.get(&manifest_path).await.map_err(|error| match error.kind {
        BlobErrorKind::NotFound => SavepointError::Missing { path: path.to_owned() },
        _ => open(error.to_string()),
    })?;
    let manifest =
        CheckpointManifest::from_bytes(&bytes, &format!("{folder}/{file}")).map_err(|source| {
            SavepointError::Manifest { path: path.to_owned(), source: source.into() }
        })?;
    let (directory, store) = match (&manifest.stopped_with, manifest.kind) {
        (Some(directory), _) => {
            let directory = directory.clone();
            let store = stores.open_existing(&directory).map_err(open)?;
            (directory, store)
        }
        (None, CheckpointKind::Savepoint) => (folder.to_owned(), place),
        (None, CheckpointKind::Checkpoint) => {
            let own = layout::checkpoint_folder(manifest.job_id, manifest.checkpoint_id);
            let own = format!("/{}", own.map_err(name)?);
            let root = folder.strip_suffix(&own);
            let root = root.ok_or_else(|| SavepointError::Moved { path: path.to_owned() })?;
            let root = if root.is_empty() { "/" } else { root };
            (root.to_owned(), stores.open_existing(root).map_err(open)?)
        }
    };
    Ok((Savepoint { manifest, directory, store }, manifest_path))
}

/// The manifest in a folder: `manifest`; where several leaders have written one, the last leader's,
/// `e<epoch>-manifest`.
async fn manifest_in(folder: &CheckpointStore) -> Result<BlobPath, String> {
    let own = layout::savepoint_manifest().map_err(|error| error.to_string())?;
    let found = folder.store.list(&BlobPath::root()).await.map_err(|error| error.to_string())?;
    let epoch = |path: &BlobPath| -> Option<u64> {
        path.as_str().strip_prefix('e')?.strip_suffix("-manifest")?.parse().ok()
    };
    if found.contains(&own) {
        return Ok(own);
    }
    let of_leaders = found.into_iter().filter_map(|path| Some((epoch(&path)?, path)));
    Ok(of_leaders.max_by_key(|(epoch, _)| *epoch).map_or(own, |(_, path)| path))
}

impl Savepoint {
    /// What a job begins with.
    pub fn checkpoint(&self) -> CompletedCheckpoint {
        CompletedCheckpoint {
            stopped: false,
            ..CompletedCheckpoint::of_manifest(&self.manifest, Some(self.directory.clone()))
        }
    }

    /// What stands against beginning a job of this graph with it.
    pub fn problems(&self, graph: &JobGraph, ignore_unclaimed: bool) -> Vec<RestoreError> {
        let mut problems = self.checkpoint().problems(graph);
        let unclaimed = |p: &RestoreError| matches!(p, RestoreError::Unmatched { .. });
        problems.retain(|problem| !(ignore_unclaimed && unclaimed(problem)));
        problems
    }

    /// Reads the last byte of each snapshot.
    async fn look_at_objects(&self, path: &str) -> Result<(), SavepointError> {
        let subtasks = self.manifest.operators.iter().flat_map(|operator| &operator.subtasks);
        for subtask in subtasks.filter(|subtask| subtask.length > 0) {
            let object = BlobPath::parse(&subtask.object)
                .map_err(|source| SavepointError::Name { path: path.to_owned(), source })?;
            let end = subtask.offset.saturating_add(subtask.length);
            let read = self.store.store.get_range(&object, end.saturating_sub(1)..end).await;
            read.map_err(|error| SavepointError::Incomplete {
                path: path.to_owned(),
                object: subtask.object.clone(),
                cause: error.to_string(),
            })?;
        }
        Ok(())
    }
}

/// What a job of this graph begins with when it is restored from `path`.
///
/// # Errors
/// The savepoint can't be used, or doesn't fit the job.
pub(super) async fn restore(
    stores: &dyn StoreOpener,
    path: &str,
    graph: &JobGraph,
    ignore_unclaimed: bool,
) -> Result<CompletedCheckpoint, SavepointError> {
    let savepoint = open_savepoint(stores, path).await?;
    let problems = savepoint.problems(graph, ignore_unclaimed);
    if problems.is_empty() {
        return Ok(savepoint.checkpoint().without_unmatched(graph));
    }
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(SavepointError::Unfit { path: path.to_owned(), problems: problems.join("; ") })
}

/// The savepoint that a configuration says to begin with.
pub(super) fn configured(configuration: &Configuration) -> Option<String> {
    let path = configuration.get(&checkpointing::RECOVERY_PATH)?;
    Some(path.as_str().to_owned())
}
