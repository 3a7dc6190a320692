//! Says whether an application can begin with a savepoint. Nothing is started and nothing is
//! changed: the program is captured, the savepoint is read. Not here: the rules, which are those of
//! a real start (`thalweg_jobmanager`).

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use comfy_table::Table;
use serde::Serialize;
use thalweg_core::configuration::options::high_availability;
use thalweg_core::ids::job_id;
use thalweg_core::job_graph::JobGraph;
use thalweg_jobmanager::endpoint::{
    CheckpointStore, Savepoint, SavepointError, newer_checkpoint, open_savepoint,
};
use thalweg_state::{ReadAt, RunReader};
use thalweg_storage::{BlobPath, OperatorManifest, SubtaskManifest};
use tokio::runtime::{Handle, Runtime};

use super::savepoint_stores::SavepointStores;
use super::settings::{ProcessError, configuration};
use super::stores::Stores;
use crate::application::{Application, first_job};
use crate::command_line::CheckOptions;

/// How often a checkpoint is followed to a newer one: each is kept for longer than a look takes,
/// unless checkpoints come faster than that.
const NEWER_MAX: usize = 5;

/// What a check found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    savepoint: String,
    job_id: String,
    checkpoint_id: u64,
    compatible: bool,
    problems: Vec<String>,
    operators: Vec<OperatorReport>,
    /// Operators of the application that the savepoint doesn't know: they begin without state.
    new_operators: Vec<String>,
}

/// What becomes of an operator's state.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct OperatorReport {
    operator_id: String,
    uid: Option<String>,
    name: String,
    parallelism: u32,
    max_parallelism: u32,
    states: Vec<String>,
    bytes: u64,
    outcome: StateOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum StateOutcome {
    /// An operator of the application goes on with it.
    Restored,
    /// There is none.
    NoState,
    /// No operator claims it, and that is allowed.
    Dropped,
    /// It stands against a start.
    Refused,
}

impl StateOutcome {
    fn name(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::NoState => "no state",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
        }
    }
}

/// Prints whether the application can begin with the savepoint, and why not. The exit code is 0 if
/// it can.
///
/// # Errors
/// The configuration can't be used, or the program can't be captured.
pub fn check(
    name: &str,
    application: &Application,
    options: &CheckOptions,
) -> Result<ExitCode, ProcessError> {
    let configuration = configuration(&options.cluster)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ProcessError::Runtime)?;
    let cluster = configuration.get(&high_availability::CLUSTER_ID);
    let job = job_id(&cluster.unwrap_or_else(|| name.to_owned()), 0);
    let stores = SavepointStores(Stores::of_command(&configuration));
    let code = first_job(application, &options.cluster.arguments, job, configuration);
    let code = code.map_err(|error| ProcessError::Ended(error.to_string()))?;
    let mut path = options.from_savepoint.clone();
    let mut found = look(options, &path, &stores, &code.graph, &runtime);
    for _ in 0..NEWER_MAX {
        let fits = found.as_ref().is_ok_and(|report| report.compatible);
        if fits || !options.or_newer || runtime.block_on(open_savepoint(&stores, &path)).is_ok() {
            break;
        }
        let newer = runtime.block_on(newer_checkpoint(&stores, &path));
        let Ok(Some(newer)) = newer else { break };
        path = newer;
        found = look(options, &path, &stores, &code.graph, &runtime);
    }
    tell(options, found)
}

/// Whether the application can begin with what is at a path.
fn look(
    options: &CheckOptions,
    path: &str,
    stores: &SavepointStores,
    graph: &JobGraph,
    runtime: &Runtime,
) -> Result<Report, SavepointError> {
    let savepoint = runtime.block_on(open_savepoint(stores, path))?;
    Ok(report(options, path, graph, &savepoint, runtime.handle()))
}

