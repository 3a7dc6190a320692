//! The JobManager's REST endpoint.

use super::{is_host, option_group};
use crate::configuration::ConfigOption;

option_group! {
    "REST";

    /// The REST endpoint's address for clients.
    ADDRESS: Option<String> = ConfigOption::new(
        "rest.address",
        || None,
        "The address at which clients reach the REST endpoint, and JobManagers that stand by, \
         which pass requests on to the leader's. Unset: `jobmanager.rpc.address`.",
    )
    .must_be("a host name or an IP address without a port", |host| {
        host.as_deref().is_none_or(is_host)
    });

    /// The REST port.
    PORT: u16 = ConfigOption::new(
        "rest.port",
        || 8081,
        "The port of the REST endpoint. Port 0 takes any free one. When it isn't set, a \
         LocalEnvironment takes the next free port; a port that is set and in use is an error.",
    );

    /// Where REST listens.
    BIND_HOST: String = ConfigOption::new(
        "rest.bind-host",
        || "127.0.0.1".to_owned(),
        "The address on which the REST port listens; `0.0.0.0` for all. Unless \
         `security.ssl.internal.enabled` is set it has no authentication: open it only to networks \
         that you trust.",
    )
    .also("rest.bind-address")
    .flink_default("the value of `rest.address`")
    .must_be("a host name or an IP address without a port", |host| is_host(host));
}
