//! `thalweg state gc --dry-run`: what the leading JobManager would delete now if no checkpoint were
//! being taken, and why the rest stays. The rules are `thalweg_storage::log::collect`'s. Nothing is
//! deleted here: who deletes has to lead.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde::Serialize;
use thalweg_core::ids::{CheckpointId, JobId};
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::log::collect::{CollectorView, ObjectClass, ObjectOrigin, Reason, reason};
use thalweg_storage::log::{EntryBody, Log, LogEntry, LogPosition, collector, names};
use thalweg_storage::{BlobPath, ManifestError, inventory, layout};

use super::error::StateCommandError;
use super::output;
use super::selection::{SelectedJob, Selection};
use super::store::OpenStore;

/// So many published checkpoints are looked for once a job has ended: how many its leader kept
/// isn't known, and those that are there stay.
const RETAINED_MAX: usize = 1000;

/// What would become of a job's objects.
#[derive(Debug, Serialize)]
pub(super) struct Collection {
    pub(super) job_id: String,
    pub(super) epoch: u64,
    pub(super) ended: bool,
    /// The published checkpoints that stay, the newest first.
    pub(super) retained: Vec<CheckpointId>,
    pub(super) delete: Vec<Decision>,
    pub(super) keep: Vec<Decision>,
}

/// What would become of an object, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Decision {
    pub(super) object: String,
    pub(super) why: String,
}

/// What stays because it's referred to, and by what.
struct Roots {
    referenced: BTreeMap<BlobPath, BTreeSet<CheckpointId>>,
    result: Option<BlobPath>,
    retained: Vec<CheckpointId>,
    /// The place of the oldest publish that stays.
    oldest: Option<LogPosition>,
}

/// Decides for all selected jobs that have a log. `retained` published checkpoints stay.
pub(super) fn plan(
    store: &OpenStore,
    logs: &OpenStore,
    selection: &Selection,
    retained: u32,
    separate_logs: bool,
) -> Result<Vec<Collection>, StateCommandError> {
    let mut collections = Vec::new();
    for job in &selection.jobs {
        if let Some(error) = &job.log_error {
            return Err(StateCommandError::Log(error.to_string()));
        }
        // What is in a cluster's own folder is never collected.
        let Some(tail) = job.log.as_ref().map(|log| &log.tail).filter(|_| !job.is_cluster()) else {
            continue;
        };
        let log = Log::new(logs.shared(), job.id);
        let ended = CollectorView::of_terminal(&tail.header);
        let view = ended.unwrap_or_else(|| CollectorView::as_seen(&tail.header));
        let count = if ended.is_some() { RETAINED_MAX } else { retained as usize };
        let roots = read_roots(store, logs, &log, tail, count)?;
        let mut collection = Collection {
            job_id: job.id.to_string(),
            epoch: tail.header.epoch.0,
            ended: ended.is_some(),
            retained: roots.retained.clone(),
            delete: Vec::new(),
            keep: Vec::new(),
        };
        for store in [Some(store), separate_logs.then_some(logs)].into_iter().flatten() {
            objects(store, job.id, &view, &roots, &mut collection)?;
        }
        log_entries(logs, &log, job, &view, &roots, &mut collection)?;
        collections.push(collection);
    }
    Ok(collections)
}

/// The last published checkpoints that are there. Without the very last one nothing is decided.
fn read_roots(
    store: &OpenStore,
    logs: &OpenStore,
    log: &Log,
    tail: &LogEntry,
    count: usize,
) -> Result<Roots, StateCommandError> {
    let failed = |error: thalweg_storage::log::LogError| StateCommandError::Log(error.to_string());
    let publishes = logs.wait(log.last_publishes(&tail.header, count)).map_err(failed)?;
    let result = match &tail.body {
        EntryBody::Terminal { results: Some(path), .. } => Some(BlobPath::parse(path)?),
        _ => None,
    };
    let mut roots =
        Roots { referenced: BTreeMap::new(), result, retained: Vec::new(), oldest: None };
    for (age, entry) in publishes.iter().enumerate() {
        let EntryBody::Publish { checkpoint_id, manifest: name } = &entry.body else { continue };
        let (id, path) = (*checkpoint_id, BlobPath::parse(name)?);
        let read = inventory::read_manifest(store.blobs(), &path, Some((log.job(), id)));
        let manifest = match store.wait(read) {
            Ok(manifest) => manifest,
            Err(ManifestError::Store(error)) if error.kind == BlobErrorKind::NotFound => {
                if age > 0 {
                    // A leader that kept fewer has deleted it, and those before it.
                    break;
                }
                let (job, manifest) = (log.job(), name.clone());
                return Err(StateCommandError::PublishedMissing { job, checkpoint: id, manifest });
            }
            Err(error) => return Err(error.into()),
        };
        for object in manifest.objects()?.into_iter().chain([path]) {
            roots.referenced.entry(object).or_default().insert(id);
        }
        roots.retained.push(id);
        roots.oldest = Some(entry.header.position);
    }
    Ok(roots)
}

