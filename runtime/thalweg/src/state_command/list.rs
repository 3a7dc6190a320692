//! `thalweg state ls`: the jobs, checkpoints and savepoints at a place.

use std::io::Write;

use serde::Serialize;
use thalweg_core::ids::CheckpointId;
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::log::{EntryBody, EntryKind};
use thalweg_storage::{BlobPath, CheckpointKind, CheckpointManifest, ManifestError, inventory};

use super::error::StateCommandError;
use super::output;
use super::selection::{SelectedJob, Selection, Standing};
use super::store::OpenStore;

#[derive(Serialize)]
struct Listing {
    jobs: Vec<JobLine>,
    checkpoints: Vec<CheckpointLine>,
}

/// What a job's log says; jobs without a log have none.
#[derive(Serialize, Default)]
struct JobLine {
    job_id: String,
    /// It isn't a job's log but a cluster's.
    is_cluster: bool,
    epoch: Option<u64>,
    last_entry: Option<u64>,
    leader: Option<String>,
    latest_checkpoint: Option<CheckpointId>,
    ended: Option<String>,
    error: Option<String>,
}

#[derive(Serialize)]
struct CheckpointLine {
    /// Unknown of a savepoint that can't be read.
    job_id: Option<String>,
    checkpoint_id: Option<CheckpointId>,
    manifest: String,
    standing: Standing,
    log_position: Option<u64>,
    epoch: Option<u64>,
    #[serde(flatten)]
    contents: Contents,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Contents {
    Read {
        kind: CheckpointKind,
        trigger_time_ms: i64,
        completion_time_ms: i64,
        state_bytes: u64,
        operators: usize,
        objects: usize,
    },
    Unreadable {
        error: String,
    },
}

/// Prints what is at the place.
pub(super) fn list(
    store: &OpenStore,
    selection: &Selection,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), StateCommandError> {
    let listing = read(store, selection)?;
    match as_json {
        true => output::json(out, &listing),
        false => print(&listing, out),
    }
}

fn read(store: &OpenStore, selection: &Selection) -> Result<Listing, StateCommandError> {
    let mut checkpoints = Vec::new();
    for job in &selection.jobs {
        for found in &job.manifests {
            let manifest = job.manifest(store, found);
            if let Err(ManifestError::Store(error)) = &manifest
                && error.kind == BlobErrorKind::NotFound
            {
                // It was listed: a newer checkpoint has taken its place meanwhile.
                continue;
            }
            checkpoints.push(checkpoint_line(job, found, manifest));
        }
    }
    if let Some(path) = &selection.savepoint {
        let manifest = store.wait(inventory::read_manifest(store.blobs(), path, None));
        let read = manifest.as_ref().ok();
        checkpoints.push(CheckpointLine {
            job_id: read.map(|manifest| manifest.job_id.to_string()),
            checkpoint_id: read.map(|manifest| manifest.checkpoint_id),
            manifest: path.to_string(),
            standing: Standing::Complete,
            log_position: None,
            epoch: None,
            contents: contents(manifest),
        });
    }
    Ok(Listing { jobs: selection.jobs.iter().filter_map(job_line).collect(), checkpoints })
}

fn job_line(job: &SelectedJob) -> Option<JobLine> {
    if let Some(error) = &job.log_error {
        let (job_id, error) = (job.id.to_string(), Some(error.to_string()));
        let is_cluster = job.is_cluster();
        return Some(JobLine { job_id, is_cluster, error, ..JobLine::default() });
    }
    let tail = &job.log.as_ref()?.tail;
    let leader = match &tail.body {
        EntryBody::Claim { leader } => Some(leader.clone()),
        EntryBody::Publish { .. } | EntryBody::Terminal { .. } => None,
    };
    let ended = match tail.header.kind {
        EntryKind::Terminal(status) => Some(thalweg_core::status::JobStatus::from(status)),
        EntryKind::Claim | EntryKind::Publish(_) => None,
    };
    Some(JobLine {
        job_id: job.id.to_string(),
        is_cluster: job.is_cluster(),
        epoch: Some(tail.header.epoch.0),
        last_entry: Some(tail.header.position.0),
        leader,
        latest_checkpoint: tail.header.latest_publish().map(|latest| latest.checkpoint_id),
        ended: ended.map(|status| status.to_string()),
        error: None,
    })
}

fn checkpoint_line(
    job: &SelectedJob,
    (checkpoint_id, path): &(CheckpointId, BlobPath),
    manifest: Result<CheckpointManifest, ManifestError>,
) -> CheckpointLine {
    let entry = job.log.as_ref().and_then(|log| log.publish_of(path));
    CheckpointLine {
        job_id: Some(job.id.to_string()),
        checkpoint_id: Some(*checkpoint_id),
        manifest: path.to_string(),
        standing: job.standing(path),
        log_position: entry.map(|entry| entry.header.position.0),
        epoch: entry.map(|entry| entry.header.epoch.0),
        contents: contents(manifest),
    }
}

fn contents(manifest: Result<CheckpointManifest, ManifestError>) -> Contents {
    let read = manifest.and_then(|manifest| Ok((manifest.objects()?.len(), manifest)));
    match read {
        Ok((objects, manifest)) => Contents::Read {
            kind: manifest.kind,
            trigger_time_ms: manifest.trigger_time_ms,
            completion_time_ms: manifest.completion_time_ms,
            state_bytes: super::runs::of(&manifest).map(|run| run.length).sum(),
            operators: manifest.operators.len(),
            objects,
        },
        Err(error) => Contents::Unreadable { error: error.to_string() },
    }
}

fn print(listing: &Listing, out: &mut dyn Write) -> Result<(), StateCommandError> {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    if !listing.jobs.is_empty() {
        let mut table =
            output::table(&["LOG OF", "ID", "EPOCH", "LAST ENTRY", "LEADER", "LATEST", "ENDED"]);
        for job in &listing.jobs {
            table.add_row([
                if job.is_cluster { "cluster" } else { "job" }.to_owned(),
                job.job_id.clone(),
                or_dash(job.epoch.map(|epoch| epoch.to_string())),
                or_dash(job.last_entry.map(|position| position.to_string())),
                or_dash(job.leader.clone()),
                or_dash(job.latest_checkpoint.map(|id| id.to_string())),
                or_dash(job.ended.clone()),
            ]);
        }
        writeln!(out, "{table}\n")?;
    }
    let mut table = output::table(&[
        "JOB ID",
        "ID",
        "KIND",
        "STANDING",
        "EPOCH",
        "ENTRY",
        "COMPLETED",
        "STATE",
        "OBJECTS",
        "MANIFEST",
    ]);
    let mut unreadable: Vec<_> = listing.jobs.iter().filter_map(|job| job.error.as_ref()).collect();
    for line in &listing.checkpoints {
        let id = line.checkpoint_id.map(|id| id.to_string());
        let mut row = vec![or_dash(line.job_id.clone()), or_dash(id)];
        let place = [
            or_dash(line.epoch.map(|epoch| epoch.to_string())),
            or_dash(line.log_position.map(|position| position.to_string())),
        ];
        match &line.contents {
            Contents::Read { kind, completion_time_ms, state_bytes, objects, .. } => {
                row.extend([kind_text(*kind).to_owned(), line.standing.text().to_owned()]);
                row.extend(place);
                row.push(output::time(*completion_time_ms));
                row.extend([output::bytes(*state_bytes), objects.to_string()]);
            }
            Contents::Unreadable { error } => {
                row.extend(["unreadable".to_owned(), line.standing.text().to_owned()]);
                row.extend(place);
                row.extend(["-", "-", "-"].map(str::to_owned));
                unreadable.push(error);
            }
        }
        row.push(line.manifest.clone());
        table.add_row(row);
    }
    writeln!(out, "{table}")?;
    for error in unreadable {
        writeln!(out, "\n{error}")?;
    }
    Ok(())
}

pub(super) fn kind_text(kind: CheckpointKind) -> &'static str {
    match kind {
        CheckpointKind::Checkpoint => "checkpoint",
        CheckpointKind::Savepoint => "savepoint",
    }
}
