//! A TaskManager's addresses, slots and memory.

use std::time::Duration;

use super::{is_host, option_group};
use crate::configuration::{ConfigOption, Configuration, MemorySize};

/// More slots than any process has use for; bounds what a slot report can hold.
pub const SLOTS_MAX: u32 = 1024;

option_group! {
    "TaskManager";

    /// The TaskManager's address for other TaskManagers.
    HOST: Option<String> = ConfigOption::new(
        "taskmanager.host",
        || None,
        "The address at which other TaskManagers reach this one. Unset: the local address of its \
         connection to the JobManager.",
    )
    .must_be("a host name or an IP address without a port", |host| {
        host.as_deref().is_none_or(is_host)
    });

    /// The TaskManager's id.
    RESOURCE_ID: Option<String> = ConfigOption::new(
        "taskmanager.resource-id",
        || None,
        "The TaskManager's id, another one for every process; in Kubernetes the name of its pod. \
         Unset: host, process number and a few random digits.",
    )
    .must_be("from 1 to 253 letters, digits, dots, dashes and underscores", |id| {
        let is_id_character = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        id.as_deref().is_none_or(|id| {
            (1..=253).contains(&id.len()) && id.chars().all(is_id_character)
        })
    });

    /// Where the data port listens.
    BIND_HOST: String = ConfigOption::new(
        "taskmanager.bind-host",
        || "127.0.0.1".to_owned(),
        "The address on which the TaskManager's data port listens; `0.0.0.0` for all.",
    )
    .flink_default("all addresses")
    .must_be("a host name or an IP address without a port", |host| is_host(host));

    /// The data port.
    DATA_PORT: u16 = ConfigOption::new(
        "taskmanager.data.port",
        || 0,
        "The port at which a TaskManager receives other TaskManagers' data. Port 0 takes any \
         free one.",
    );

    /// Slots per TaskManager.
    NUMBER_OF_TASK_SLOTS: u32 = ConfigOption::new(
        "taskmanager.numberOfTaskSlots",
        || 1,
        "The number of slots of a TaskManager: how many subtasks of one vertex it runs at once.",
    )
    .must_be("from 1 to 1024", |slots| (1..=SLOTS_MAX).contains(slots));

    /// The process's memory, all of it.
    MEMORY_PROCESS_SIZE: MemorySize = ConfigOption::new(
        "taskmanager.memory.process.size",
        || MemorySize::from_mib(1024),
        "All the memory of a TaskManager process: the one number, equal to its container's \
         limit. It is divided at the start as shown under \"How the memory is divided\".",
    )
    .flink_default("none, it must be set");

    /// How long a TaskManager looks for its JobManager.
    REGISTRATION_TIMEOUT: Duration = ConfigOption::new(
        "taskmanager.registration.timeout",
        || Duration::from_secs(5 * 60),
        "How long a TaskManager that is registered with no JobManager goes on trying; then it \
         ends with an error.",
    )
    .must_be("at least 1 ms", |timeout| *timeout >= Duration::from_millis(1));

    /// How long after SIGTERM the process is killed.
    TERMINATION_GRACE_PERIOD: Duration = ConfigOption::new(
        "taskmanager.termination-grace-period",
        || Duration::from_secs(120),
        "How long after SIGTERM whoever sent it kills the TaskManager; in Kubernetes the pod's \
         `terminationGracePeriodSeconds`, from which the operator sets it. Until 10 s before that \
         (a quarter of it, if that is less) the TaskManager works on while its tasks are moved to \
         slots of others. It goes as soon as they have left, or can't be moved. 0: it goes at \
         once.",
    );
}

/// How long a TaskManager works on at most after it was told to end: so long before it is killed
/// that it can say goodbye and end its tasks.
pub fn time_to_leave(configuration: &Configuration) -> Duration {
    /// Needed for the end at most: tasks have 5 s, and the process's runtime has one.
    const FOR_THE_END: Duration = Duration::from_secs(10);
    let grace = configuration.get(&TERMINATION_GRACE_PERIOD);
    grace.saturating_sub(FOR_THE_END.min(grace / 4))
}