/// Decides for all objects of the job in a store but those of its log.
fn objects(
    store: &OpenStore,
    job: JobId,
    view: &CollectorView,
    roots: &Roots,
    collection: &mut Collection,
) -> Result<(), StateCommandError> {
    let log = names::folder(job)?;
    let listed = store.wait(store.blobs().list(&layout::job_folder(job)?))?;
    for path in listed.into_iter().filter(|path| !path.is_within(&log)) {
        let origin = layout::origin_of(&path);
        let by = roots.referenced.get(&path);
        let is_result = roots.result.as_ref() == Some(&path);
        let reason = reason(view, origin, by.is_some() || is_result);
        let why = match (reason, by) {
            (Reason::Referenced, Some(by)) => {
                let ids: Vec<_> = by.iter().map(ToString::to_string).collect();
                format!("retained checkpoints refer to it: {}", ids.join(", "))
            }
            (Reason::Referenced, None) => "it's the job's result".to_owned(),
            (reason, _) => text(reason, origin),
        };
        let decision = Decision { object: path.to_string(), why };
        match reason.class() {
            ObjectClass::Garbage if view.may_collect() => collection.delete.push(decision),
            _ => collection.keep.push(decision),
        }
    }
    Ok(())
}

fn text(reason: Reason, origin: Option<ObjectOrigin>) -> String {
    let (epoch, id) = origin.map_or((0, 0), |of| (of.epoch.0, of.checkpoint_id.0));
    match reason {
        Reason::Referenced => "it's referred to".to_owned(),
        Reason::UnknownOrigin => "its name doesn't tell whose it is".to_owned(),
        Reason::LaterEpoch => format!("it's of epoch {epoch}, later than the log's last entry"),
        Reason::MayBePublished if id == u64::MAX => {
            format!("it's of epoch {epoch}, the log's last")
        }
        Reason::MayBePublished => format!("checkpoint {id} may still be published"),
        Reason::Superseded => {
            format!(
                "it's of checkpoint {id}: a later one is published, and no retained one needs it"
            )
        }
        Reason::OlderEpoch => {
            format!("it's of epoch {epoch}, whose leader is fenced, and nothing refers to it")
        }
        Reason::JobEnded => "the job has ended, and nothing refers to it".to_owned(),
    }
}

/// Decides for the entries of the log.
fn log_entries(
    logs: &OpenStore,
    log: &Log,
    job: &SelectedJob,
    view: &CollectorView,
    roots: &Roots,
    collection: &mut Collection,
) -> Result<(), StateCommandError> {
    let failed = |error: thalweg_storage::log::LogError| StateCommandError::Log(error.to_string());
    let plan = logs.wait(collector::plan_log(log, view, roots.oldest)).map_err(failed)?;
    let gone: BTreeSet<BlobPath> = plan
        .values()
        .flatten()
        .map(|position| names::entry(job.id, *position))
        .collect::<Result<_, _>>()?;
    for path in &job.log_objects {
        let deleted = gone.contains(path);
        let why = match deleted {
            true => "the log goes on behind its segment, and its checkpoint isn't retained",
            false => "the log's last segment and what a restart needs stay",
        };
        let decision = Decision { object: path.to_string(), why: why.to_owned() };
        let list = if deleted { &mut collection.delete } else { &mut collection.keep };
        list.push(decision);
    }
    Ok(())
}

/// Prints what was decided.
pub(super) fn print(
    collections: &[Collection],
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), StateCommandError> {
    if as_json {
        return output::json(out, &collections);
    }
    for collection in collections {
        let ids: Vec<_> = collection.retained.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "job {}, epoch {}{}: {} objects would be deleted, {} stay; retained checkpoints: {}\n",
            collection.job_id,
            collection.epoch,
            if collection.ended { ", ended" } else { "" },
            collection.delete.len(),
            collection.keep.len(),
            if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
        )?;
        let mut table = output::table(&["", "OBJECT", "WHY"]);
        let decisions = |word, list: &'_ [Decision]| -> Vec<[String; 3]> {
            let row = |d: &Decision| [String::from(word), d.object.clone(), d.why.clone()];
            list.iter().map(row).collect()
        };
        table.add_rows(decisions("delete", &collection.delete));
        table.add_rows(decisions("keep", &collection.keep));
        writeln!(out, "{table}\n")?;
    }
    Ok(())
}
