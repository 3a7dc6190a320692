//! The name of a channel.

use std::fmt;

use serde::{Deserialize, Serialize};
use thalweg_core::ids::ExecutionAttemptId;

/// A channel of one attempt of a consuming subtask. A later attempt has other channels, so that
/// what a forgotten producer still sends can't reach it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ChannelId {
    /// The consuming subtask's attempt.
    pub consumer: ExecutionAttemptId,
    /// The edge's index in the JobGraph.
    pub edge: u32,
    /// The producing subtask's index.
    pub producer_subtask: u32,
    /// The consuming subtask's index.
    pub consumer_subtask: u32,
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "edge {} from subtask {} to subtask {} (attempt {})",
            self.edge, self.producer_subtask, self.consumer_subtask, self.consumer
        )
    }
}
