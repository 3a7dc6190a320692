//! How a job's graph is built and its records are moved on.

use std::time::Duration;

use super::option_group;
use crate::configuration::ConfigOption;

option_group! {
    "Execution";

    /// Chaining.
    OPERATOR_CHAINING: bool = ConfigOption::new(
        "pipeline.operator-chaining.enabled",
        || true,
        "Whether operators that can be are chained into one task. Switch it off to see each \
         operator's own figures; it costs speed.",
    )
    .also("pipeline.operator-chaining");

    /// The linger.
    BUFFER_TIMEOUT: Duration = ConfigOption::new(
        "execution.buffer-timeout.interval",
        || Duration::from_millis(5),
        "How long records wait in a batch that isn't full, at most, before it is sent. Lower \
         gives less latency at low rates, higher gives larger batches. With 0 they don't wait. \
         Flink's 100 ms would be most of the latency here.",
    )
    .also("execution.buffer-timeout")
    .flink_default("100 ms")
    .must_be("at most 10 s", |timeout| *timeout <= Duration::from_secs(10));
}
