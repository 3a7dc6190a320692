//! Which role the process has, from its arguments.
//!
//! The first word decides. What is the application's own comes behind `--`, or, without a role,
//! is everything.

mod commands;

use std::path::PathBuf;

pub use commands::{cancel, list};

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
    Local(ClusterOptions),
    /// Runs the application's JobManager: `jobmanager --config FILE -- ARGUMENTS`
    #[command(name = "jobmanager")]
    JobManager(ClusterOptions),
    /// Runs a TaskManager of the application: `taskmanager --config FILE`
    #[command(name = "taskmanager")]
    TaskManager(ClusterOptions),
    /// Lists the jobs of a running cluster
    List(Target),
    /// Cancels a job of a running cluster
    Cancel(CancelOptions),
    /// Looks at checkpoints and savepoints, without a cluster: `state ls DIRECTORY`
    State(StateOptions),
}

/// The words that are roles.
const ROLES: [&str; 6] = ["local", "jobmanager", "taskmanager", "list", "cancel", "state"];

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
            RoleWord::Local(options) => Self::Local(options),
            RoleWord::JobManager(options) => Self::JobManager(options),
            RoleWord::TaskManager(options) => Self::TaskManager(options),
            RoleWord::List(options) => Self::List(options),
            RoleWord::Cancel(options) => Self::Cancel(options),
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
