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

    /// Where savepoints are kept.
    SAVEPOINT_DIRECTORY: Option<Location> = ConfigOption::new(
        "execution.checkpointing.savepoint-dir",
        || None,
        "Below which directory savepoints are written, when whoever asks for one names none. Each \
         has a directory of its own, which can be moved; the engine never deletes one.",
    )
    .must_be("an absolute path or a URI", |directory| {
        let local = directory.as_ref().and_then(|directory| directory.local_path());
        local.is_none_or(|path| path.is_absolute())
    });

    /// What the job begins with.
    RECOVERY_PATH: Option<Location> = ConfigOption::new(
        "execution.state-recovery.path",
        || None,
        "The savepoint, or retained checkpoint, that the program's first job begins with; what \
         `--from-savepoint` sets. It is only read.",
    );

    /// State without an operator is dropped.
    IGNORE_UNCLAIMED_STATE: bool = ConfigOption::new(
        "execution.state-recovery.ignore-unclaimed-state",
        || false,
        "Whether a job may begin with a savepoint that has state of operators which the job \
         doesn't have: that state is dropped. What `--allow-non-restored-state` sets.",
    );

    /// Whether checkpoints go on from earlier ones.
    INCREMENTAL: bool = ConfigOption::new(
        "execution.checkpointing.incremental",
        || true,
        "Whether a checkpoint holds what has changed since the last one, and refers to earlier \
         ones' objects for the rest. Without, each holds everything.",
    )
    .flink_default("false");

    /// Where copies of snapshots are kept.
    LOCAL_BACKUP_DIRECTORY: Option<Location> = ConfigOption::new(
        "execution.checkpointing.local-backup.dirs",
        || None,
        "A local directory in which a TaskManager keeps copies of what its tasks have written for \
         the last checkpoint, so that tasks which restart there don't read the store. Unset: no \
         copies. Worth it where the store is remote.",
    )
    .must_be("an absolute path", |directory| {
        let local = |directory: &Location| directory.local_path().is_some_and(|p| p.is_absolute());
        directory.as_ref().is_none_or(local)
    });

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
