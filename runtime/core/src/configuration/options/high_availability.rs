//! What outlives a JobManager, and under which name.

use super::option_group;
use crate::configuration::{ConfigOption, Location};

/// True for a name that can be a folder's and a Kubernetes label's.
fn is_cluster_id(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

option_group! {
    "High availability";

    /// Where jobs are recorded.
    STORAGE_DIRECTORY: Option<Location> = ConfigOption::new(
        "high-availability.storageDir",
        || None,
        "The application's durable storage. For now checkpoints are written there when \
         `execution.checkpointing.dir` isn't set; that a JobManager started later goes on with \
         the jobs of an earlier one isn't built yet.",
    );

    /// The application's identity.
    CLUSTER_ID: Option<String> = ConfigOption::new(
        "high-availability.cluster-id",
        || None,
        "The application's identity: job ids derive from it, and what a JobManager recorded is \
         found by it. Unset: the application's name.",
    )
    .flink_default("/default")
    .must_be(
        "at most 63 letters, digits, dots, dashes and underscores, a letter or digit first",
        |id| id.as_deref().is_none_or(is_cluster_id),
    );
}