fn tell(
    options: &CheckOptions,
    found: Result<Report, SavepointError>,
) -> Result<ExitCode, ProcessError> {
    let report = match found {
        Ok(report) => report,
        Err(error) => {
            // What has no manifest can't be described.
            if options.json {
                let problems = [error.to_string()];
                println!("{}", serde_json::json!({ "compatible": false, "problems": problems }));
            } else {
                println!("{error}");
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    if options.json {
        let text = serde_json::to_string_pretty(&report);
        println!("{}", text.map_err(|error| ProcessError::Ended(error.to_string()))?);
    } else {
        print(&report);
    }
    Ok(if report.compatible { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(
    options: &CheckOptions,
    path: &str,
    graph: &JobGraph,
    savepoint: &Savepoint,
    runtime: &Handle,
) -> Report {
    let mut problems = Vec::new();
    let stands_against = savepoint.problems(graph, options.allow_non_restored_state);
    let refused: Vec<_> = stands_against.iter().map(|problem| problem.operator()).collect();
    problems.extend(stands_against.iter().map(ToString::to_string));
    let nodes = || graph.vertices.iter().flat_map(|vertex| &vertex.operators);
    let operators = savepoint.manifest.operators.iter().map(|operator| {
        let states = states(&savepoint.store, operator, runtime).unwrap_or_else(|cause| {
            problems.push(format!("operator {:?}: {cause}", operator.name));
            Vec::new()
        });
        let outcome = if operator.subtasks.is_empty() {
            StateOutcome::NoState
        } else if refused.contains(&operator.operator_id) {
            StateOutcome::Refused
        } else if nodes().any(|node| node.id == operator.operator_id) {
            StateOutcome::Restored
        } else {
            StateOutcome::Dropped
        };
        OperatorReport {
            operator_id: operator.operator_id.to_string(),
            uid: operator.uid.clone(),
            name: operator.name.clone(),
            parallelism: operator.parallelism,
            max_parallelism: operator.max_parallelism,
            states,
            bytes: operator.subtasks.iter().map(|subtask| subtask.length).sum(),
            outcome,
        }
    });
    let operators: Vec<OperatorReport> = operators.collect();
    let new = nodes().filter(|node| savepoint.manifest.operator(node.id).is_none());
    Report {
        savepoint: path.to_owned(),
        job_id: savepoint.manifest.job_id.to_string(),
        checkpoint_id: savepoint.manifest.checkpoint_id.0,
        compatible: problems.is_empty(),
        problems,
        operators,
        new_operators: new.map(|node| node.name.clone()).collect(),
    }
}

/// The states of an operator, with their kinds: all of its subtasks have the same ones, but each is
/// looked at, so that a damaged one is noticed.
fn states(
    store: &CheckpointStore,
    operator: &OperatorManifest,
    runtime: &Handle,
) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for subtask in &operator.subtasks {
        let path = BlobPath::parse(&subtask.object).map_err(|error| error.to_string())?;
        let run =
            StoredRun { store: store.clone(), path, at: subtask.clone(), runtime: runtime.clone() };
        let reader = RunReader::open(Arc::new(run)).map_err(|error| {
            format!("the snapshot of subtask {} can't be read: {error}", subtask.index)
        })?;
        let states = &reader.description().states;
        names.extend(states.iter().map(|state| format!("{} ({})", state.name, state.kind)));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// A run in a store, of which only parts are fetched.
struct StoredRun {
    store: CheckpointStore,
    path: BlobPath,
    at: SubtaskManifest,
    runtime: Handle,
}

impl ReadAt for StoredRun {
    fn size(&self) -> u64 {
        self.at.length
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = self.at.offset.saturating_add(offset);
        let range = start..start.saturating_add(buffer.len() as u64);
        let read = self.runtime.block_on(self.store.store.get_range(&self.path, range));
        let bytes = read.map_err(io::Error::other)?;
        if bytes.len() != buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }
}

fn print(report: &Report) {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["OPERATOR", "UID", "STATES", "BYTES", "OUTCOME"]);
    for operator in &report.operators {
        table.add_row([
            operator.name.clone(),
            operator.uid.clone().unwrap_or_else(|| "-".to_owned()),
            operator.states.join(", "),
            operator.bytes.to_string(),
            operator.outcome.name().to_owned(),
        ]);
    }
    println!("{table}");
    for name in &report.new_operators {
        println!("{name} is new: it begins without state");
    }
    if report.compatible {
        println!("the job can begin with {}", report.savepoint);
    } else {
        println!("the job can't begin with {}:", report.savepoint);
        for problem in &report.problems {
            println!("- {problem}");
        }
    }
}
