//! The commands that set something going in a job and wait for its outcome: savepoint, stop,
//! checkpoint.

use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use thalweg_core::clock::{Clock, SystemClock};
use thalweg_core::ids::TriggerId;

use super::commands::{CommandError, address, agent, body, exit_code};
use super::{CheckpointOptions, SavepointOptions, StopOptions, Target, absolute};

/// The pause between two questions at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often in a row the JobManager may be out of reach while an operation is under way.
const UNREACHABLE_MAX: u32 = 30;

#[derive(Deserialize)]
struct Triggered {
    #[serde(rename = "request-id")]
    request_id: String,
}

#[derive(Deserialize)]
struct Outcome {
    status: Status,
    operation: Option<Operation>,
}

#[derive(Deserialize)]
struct Status {
    id: String,
}

#[derive(Deserialize)]
pub(super) struct Operation {
    location: Option<String>,
    #[serde(rename = "checkpointId")]
    checkpoint: Option<u64>,
    #[serde(rename = "failure-cause", alias = "failureCause")]
    pub(super) failure: Option<Failure>,
}

#[derive(Deserialize)]
pub(super) struct Failure {
    #[serde(rename = "stack-trace")]
    pub(super) text: String,
}

/// What is asked for, and where it is asked after.
struct Command<'a> {
    what: &'static str,
    job: &'a str,
    /// Below `/jobs/:jobid`.
    post: &'static str,
    poll: &'static str,
    body: Value,
}

/// A name for the operation: if the request has to be repeated, it is the same operation.
pub(super) fn trigger_id() -> TriggerId {
    let clock = SystemClock::new();
    let local = 0u8;
    let text = format!("{}/{}/{:p}", std::process::id(), clock.wall_ms(), &raw const local);
    TriggerId::derive(&text)
}

/// Asks after an operation until it has ended.
pub(super) fn wait(target: &str, url: &str) -> Result<Option<Operation>, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(CommandError::Runtime)?;
    let (mut pause, mut unreachable) = (PAUSE.0, 0);
    loop {
        match body::<Outcome>(target, agent().get(url).call()) {
            Ok(outcome) if outcome.status.id == "COMPLETED" => return Ok(outcome.operation),
            Ok(_) => unreachable = 0,
            // Another one takes over, perhaps. That the leader knows nothing of it is an answer.
            Err(error @ (CommandError::Unreachable { .. } | CommandError::Unavailable { .. })) => {
                unreachable += 1;
                if unreachable >= UNREACHABLE_MAX {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        runtime.block_on(async { tokio::time::sleep(pause).await });
        pause = PAUSE.1.min(pause * 2);
    }
}

impl Command<'_> {
    /// Sets it going, waits for its outcome and prints it.
    fn run(mut self, target: &Target) -> Result<(), CommandError> {
        let target = address(target)?;
        let job = format!("http://{target}/jobs/{}", self.job);
        self.body["triggerId"] = json!(trigger_id().to_string());
        let answer = agent().post(format!("{job}/{}", self.post)).send_json(&self.body);
        let Triggered { request_id } = body(&target, answer)?;
        let url = format!("{job}/{}/{request_id}", self.poll);
        self.print(wait(&target, &url)?)
    }

    fn print(&self, outcome: Option<Operation>) -> Result<(), CommandError> {
        let (job, what) = (self.job.to_owned(), self.what);
        let failed = |cause: String| CommandError::Failed { job, what, cause };
        match outcome {
            Some(Operation { failure: Some(failure), .. }) => Err(failed(failure.text)),
            Some(Operation { location: Some(location), .. }) => {
                println!("{location}");
                Ok(())
            }
            Some(Operation { checkpoint: Some(checkpoint), .. }) => {
                println!("{checkpoint}");
                Ok(())
            }
            Some(_) | None => Err(failed("the JobManager says nothing of its outcome".to_owned())),
        }
    }
}

/// Takes a savepoint, waits for it and prints where it is.
pub fn savepoint(options: &SavepointOptions) -> ExitCode {
    let directory = options.directory.as_deref().map(absolute);
    let body = json!({ "target-directory": directory, "cancel-job": false });
    let (post, poll) = ("savepoints", "savepoints");
    let command = Command { what: "savepoint", job: &options.job, post, poll, body };
    exit_code(command.run(&options.target))
}

/// Stops a job with a savepoint, waits for its end and prints where the savepoint is.
pub fn stop(options: &StopOptions) -> ExitCode {
    let directory = options.savepoint_path.as_deref().map(absolute);
    let body = json!({ "targetDirectory": directory, "drain": options.drain });
    let (post, poll) = ("stop", "savepoints");
    let command = Command { what: "stop", job: &options.job, post, poll, body };
    exit_code(command.run(&options.target))
}

/// Takes a checkpoint, waits for it and prints its number.
pub fn checkpoint(options: &CheckpointOptions) -> ExitCode {
    let kind = if options.full { "FULL" } else { "CONFIGURED" };
    let body = json!({ "checkpointType": kind });
    let (post, poll) = ("checkpoints", "checkpoints");
    let command = Command { what: "checkpoint", job: &options.job, post, poll, body };
    exit_code(command.run(&options.target))
}
