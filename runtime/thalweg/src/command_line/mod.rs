//! Which role the process has, from its arguments.
//!
//! The first word decides. What is the application's own comes behind `--`, or, without a role,
//! is everything.

mod commands;
mod operations;
mod rescale;

use std::path::PathBuf;

pub use commands::{cancel, list};
pub use operations::{checkpoint, savepoint, stop};
pub use rescale::rescale;

use thalweg_core::configuration::options::checkpointing;

use clap::{Args, Parser, Subcommand};

use crate::state_command::StateOptions;

/// What the process was started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// No role, or `local`: everything in this process.
    Local(ClusterOptions),
    /// The JobManager of a cluster.
    JobManager(ClusterOptions),
    /// A TaskManager of a cluster.
    TaskManager(ClusterOptions),
    /// Lists the jobs of a cluster.
    List(Target),
    /// Cancels a job of a cluster.
    Cancel(CancelOptions),
    /// Takes a savepoint of a job.
    Savepoint(SavepointOptions),
    /// Stops a job with a savepoint.
    Stop(StopOptions),
    /// Takes a checkpoint of a job.
    Checkpoint(CheckpointOptions),
    /// Brings a job to another parallelism.
    Rescale(RescaleOptions),
    /// Says whether the application can begin with a savepoint.
    Check(CheckOptions),
    /// Looks at what a checkpoint store holds.
    State(StateOptions),
}

/// How a process of the engine is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub struct ClusterOptions {
    /// The configuration, YAML with Flink's keys
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one configuration key; stands above the file
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub definitions: Vec<String>,
    /// The application's own arguments
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<String>,
}

/// How a process that runs jobs is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
struct JobOptions {
    /// What the first job begins with: a savepoint's directory, or a retained checkpoint's
    #[arg(long, value_name = "PATH")]
    from_savepoint: Option<String>,
    /// Drops state in the savepoint that no operator of the job claims
    #[arg(long, requires = "from_savepoint")]
    allow_non_restored_state: bool,
    #[command(flatten)]
    cluster: ClusterOptions,
}

impl JobOptions {
    /// The same as settings: they stand above all others.
    fn into_cluster_options(self) -> ClusterOptions {
        let mut options = self.cluster;
        if let Some(path) = self.from_savepoint {
            let path = absolute(&path);
            options.definitions.push(format!("{}={path}", checkpointing::RECOVERY_PATH.key()));
        }
        if self.allow_non_restored_state {
            let key = checkpointing::IGNORE_UNCLAIMED_STATE.key();
            options.definitions.push(format!("{key}=true"));
        }
        options
    }
}

/// A path as every process understands it; a URI stays as it is.
fn absolute(path: &str) -> String {
    if path.contains("://") {
        return path.to_owned();
    }
    // Without a working directory the path is left for whoever opens it to complain about.
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

/// A cluster to talk to.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Target {
    /// Address of the JobManager's REST port; else what the configuration says, else
    /// 127.0.0.1:8081
    #[arg(long, value_name = "HOST:PORT")]
    pub target: Option<String>,
    /// The cluster's configuration: `rest.address` (or `jobmanager.rpc.address`) and `rest.port`
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    pub config: Option<PathBuf>,
}

/// A job to cancel.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CancelOptions {
    /// The cluster.
    #[command(flatten)]
    pub target: Target,
    /// The job's id, as `list` shows it
    #[arg(value_name = "JOB_ID")]
    pub job: String,
}

/// A savepoint to take.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SavepointOptions {
    /// The cluster.
    #[command(flatten)]
    pub target: Target,
    /// The job's id, as `list` shows it
    #[arg(value_name = "JOB_ID")]
    pub job: String,
    /// Below which directory; else what `execution.checkpointing.savepoint-dir` says
    #[arg(value_name = "DIRECTORY")]
    pub directory: Option<String>,
}

/// A job to stop.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StopOptions {
    /// The cluster.
    #[command(flatten)]
    pub target: Target,
    /// Below which directory the savepoint is written; else what
    /// `execution.checkpointing.savepoint-dir` says
    #[arg(short = 'p', long, value_name = "DIRECTORY")]
    pub savepoint_path: Option<String>,
    /// Ends the input first: event time reaches its end and all windows fire. For a job that isn't
    /// to go on later
    #[arg(long)]
    pub drain: bool,
    /// The job's id, as `list` shows it
    #[arg(value_name = "JOB_ID")]
    pub job: String,
}

/// A checkpoint to take.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CheckpointOptions {
    /// The cluster.
    #[command(flatten)]
    pub target: Target,
    /// It refers to nothing that was written before it
    #[arg(long)]
    pub full: bool,
    /// The job's id, as `list` shows it
    #[arg(value_name = "JOB_ID")]
    pub job: String,
}

/// Another parallelism.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RescaleOptions {
    /// The cluster.
    #[command(flatten)]
    pub target: Target,
    /// For the vertex with this id, or without one for all that have the job's parallelism. Can be
    /// given several times
    #[arg(short, long, value_name = "[VERTEX=]N", required = true)]
    pub parallelism: Vec<Parallelism>,
    /// The job's id, as `list` shows it
    #[arg(value_name = "JOB_ID")]
    pub job: String,
}

/// The parallelism of one vertex, or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parallelism {
    /// The vertex's id; None: all that have the job's parallelism.
    pub vertex: Option<String>,
    /// The number of its subtasks.
    pub parallelism: u32,
}

