//! When a process that doesn't answer counts as lost.

use std::time::Duration;

use super::option_group;
use crate::configuration::ConfigOption;

option_group! {
    "Heartbeats";

    /// Time between heartbeats.
    INTERVAL: Duration = ConfigOption::new(
        "heartbeat.interval",
        || Duration::from_secs(1),
        "The time between two heartbeats to a process.",
    )
    .flink_default("10 s")
    .must_be("at least 1 ms", |interval| *interval >= Duration::from_millis(1));

    /// Time until a process counts as lost.
    TIMEOUT: Duration = ConfigOption::new(
        "heartbeat.timeout",
        || Duration::from_secs(10),
        "A process that hasn't answered for this long counts as lost, and its tasks fail. Must \
         be longer than `heartbeat.interval`.",
    )
    .flink_default("50 s")
    .must_be("at least 1 ms", |timeout| *timeout >= Duration::from_millis(1));
}
