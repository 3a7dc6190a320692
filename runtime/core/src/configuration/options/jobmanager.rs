//! Where the JobManager listens and is found.

use super::{is_host, option_group};
use crate::configuration::ConfigOption;
use crate::configuration::named::Named;

/// What is restarted when a task fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailoverStrategy {
    /// The failed task's pipelined region and the regions that need its results.
    Region,
}

impl Named for FailoverStrategy {
    const NAMES: &'static [(Self, &'static str, &'static [&'static str])] =
        &[(Self::Region, "region", &[])];
    const REFUSED: &'static [(&'static str, &'static str)] =
        &[("full", "restarting all tasks isn't offered; remove the key, tasks restart by region")];
}

option_group! {
    "JobManager";

    /// The JobManager's address for TaskManagers and clients.
    RPC_ADDRESS: String = ConfigOption::new(
        "jobmanager.rpc.address",
        || "localhost".to_owned(),
        "The address at which TaskManagers reach the JobManager.",
    )
    .must_be("a host name or an IP address without a port", |host| is_host(host));

    /// The JobManager's RPC port.
    RPC_PORT: u16 = ConfigOption::new(
        "jobmanager.rpc.port",
        || 6123,
        "The port of the JobManager's RPC. Port 0 takes any free one.",
    );

    /// Where the JobManager's RPC listens.
    BIND_HOST: String = ConfigOption::new(
        "jobmanager.bind-host",
        || "127.0.0.1".to_owned(),
        "The address on which the JobManager's RPC port listens; `0.0.0.0` for all.",
    )
    .flink_default("all addresses")
    .must_be("a host name or an IP address without a port", |host| is_host(host));

    /// What restarts after a failure.
    FAILOVER_STRATEGY: FailoverStrategy = ConfigOption::new(
        "jobmanager.execution.failover-strategy",
        || FailoverStrategy::Region,
        "Which tasks restart when one fails: those of its pipelined region. There is no other \
         strategy; Flink's `full` is refused.",
    );
}