impl std::str::FromStr for Parallelism {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (vertex, number) = match text.split_once('=') {
            Some((vertex, number)) => (Some(vertex.to_owned()), number),
            None => (None, text),
        };
        let parallelism = number.parse().ok().filter(|number| *number > 0);
        let parallelism = parallelism.ok_or("a number from 1 is expected, or VERTEX=NUMBER")?;
        Ok(Self { vertex, parallelism })
    }
}

/// A savepoint to check.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CheckOptions {
    /// A savepoint's directory, or a retained checkpoint's
    #[arg(long, value_name = "PATH")]
    pub from_savepoint: String,
    /// If that is a running job's checkpoint which the job has deleted meanwhile, its newest one is
    /// checked
    #[arg(long)]
    pub or_newer: bool,
    /// State that no operator claims is no problem: it would be dropped
    #[arg(long)]
    pub allow_non_restored_state: bool,
    /// Prints the report as JSON
    #[arg(long)]
    pub json: bool,
    /// How the job would be set up.
    #[command(flatten)]
    pub cluster: ClusterOptions,
}

/// Stream processing with Flink's model. Without a role, the application runs in this process.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    role: RoleWord,
}

#[derive(Debug, Subcommand)]
enum RoleWord {
    /// Runs everything in this process: `local -D rest.port=0 -- ARGUMENTS`; the role's name can
    /// be left out when no setting is given
    Local(JobOptions),
    /// Runs the application's JobManager: `jobmanager --config FILE -- ARGUMENTS`
    #[command(name = "jobmanager")]
    JobManager(JobOptions),
    /// Runs a TaskManager of the application: `taskmanager --config FILE`
    #[command(name = "taskmanager")]
    TaskManager(ClusterOptions),
    /// Lists the jobs of a running cluster
    List(Target),
    /// Cancels a job of a running cluster
    Cancel(CancelOptions),
    /// Takes a savepoint of a job, waits for it and prints its directory
    Savepoint(SavepointOptions),
    /// Stops a job with a savepoint, waits for its end and prints the savepoint's directory
    Stop(StopOptions),
    /// Takes a checkpoint of a job, waits for it and prints its number
    Checkpoint(CheckpointOptions),
    /// Brings a running job to another parallelism: `rescale --parallelism 4 JOB_ID`
    Rescale(RescaleOptions),
    /// Says whether the application can begin with a savepoint, and starts nothing:
    /// `check --from-savepoint PATH -- ARGUMENTS`
    Check(CheckOptions),
    /// Looks at checkpoints and savepoints, without a cluster: `state ls DIRECTORY`
    State(StateOptions),
}

/// The words that are roles.
const ROLES: [&str; 11] = [
    "local",
    "jobmanager",
    "taskmanager",
    "list",
    "cancel",
    "savepoint",
    "stop",
    "checkpoint",
    "rescale",
    "check",
    "state",
];

impl Role {
    /// The role that `arguments` (the program's name first) ask for.
    ///
    /// # Errors
    /// A role's own arguments are wrong; the error prints itself, with the usage. Also when help
    /// or the version of a role was asked for.
    pub fn from_arguments(arguments: &[String]) -> Result<Self, clap::Error> {
        let first = arguments.get(1).map(String::as_str);
        if !first.is_some_and(|word| ROLES.contains(&word)) {
            let own = arguments.get(1..).unwrap_or_default();
            let own = own.strip_prefix(&["--".to_string()]).unwrap_or(own);
            let arguments = own.to_vec();
            return Ok(Self::Local(ClusterOptions { arguments, ..ClusterOptions::default() }));
        }
        Ok(match CommandLine::try_parse_from(arguments)?.role {
            RoleWord::Local(options) => Self::Local(options.into_cluster_options()),
            RoleWord::JobManager(options) => Self::JobManager(options.into_cluster_options()),
            RoleWord::TaskManager(options) => Self::TaskManager(options),
            RoleWord::List(options) => Self::List(options),
            RoleWord::Cancel(options) => Self::Cancel(options),
            RoleWord::Savepoint(options) => Self::Savepoint(options),
            RoleWord::Stop(options) => Self::Stop(options),
            RoleWord::Checkpoint(options) => Self::Checkpoint(options),
            RoleWord::Rescale(options) => Self::Rescale(options),
            RoleWord::Check(options) => Self::Check(options),
            RoleWord::State(options) => Self::State(options),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(line: &str) -> Result<Role, clap::Error> {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        Role::from_arguments(&words)
    }

    #[test]
    fn without_a_role_everything_is_the_applications() {
        for line in ["app --rate 5 jobmanager", "app -- --rate 5 jobmanager"] {
            let Role::Local(options) = role(line).unwrap() else { panic!("{line}") };
            assert_eq!(options.arguments, ["--rate", "5", "jobmanager"]);
        }
    }

    #[test]
    fn a_role_takes_its_own_arguments_before_the_dashes() {
        let Role::Local(options) = role("app local -D rest.port=0 -- --rate 5").unwrap() else {
            panic!("it has a role")
        };
        assert_eq!((options.definitions, options.arguments.len()), (vec!["rest.port=0".into()], 2));
        let line = "app jobmanager --config c.yaml -D rest.port=0 -D a=b -- --config mine";
        let Role::JobManager(options) = role(line).unwrap() else { panic!("{line}") };
        assert_eq!(options.config, Some(PathBuf::from("c.yaml")));
        assert_eq!(options.definitions, ["rest.port=0", "a=b"]);
        assert_eq!(options.arguments, ["--config", "mine"]);
        assert!(role("app taskmanager --confg x").is_err());
        assert!(role("app cancel").unwrap_err().to_string().contains("JOB_ID"));
    }
}
