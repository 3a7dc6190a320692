//! `thalweg state verify`: reads everything at a place, and says what is damaged or missing, with
//! file, operator and key groups. A run that several checkpoints share is read once.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use thalweg_state::run::{RunReader, verify};
use thalweg_storage::log::{Log, names};
use thalweg_storage::{CheckpointManifest, inventory};

use super::error::StateCommandError;
use super::output;
use super::runs::{self, RunPlace};
use super::selection::{SelectedJob, Selection};
use super::store::OpenStore;

/// Problems that are listed; the others are only counted.
const PROBLEMS_MAX: usize = 10_000;

/// What was read and found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) checkpoints: u64,
    pub(super) log_entries: u64,
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
        "{} checkpoints, {} log entries, {} runs, {} rows, {}: {}",
        report.checkpoints,
        report.log_entries,
        report.runs,
        report.rows,
        output::bytes(report.bytes),
        match report.problem_count {
            0 => "all sound".to_owned(),
            problems => format!("{problems} problems"),
        }
    )?;
    Ok(report.problem_count == 0)
}

/// Verifies everything that is selected.
pub(super) fn verify_all(store: &OpenStore, logs: &OpenStore, selection: &Selection) -> Report {
    let mut verifier = Verifier { store, report: Report::default(), seen: BTreeSet::new() };
    for job in &selection.jobs {
        verifier.log(logs, job);
        for found in &job.manifests {
            match job.manifest(store, found) {
                Ok(manifest) => verifier.checkpoint(&manifest),
                Err(error) => verifier.found(Problem {
                    object: found.1.to_string(),
                    checkpoint: Some(found.0.0),
                    problem: error.to_string(),
                    ..Problem::default()
                }),
            }
        }
    }
    if let Some(path) = &selection.savepoint {
        match store.wait(inventory::read_manifest(store.blobs(), path, None)) {
            Ok(manifest) => verifier.checkpoint(&manifest),
            Err(error) => verifier.found(Problem {
                object: path.to_string(),
                problem: error.to_string(),
                ..Problem::default()
            }),
        }
    }
    verifier.report
}

struct Verifier<'s> {
    store: &'s OpenStore,
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

    fn log(&mut self, logs: &OpenStore, job: &SelectedJob) {
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
        let whole = job.log_error.as_ref().map(ToString::to_string);
        let missing = || job.missing().map(|error| error.to_string());
        if let Some(problem) = whole.or_else(missing) {
            let object = names::folder(job.id).map_or_else(|_| String::new(), |f| f.to_string());
            self.found(Problem { object, problem, ..Problem::default() });
        }
    }

    fn checkpoint(&mut self, manifest: &CheckpointManifest) {
        self.report.checkpoints += 1;
        for place in runs::of(manifest) {
            if self.seen.insert((place.object.to_owned(), place.offset, place.length)) {
                self.run(manifest, &place);
                self.report.runs += 1;
                self.report.bytes += place.length;
            }
        }
    }

    fn run(&mut self, manifest: &CheckpointManifest, place: &RunPlace<'_>) {
        let problem = |problem: String| Problem {
            object: place.object.to_owned(),
            checkpoint: Some(manifest.checkpoint_id.0),
            operator: Some(place.operator.name.clone()),
            uid: place.operator.uid.clone(),
            subtask: Some(place.subtask),
            state: None,
            key_groups: place
                .key_groups
                .filter(|groups| !groups.is_empty())
                .map(|groups| [groups.start, groups.end - 1]),
            problem,
        };
        let bytes = match place.bytes(self.store) {
            Ok(bytes) => bytes,
            Err(error) => return self.found(problem(error.to_string())),
        };
        let checksum = match bytes.checksum() {
            Ok(checksum) => checksum,
            Err(error) => return self.found(problem(error.to_string())),
        };
        let run = match RunReader::open(Arc::new(bytes)) {
            Ok(run) => run,
            Err(error) => return self.found(problem(error.to_string())),
        };
        let before = self.report.problem_count;
        if let Some(difference) = wrong_origin(&run, place) {
            self.found(problem(difference));
        }
        let mut damaged = Vec::new();
        self.report.rows += verify(&run, place.key_groups, |block, error| {
            let state = run.state(block.state).map(|state| state.name.clone());
            let groups = [u32::from(block.first_key_group), u32::from(block.last_key_group)];
            let found = problem(error.to_string());
            damaged.push(Problem { state, key_groups: Some(groups), ..found });
        });
        damaged.into_iter().for_each(|damage| self.found(damage));
        // What is wrong was found more exactly already.
        if checksum != place.crc32c && self.report.problem_count == before {
            let expected = place.crc32c;
            self.found(problem(format!(
                "the run's checksum is {checksum:08x}, the manifest says {expected:08x}: it was \
                 replaced by another one"
            )));
        }
    }
}

/// How the run's own words differ from the manifest's.
fn wrong_origin(run: &RunReader, place: &RunPlace<'_>) -> Option<String> {
    let origin = &run.description().origin;
    let found = (origin.subtask, origin.parallelism, origin.max_parallelism);
    let operator = place.operator;
    let expected = (place.subtask, operator.parallelism, operator.max_parallelism);
    (found != expected).then(|| {
        format!(
            "the run is of subtask {} of {} (max parallelism {}), the manifest says {} of {} ({})",
            found.0, found.1, found.2, expected.0, expected.1, expected.2
        )
    })
}
