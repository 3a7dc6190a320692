//! How long slots and TaskManagers are waited for, and kept unused.

use std::time::Duration;

use super::option_group;
use crate::configuration::ConfigOption;

option_group! {
    "Slots and resources";

    /// How long a job waits for its slots.
    REQUEST_TIMEOUT: Duration = ConfigOption::new(
        "slot.request.timeout",
        || Duration::from_secs(5 * 60),
        "How long a job waits for the slots that it needs; then it fails with the number that is \
         missing.",
    )
    .must_be("at least 1 ms", |timeout| *timeout >= Duration::from_millis(1));

    /// How long a JobMaster keeps an unused slot.
    IDLE_TIMEOUT: Duration = ConfigOption::new(
        "slot.idle.timeout",
        || Duration::from_secs(50),
        "How long a job keeps a slot that it doesn't use; then the slot is free for others.",
    );

    /// How long an unused TaskManager is kept.
    TASKMANAGER_TIMEOUT: Duration = ConfigOption::new(
        "resourcemanager.taskmanager-timeout",
        || Duration::from_secs(30),
        "How long a TaskManager that the ResourceManager started is kept while none of its slots \
         is used. TaskManagers that were started by hand stay.",
    );
}
