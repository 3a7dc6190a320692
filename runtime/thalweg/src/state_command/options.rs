//! What `thalweg state` is asked for.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use thalweg_core::configuration::Configuration;

use crate::command_line::ClusterOptions;
use crate::process::{self, ProcessError};

/// Looks at what a checkpoint store holds, and deletes it
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StateOptions {
    /// What to do
    #[command(subcommand)]
    pub action: StateAction,
}

/// The actions of `thalweg state`.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum StateAction {
    /// Lists the jobs, checkpoints and savepoints at a place
    Ls(Place),
    /// Shows a checkpoint's operators and their states, or the rows of a state
    Show(ShowOptions),
    /// Reads everything that a checkpoint consists of, and says what is damaged or missing
    Verify(Place),
    /// Says what a garbage collection would delete, and why the rest stays
    Gc(CollectOptions),
    /// Deletes all that applications have at a place, for good: checkpoints, results, logs but for
    /// their ends. Savepoints stay
    Delete(DeleteOptions),
}

/// What to delete.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DeleteOptions {
    /// A directory or bucket as in `high-availability.storageDir`
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
    /// `high-availability.storageDir`, if PATH is `execution.checkpointing.dir` and another one
    #[arg(long, value_name = "DIR")]
    pub logs: Option<String>,
    /// Says what would be deleted, and changes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// No JobManager runs: it isn't waited to see whether one shows itself
    #[arg(long)]
    pub stopped: bool,
    /// The uid of the resource whose state it was
    #[arg(long, hide = true, requires = "successor")]
    pub owner: Option<String>,
    /// The cluster id with which a resource of the same name begins
    #[arg(long, hide = true, requires = "owner")]
    pub successor: Option<String>,
    /// JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// How S3 is reached
    #[command(flatten)]
    pub configuration: ConfigurationOptions,
}

/// Where checkpoints are.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Place {
    /// A checkpoint directory (as in `execution.checkpointing.dir`), a job in it (`DIR/JOB_ID`), a
    /// checkpoint (`DIR/JOB_ID/chk-N`), or a savepoint
    #[arg(value_name = "PATH")]
    pub path: String,
    /// `high-availability.storageDir`, if the jobs' logs are elsewhere than their checkpoints
    #[arg(long, value_name = "DIR")]
    pub logs: Option<String>,
    /// JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// How S3 is reached
    #[command(flatten)]
    pub configuration: ConfigurationOptions,
}

/// The configuration of a command.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ConfigurationOptions {
    /// The configuration, for how S3 is reached
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one configuration key; stands above the file
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub definitions: Vec<String>,
}

impl ConfigurationOptions {
    /// What the file and the definitions say together.
    ///
    /// # Errors
    /// The file can't be read, or a key or value can't be used.
    pub(super) fn read(&self) -> Result<Configuration, Box<ProcessError>> {
        let (config, definitions) = (self.config.clone(), self.definitions.clone());
        let options = ClusterOptions { config, definitions, arguments: Vec::new() };
        process::configuration(&options).map_err(Box::new)
    }
}

/// What of a checkpoint to show.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ShowOptions {
    /// Where the checkpoint is; of several, the last one of the only job
    #[command(flatten)]
    pub place: Place,
    /// Only operators with this uid, name or id
    #[arg(long, value_name = "OPERATOR")]
    pub operator: Option<String>,
    /// Prints the rows of the states of this name, each as a line of JSON
    #[arg(long, value_name = "NAME")]
    pub state: Option<String>,
    /// Only rows of this key group
    #[arg(long, value_name = "N", requires = "state")]
    pub key_group: Option<u32>,
    /// At most this many rows
    #[arg(long, value_name = "N", requires = "state")]
    pub limit: Option<u64>,
    /// A row that takes more bytes of JSON is left out, and its size said
    #[arg(long, value_name = "BYTES", requires = "state", default_value_t = 1 << 20)]
    pub row_bytes_max: usize,
}

/// What to collect.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CollectOptions {
    /// The checkpoint directory, or a job in it
    #[command(flatten)]
    pub place: Place,
    /// Has to be given: this command deletes nothing, the leading JobManager does
    #[arg(long, required = true)]
    pub dry_run: bool,
    /// How many published checkpoints of a job stay; else what the configuration says in
    /// `execution.checkpointing.num-retained`
    #[arg(long, value_name = "N")]
    pub retained: Option<u32>,
}
