//! `thalweg state verify`: reads everything at a place, and says what is damaged or missing, with
//! file, operator and key groups. A run that several checkpoints share is read once. What a
//! collection deletes beside it, or deleted in part, isn't missing: it doesn't count any more.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;

use serde::Serialize;
use serde::de::IgnoredAny;
use thalweg_core::ids::{CheckpointId, JobId};
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::log::{EntryBody, Log, names};
use thalweg_storage::{BlobError, BlobPath, CheckpointManifest, ManifestError, inventory, sealed};

use super::error::StateCommandError;
use super::output;
use super::selection::{SelectedJob, Selection};
use super::store::OpenStore;
use super::{runs, verify_run};

/// Problems that are listed; the others are only counted.
const PROBLEMS_MAX: usize = 10_000;

/// What was read and found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) checkpoints: u64,
    pub(super) log_entries: u64,
    pub(super) records: u64,
    pub(super) runs: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) problem_count: u64,
    /// At most [`PROBLEMS_MAX`].
    pub(super) problems: Vec<Problem>,
}

/// Something that's damaged or missing, and whose it is.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    pub(super) object: String,
    pub(super) checkpoint: Option<u64>,
    pub(super) operator: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) subtask: Option<u32>,
    pub(super) state: Option<String>,
    /// The first and the last.
    pub(super) key_groups: Option<[u32; 2]>,
    pub(super) problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.object)?;
        if let Some(operator) = &self.operator {
            write!(f, ": operator {operator:?}")?;
        }
        if let Some(uid) = &self.uid {
            write!(f, " (uid {uid:?})")?;
        }
        if let Some(subtask) = self.subtask {
            write!(f, ", subtask {subtask}")?;
        }
        if let Some([first, last]) = self.key_groups {
            write!(f, ", key groups {first} to {last}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// Prints the report; gives whether everything is sound.
pub(super) fn print(
    report: &Report,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<bool, StateCommandError> {
    if as_json {
        output::json(out, report)?;
        return Ok(report.problem_count == 0);
    }
    for problem in &report.problems {
        writeln!(out, "{problem}")?;
    }
    let listed = report.problems.len() as u64;
    if report.problem_count > listed {
        writeln!(out, "... and {} more", report.problem_count - listed)?;
    }
    writeln!(
        out,
        "{} checkpoints, {} log entries, {} records, {} runs, {} rows, {}: {}",
        report.checkpoints,
        report.log_entries,
        report.records,
        report.runs,
        report.rows,
        output::bytes(report.bytes),
        match report.problem_count {
            0 => "all sound".to_owned(),
            1 => "1 problem".to_owned(),
            problems => format!("{problems} problems"),
        }
    )?;
    Ok(report.problem_count == 0)
}

/// Verifies everything that is selected. `retained` published checkpoints of a job count.
pub(super) fn verify_all(
    store: &OpenStore,
    logs: &OpenStore,
    selection: &Selection,
    retained: u32,
) -> Report {
    let mut verifier =
        Verifier { store, logs, retained, report: Report::default(), seen: BTreeSet::new() };
    for job in &selection.jobs {
        verifier.log(job);
        for found in &job.manifests {
            let manifest = job.manifest(store, found);
            let missing = verifier.checkpoint(&found.1, manifest);
            if !missing.is_empty() && verifier.counts(job.id, found) {
                missing.into_iter().for_each(|missing| verifier.found(missing));
            }
        }
    }
    if let Some(path) = &selection.savepoint {
        let manifest = store.wait(inventory::read_manifest(store.blobs(), path, None));
        let missing = verifier.checkpoint(path, manifest);
        missing.into_iter().for_each(|missing| verifier.found(missing));
    }
    verifier.report
}

/// Whether the store says that there's no such object.
pub(super) fn is_missing(error: &BlobError) -> bool {
    error.kind == BlobErrorKind::NotFound
}

struct Verifier<'s> {
    store: &'s OpenStore,
    logs: &'s OpenStore,
    retained: u32,
    report: Report,
    /// Objects, offsets and lengths of the runs that were read.
    seen: BTreeSet<(String, u64, u64)>,
}

impl Verifier<'_> {
    fn found(&mut self, problem: Problem) {
        self.report.problem_count += 1;
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(problem);
        }
    }

    fn log(&mut self, job: &SelectedJob) {
        let logs = self.logs;
        let log = Log::new(logs.shared(), job.id);
        for path in &job.log_objects {
            let Some(names::LogName::Entry(position)) = names::parse(job.id, path) else {
                continue;
            };
            self.report.log_entries += 1;
            if let Err(error) = logs.wait(log.read(position)) {
                let (object, problem) = (path.to_string(), error.to_string());
                self.found(Problem { object, problem, ..Problem::default() });
            }
        }
        for path in &job.records {
            self.report.records += 1;
            let read = logs.wait(logs.blobs().get(path));
            if read.as_ref().is_err_and(is_missing) {
                // It was listed, so it was deleted meanwhile; nothing that is kept names it.
                continue;
            }
            // Only that it's whole: which versions can be read is its reader's to say.
            let whole = read.map_err(|error| error.to_string()).and_then(|bytes| {
                let content = sealed::from_bytes::<IgnoredAny>(&bytes, u64::MAX, path.as_str());
                content.map_err(|error| error.to_string())
            });
            if let Err(problem) = whole {
                self.found(Problem { object: path.to_string(), problem, ..Problem::default() });
            }
        }
        let whole = job.log_error.as_ref().map(ToString::to_string);
        let missing = || job.missing().map(|error| error.to_string());
        if let Some(problem) = whole.or_else(missing) {
            let object = names::folder(job.id).map_or_else(|_| String::new(), |f| f.to_string());
            self.found(Problem { object, problem, ..Problem::default() });
        }
    }

    /// Whether a job may still restart from the checkpoint, going by what its log says now.
    fn counts(&self, job: JobId, (id, path): &(CheckpointId, BlobPath)) -> bool {
        let log = Log::new(self.logs.shared(), job);
        match self.logs.wait(inventory::read_log(&log, *id)) {
            Ok(Some(log)) => {
                let mut retained = log.publishes.iter().take(self.retained as usize);
                retained.any(|entry| entry.body == EntryBody::publish(*id, path))
            }
            // Without a log its manifest makes it count, and is deleted first.
            Ok(None) => {
                !self.store.wait(self.store.blobs().get(path)).as_ref().is_err_and(is_missing)
            }
            Err(_) => true,
        }
    }

    /// Gives what is missing: that is a problem only if the checkpoint counts.
    fn checkpoint(
        &mut self,
        path: &BlobPath,
        manifest: Result<CheckpointManifest, ManifestError>,
    ) -> Vec<Problem> {
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(error) => {
                let missing = matches!(&error, ManifestError::Store(error) if is_missing(error));
                let (object, problem) = (path.to_string(), error.to_string());
                let problem = Problem { object, problem, ..Problem::default() };
                if missing {
                    return vec![problem];
                }
                self.found(problem);
                return Vec::new();
            }
        };
        self.report.checkpoints += 1;
        let elsewhere = match self.store.holding(&manifest) {
            Ok(elsewhere) => elsewhere,
            Err(error) => {
                let problem = format!("the savepoint that the job was stopped with: {error}");
                return vec![Problem { object: path.to_string(), problem, ..Problem::default() }];
            }
        };
        let store = elsewhere.as_ref().unwrap_or(self.store);
        let folder = manifest.stopped_with.as_deref();
        let folder = folder.map_or_else(String::new, |folder| format!("{folder}/"));
        let mut missing = Vec::new();
        for place in runs::of(&manifest) {
            let part = (format!("{folder}{}", place.object), place.offset, place.length);
            if self.seen.contains(&part) {
                continue;
            }
            let checked = verify_run::check(store, &manifest, &place);
            if checked.is_missing {
                missing.extend(checked.problems);
                continue;
            }
            checked.problems.into_iter().for_each(|problem| self.found(problem));
            self.seen.insert(part);
            self.report.runs += 1;
            self.report.rows += checked.rows;
            self.report.bytes += place.length;
        }
        missing
    }
}
