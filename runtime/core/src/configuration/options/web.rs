//! What the REST endpoint remembers and tells a dashboard.

use std::time::Duration;

use super::option_group;
use crate::configuration::ConfigOption;

option_group! {
    "Web";

    /// A dashboard's polling interval.
    REFRESH_INTERVAL: Duration = ConfigOption::new(
        "web.refresh-interval",
        || Duration::from_secs(3),
        "How often a dashboard asks for news; REST `/config` tells it.",
    )
    .must_be("at least 100 ms", |interval| *interval >= Duration::from_millis(100));

    /// Remembered checkpoints.
    CHECKPOINTS_HISTORY: u32 = ConfigOption::new(
        "web.checkpoints.history",
        || 10,
        "The number of latest checkpoints of a job that REST remembers.",
    )
    .must_be("at most 10000", |history| *history <= 10_000);

    /// Remembered failures.
    EXCEPTION_HISTORY_SIZE: u32 = ConfigOption::new(
        "web.exception-history-size",
        || 16,
        "The number of latest failures of a job that REST remembers.",
    )
    .must_be("from 1 to 10000", |size| (1..=10_000).contains(size));
}
