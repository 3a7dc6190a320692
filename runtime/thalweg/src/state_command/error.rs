//! Why a command about state can't be carried out. Not here: damage that a verification finds,
//! which is its result.

use std::io;

use thalweg_core::ids::{CheckpointId, JobId};
use thalweg_jobmanager::high_availability::HighAvailabilityError;
use thalweg_state::RunError;
use thalweg_storage::{BlobError, BlobPathError, ManifestError};

use crate::process::ProcessError;

#[derive(Debug, thiserror::Error)]
pub(super) enum StateCommandError {
    #[error("{path} isn't a directory; name the one that is in execution.checkpointing.dir")]
    NoDirectory { path: String },
    #[error(transparent)]
    Configuration(#[from] Box<ProcessError>),
    #[error(transparent)]
    Store(#[from] BlobError),
    #[error(transparent)]
    Path(#[from] BlobPathError),
    #[error("which checkpoint counts isn't known, name one: {0}")]
    Log(String),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{object}, subtask {subtask} of operator {operator:?}: {source}")]
    Run { object: String, operator: String, subtask: u32, source: Box<RunError> },
    #[error(
        "{object}: a row of state {state:?} of operator {operator:?} in key group {key_group} \
         isn't what the run's schema says: {source}"
    )]
    Row {
        object: String,
        operator: String,
        state: String,
        key_group: u16,
        source: serde_json::Error,
    },
    #[error("there's no checkpoint at {path}; `thalweg state ls` shows where some are")]
    NothingThere { path: String },
    #[error(
        "there are checkpoints of {} jobs at {path}; name one of them: {path}/{}",
        .jobs.len(), .jobs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    SeveralJobs { path: String, jobs: Vec<JobId> },
    #[error(
        "the log of job {job} publishes checkpoint {checkpoint} in {manifest}, which isn't there; \
         is the log of another directory?"
    )]
    PublishedMissing { job: JobId, checkpoint: CheckpointId, manifest: String },
    #[error("no operator of checkpoint {checkpoint} is called {operator:?}: there are {known}")]
    NoOperator { checkpoint: CheckpointId, operator: String, known: String },
    #[error("checkpoint {checkpoint} has no state {state:?}: there are {known}")]
    NoState { checkpoint: CheckpointId, state: String, known: String },
    #[error(
        "no job at {path} has a log, so nothing says what is garbage: without \
         high-availability.type a JobManager deletes checkpoints itself as newer ones complete"
    )]
    NoLog { path: String },
    #[error(
        "{path} isn't a place of whole applications; name a directory as in \
         high-availability.storageDir"
    )]
    NotAStore { path: String },
    #[error("{path} is a savepoint; dispose of it by REST, POST /savepoint-disposal")]
    IsSavepoint { path: String },
    #[error(
        "there is no log at {path}, so a JobManager that runs there can't be kept from writing: if \
         none runs, delete the directory by hand; or name the logs' place by --logs"
    )]
    NotFenced { path: String },
    #[error(
        "the JobManager at {address} leads an application whose state is at {path}: stop it before"
    )]
    Led { path: String, address: String },
    #[error(
        "the JobManager at {address} of revision {revision} leads an application in Kubernetes, or \
         was killed there; its state is at {path}: delete or suspend the resource first, or give \
         --stopped if none of its JobManagers runs"
    )]
    LedInKubernetes { path: String, address: String, revision: String },
    #[error("{path} isn't deleted, or not all of it; a repeat goes on: {source}")]
    Deletion { path: String, source: Box<HighAvailabilityError> },
    #[error("the threads that read the store can't be started: {0}")]
    Runtime(#[source] io::Error),
    #[error("the output can't be written: {0}")]
    Output(#[from] io::Error),
    #[error("the output can't be written: {0}")]
    Json(#[from] serde_json::Error),
}

impl StateCommandError {
    /// Whether nobody reads the output any more: `thalweg state show ... | head`.
    pub(super) fn is_closed_output(&self) -> bool {
        let kind = match self {
            StateCommandError::Output(error) => Some(error.kind()),
            StateCommandError::Json(error) => error.io_error_kind(),
            _ => None,
        };
        kind == Some(io::ErrorKind::BrokenPipe)
    }
}
