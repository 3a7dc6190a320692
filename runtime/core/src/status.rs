//! The states of a job and of an execution, with Flink's names, and which may follow which.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of a job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobStatus {
    /// The JobMaster is being made.
    Initializing,
    /// Known, nothing started yet (also while it waits for slots).
    Created,
    /// Its tasks run or are being started.
    Running,
    /// Failed for good; its tasks are being stopped.
    Failing,
    /// Failed for good.
    Failed,
    /// The user asked for its end; its tasks are being stopped.
    Cancelling,
    /// Ended by the user.
    Canceled,
    /// All its input was processed.
    Finished,
    /// A failure is being answered by a restart.
    Restarting,
    /// Stopped here, may go on under another leader.
    Suspended,
    /// Being brought to another parallelism.
    Reconciling,
}

impl JobStatus {
    /// Whether the job has ended, everywhere and for good.
    pub fn is_globally_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }

    /// Flink's name of the state, as REST shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Failing => "FAILING",
            Self::Failed => "FAILED",
            Self::Cancelling => "CANCELLING",
            Self::Canceled => "CANCELED",
            Self::Finished => "FINISHED",
            Self::Restarting => "RESTARTING",
            Self::Suspended => "SUSPENDED",
            Self::Reconciling => "RECONCILING",
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The state of one attempt to run one subtask.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ExecutionState {
    /// Known, not yet waiting for a slot.
    Created,
    /// Waits for a slot.
    Scheduled,
    /// Sent to its TaskManager.
    Deploying,
    /// The TaskManager opens its operators and restores their state.
    Initializing,
    /// Processes records.
    Running,
    /// Its input has ended and everything is committed.
    Finished,
    /// Told to end.
    Canceling,
    /// Ended as it was told.
    Canceled,
    /// Ended by an error.
    Failed,
}

impl ExecutionState {
    /// Whether nothing can follow.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Canceled | Self::Failed)
    }

    /// The state after `next` was reported in this one: a late or repeated report changes nothing,
    /// and nothing brings an ended execution back.
    #[must_use]
    pub fn consolidate(self, next: Self) -> Self {
        if self.is_terminal() {
            return self;
        }
        match (self, next) {
            (Self::Canceling, n) if !n.is_terminal() => self,
            (s, n) if n.is_terminal() || n > s => n,
            (s, _) => s,
        }
    }

    /// Flink's name of the state, as REST shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Scheduled => "SCHEDULED",
            Self::Deploying => "DEPLOYING",
            Self::Initializing => "INITIALIZING",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Canceling => "CANCELING",
            Self::Canceled => "CANCELED",
            Self::Failed => "FAILED",
        }
    }
}

impl fmt::Display for ExecutionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::ExecutionState::*;

    #[test]
    fn late_and_repeated_reports_never_bring_an_execution_back() {
        let table = [
            (Running, Deploying, Running),
            (Deploying, Running, Running),
            (Canceling, Running, Canceling),
            (Canceling, Canceled, Canceled),
            (Canceling, Finished, Finished),
            (Failed, Running, Failed),
            (Canceled, Failed, Canceled),
            (Finished, Canceling, Finished),
            (Running, Running, Running),
        ];
        for (now, reported, then) in table {
            assert_eq!(now.consolidate(reported), then, "{now} <- {reported}");
        }
    }
}
