//! The commands that talk to a running cluster through REST.

use std::process::ExitCode;
use std::time::Duration;

use comfy_table::Table;
use serde::Deserialize;

use thalweg_core::configuration::options::{jobmanager, rest};

use super::{CancelOptions, ClusterOptions, Target};
use crate::process::{self, ProcessError};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("the JobManager at {target} can't be reached: {source}; --target is its REST address")]
    Unreachable { target: String, source: Box<ureq::Error> },
    #[error("the JobManager at {target} can't answer now: {reason}")]
    Unavailable { target: String, reason: String },
    #[error("the JobManager at {target} refused: {reason}")]
    Refused { target: String, reason: String },
    #[error(transparent)]
    Configuration(#[from] Box<ProcessError>),
    #[error("job {job} can't be cancelled: {source}")]
    Cancel { job: String, source: Box<CommandError> },
    #[error("job {job}: the {what} failed: {cause}")]
    Failed { job: String, what: &'static str, cause: String },
    #[error("the command can't wait for an answer: {0}")]
    Runtime(std::io::Error),
    #[error("{target} doesn't answer as a JobManager does: {source}")]
    NotAJobManager { target: String, source: Box<ureq::Error> },
}

#[derive(Deserialize)]
struct JobsOverview {
    jobs: Vec<JobOverview>,
}

#[derive(Deserialize)]
struct JobOverview {
    jid: String,
    name: String,
    state: String,
    duration: i64,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

pub(super) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder();
    config.timeout_global(Some(TIMEOUT)).http_status_as_error(false).build().into()
}

pub(super) fn body<T: serde::de::DeserializeOwned>(
    target: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<T, CommandError> {
    let mut answer = answer.map_err(|source| CommandError::Unreachable {
        target: target.into(),
        source: Box::new(source),
    })?;
    let bad =
        |source| CommandError::NotAJobManager { target: target.into(), source: Box::new(source) };
    if answer.status().is_success() {
        return answer.body_mut().read_json().map_err(bad);
    }
    let unavailable = answer.status() == ureq::http::StatusCode::SERVICE_UNAVAILABLE;
    let errors: Errors = answer.body_mut().read_json().map_err(bad)?;
    let (target, reason) = (target.into(), errors.errors.join("; "));
    match unavailable {
        true => Err(CommandError::Unavailable { target, reason }),
        false => Err(CommandError::Refused { target, reason }),
    }
}

fn print_jobs(target: &str) -> Result<(), CommandError> {
    let answer = agent().get(format!("http://{target}/jobs/overview")).call();
    let overview: JobsOverview = body(target, answer)?;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["JOB ID", "NAME", "STATE", "SECONDS"]);
    for job in overview.jobs {
        table.add_row([job.jid, job.name, job.state, (job.duration / 1000).to_string()]);
    }
    println!("{table}");
    Ok(())
}

fn cancel_job(target: &str, job: &str) -> Result<(), CommandError> {
    let answer = agent().patch(format!("http://{target}/jobs/{job}?mode=cancel")).send_empty();
    let refused = |source| CommandError::Cancel { job: job.into(), source: Box::new(source) };
    let _: serde_json::Value = body(target, answer).map_err(refused)?;
    println!("job {job} is being cancelled");
    Ok(())
}

pub(super) fn exit_code(outcome: Result<(), CommandError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where the cluster's REST port is.
pub(super) fn address(target: &Target) -> Result<String, CommandError> {
    if let Some(address) = &target.target {
        return Ok(address.clone());
    }
    let Some(config) = &target.config else { return Ok("127.0.0.1:8081".to_owned()) };
    let options = ClusterOptions { config: Some(config.clone()), ..ClusterOptions::default() };
    let configuration = process::configuration(&options).map_err(Box::new)?;
    let host = configuration.get(&rest::ADDRESS);
    let host = host.unwrap_or_else(|| configuration.get(&jobmanager::RPC_ADDRESS));
    Ok(format!("{host}:{}", configuration.get(&rest::PORT)))
}

/// Prints the jobs of a cluster as a table.
pub fn list(target: &Target) -> ExitCode {
    exit_code(address(target).and_then(|address| print_jobs(&address)))
}

/// Asks a cluster to cancel a job.
pub fn cancel(options: &CancelOptions) -> ExitCode {
    let target = address(&options.target);
    exit_code(target.and_then(|address| cancel_job(&address, &options.job)))
}
