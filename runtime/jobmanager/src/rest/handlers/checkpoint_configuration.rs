//! `/jobs/:jobid/checkpoints/config`: how checkpoints are taken.

use serde::Serialize;

use crate::rest::model::CheckpointConfigurationFacts;

#[derive(Debug, Serialize)]
pub(crate) struct Configuration<'a> {
    mode: &'static str,
    interval: u64,
    timeout: u64,
    min_pause: u64,
    max_concurrent: u32,
    externalization: Externalization,
    state_backend: &'a str,
    checkpoint_storage: &'a str,
    unaligned_checkpoints: bool,
    tolerable_failed_checkpoints: u32,
    aligned_checkpoint_timeout: u64,
    checkpoints_after_tasks_finish: bool,
    /// There is no changelog here; these three are Flink's answer when it is off.
    state_changelog_enabled: bool,
    changelog_periodic_materialization_interval: u64,
    changelog_storage: &'static str,
}

#[derive(Debug, Serialize)]
struct Externalization {
    enabled: bool,
    delete_on_cancellation: bool,
}

/// `/jobs/:jobid/checkpoints/config`.
pub(crate) fn configuration(facts: &CheckpointConfigurationFacts) -> Configuration<'_> {
    Configuration {
        mode: if facts.exactly_once { "exactly_once" } else { "at_least_once" },
        interval: facts.interval_ms,
        timeout: facts.timeout_ms,
        min_pause: facts.min_pause_ms,
        max_concurrent: facts.max_concurrent,
        externalization: Externalization {
            enabled: facts.externalized,
            delete_on_cancellation: facts.delete_on_cancellation,
        },
        state_backend: &facts.state_backend,
        checkpoint_storage: &facts.checkpoint_storage,
        unaligned_checkpoints: facts.unaligned,
        tolerable_failed_checkpoints: facts.tolerable_failed,
        aligned_checkpoint_timeout: facts.aligned_timeout_ms,
        checkpoints_after_tasks_finish: facts.after_tasks_finish,
        state_changelog_enabled: false,
        changelog_periodic_materialization_interval: 600_000,
        changelog_storage: "memory",
    }
}
