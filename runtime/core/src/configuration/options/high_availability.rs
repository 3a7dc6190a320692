//! What outlives a JobManager, and under which name.

use std::time::Duration;

use super::option_group;
use crate::configuration::named::Named;
use crate::configuration::{ConfigOption, Location};

/// What JobManagers go by that wait for their turn to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HighAvailabilityType {
    /// A hint in the store, which the leader renews.
    Store,
    /// The application's Lease in Kubernetes: a leader whose pod is gone is replaced at once.
    Kubernetes,
}

impl Named for HighAvailabilityType {
    const NAMES: &'static [(Self, &'static str, &'static [&'static str])] =
        &[(Self::Store, "store", &[]), (Self::Kubernetes, "kubernetes", &[])];
    const REFUSED: &'static [(&'static str, &'static str)] = &[
        ("zookeeper", "there is no ZooKeeper yet; use store, which needs nothing but a store"),
        ("none", "leave high-availability.storageDir unset instead"),
    ];
}

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
        "The application's durable storage: a directory that all of its processes see under \
         this name, or a bucket. Set, it turns high availability on for a cluster: a JobManager \
         started later goes on with the jobs of an earlier one, gives the results of those that \
         have ended, and a second one stands by. TaskManagers find the one that leads through it \
         and need no `jobmanager.rpc.address`; what each JobManager has there is what they are \
         told. Checkpoints go there too, unless \
         `execution.checkpointing.dir` is set.",
    );

    /// Who says whose turn it is to lead.
    TYPE: HighAvailabilityType = ConfigOption::new(
        "high-availability.type",
        || HighAvailabilityType::Store,
        "What JobManagers go by that wait for their turn to lead. What keeps two leaders apart is \
         the log in `high-availability.storageDir` in any case; without that there is no high \
         availability. `store`: a hint there, which the leader renews. `kubernetes`: the \
         application's Lease.",
    )
    .flink_default("NONE");

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

    /// How long a silent leader is believed.
    LEASE_DURATION: Duration = ConfigOption::new(
        "high-availability.leader-election.lease-duration",
        || Duration::from_secs(15),
        "How long a JobManager that stands by waits after the leader's last sign of life before \
         it takes over. A leader that was only slow is fenced by that and ends. One that was \
         ended by SIGTERM isn't waited for, nor one that is restarted at the same address.",
    )
    .must_be("at least 100 ms", |lease| *lease >= Duration::from_millis(100));

    /// How long a leader may fail to renew its Lease.
    RENEW_DEADLINE: Duration = ConfigOption::new(
        "high-availability.leader-election.renew-deadline",
        || Duration::from_secs(10),
        "How long a leader may fail to renew its Lease in Kubernetes before it warns. It goes on: \
         the store fences it if another one has taken over, so that an outage of the API server \
         stops no job.",
    )
    .must_be("at least 100 ms", |deadline| *deadline >= Duration::from_millis(100));

    /// How often the leader shows itself.
    RETRY_PERIOD: Duration = ConfigOption::new(
        "high-availability.leader-election.retry-period",
        || Duration::from_secs(5),
        "How often the leader gives a sign of life and looks whether it still leads, how often \
         those that stand by look, and how often TaskManagers look who leads.",
    )
    .must_be("at least 10 ms", |period| *period >= Duration::from_millis(10));
}
