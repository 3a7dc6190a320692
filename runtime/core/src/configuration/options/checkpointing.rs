//! When checkpoints are taken and where they are kept.

use std::time::Duration;

use super::option_group;
use crate::configuration::named::Named;
use crate::configuration::{ConfigOption, Location};

/// What a restart guarantees about state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointingMode {
    /// Every record changes the state once: barriers are aligned.
    ExactlyOnce,
}

impl Named for CheckpointingMode {
    const NAMES: &'static [(Self, &'static str, &'static [&'static str])] =
        &[(Self::ExactlyOnce, "EXACTLY_ONCE", &["exactly-once"])];
    const REFUSED: &'static [(&'static str, &'static str)] = &[
        ("AT_LEAST_ONCE", "at-least-once checkpoints aren't offered; remove the key"),
        ("at-least-once", "at-least-once checkpoints aren't offered; remove the key"),
    ];
}

option_group! {
    "Checkpointing";

    /// Time between checkpoints.
    INTERVAL: Option<Duration> = ConfigOption::new(
        "execution.checkpointing.interval",
        || None,
        "The time from one checkpoint's trigger to the next one's. Unset: no checkpoints.",
    )
    .must_be("at least 10 ms", |interval| {
        interval.is_none_or(|interval| interval >= Duration::from_millis(10))
    });

    /// Where checkpoints are kept.
    DIRECTORY: Option<Location> = ConfigOption::new(
        "execution.checkpointing.dir",
        || None,
        "Where checkpoints are written: a directory that the JobManager and all TaskManagers \
         see under this name, or `s3://BUCKET/PREFIX` in a build with the cargo feature `s3`. Unset: `high-availability.storageDir`. One of them is needed when \
         `execution.checkpointing.interval` is set.",
    );

    /// Whether checkpoints go on from earlier ones.
    INCREMENTAL: bool = ConfigOption::new(
        "execution.checkpointing.incremental",
        || true,
        "Whether a checkpoint holds what has changed since the last one, and refers to earlier \
         ones' objects for the rest. Without, each holds everything.",
    )
    .flink_default("false");

    /// The longest a checkpoint may take.
    TIMEOUT: Duration = ConfigOption::new(
        "execution.checkpointing.timeout",
        || Duration::from_secs(10 * 60),
        "A checkpoint that isn't complete after this time is given up.",
    )
    .must_be("at least 10 ms", |timeout| *timeout >= Duration::from_millis(10));

    /// The least time between two checkpoints.
    MIN_PAUSE: Duration = ConfigOption::new(
        "execution.checkpointing.min-pause",
        || Duration::ZERO,
        "The least time from the end of one checkpoint to the trigger of the next. Only one \
         checkpoint is under way at a time.",
    );

    /// Checkpoints kept.
    NUM_RETAINED: u32 = ConfigOption::new(
        "execution.checkpointing.num-retained",
        || 1,
        "The number of latest complete checkpoints that are kept.",
    )
    .must_be("from 1 to 1000", |retained| (1..=1000).contains(retained));

    /// Failures in a row that are borne.
    TOLERABLE_FAILED_CHECKPOINTS: u32 = ConfigOption::new(
        "execution.checkpointing.tolerable-failed-checkpoints",
        || 0,
        "The number of checkpoints that may fail in a row before the job fails over.",
    );

    /// The guarantee.
    MODE: CheckpointingMode = ConfigOption::new(
        "execution.checkpointing.mode",
        || CheckpointingMode::ExactlyOnce,
        "The guarantee for state after a restart. Flink's `AT_LEAST_ONCE` is refused.",
    );
}
