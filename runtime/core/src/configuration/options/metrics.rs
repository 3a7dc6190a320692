//! Where metrics are shown and which are measured.

use std::time::Duration;

use super::{is_host, option_group};
use crate::configuration::{ConfigOption, PortRange};

/// The default ports: Flink's Prometheus port and the hundred after it.
const fn default_ports() -> PortRange {
    match PortRange::new(9249, 9349) {
        Some(ports) => ports,
        None => PortRange::ANY,
    }
}

option_group! {
    "Metrics";

    /// The Prometheus port.
    PORT: PortRange = ConfigOption::new(
        "metrics.port",
        default_ports,
        "The port at which a process shows its metrics in Prometheus's format: the first free \
         one of a range, or 0 for any free one. Takes the place of Flink's \
         `metrics.reporter.<name>.port`.",
    )
    .ours();

    /// Where metrics are shown.
    BIND_HOST: String = ConfigOption::new(
        "metrics.bind-host",
        || "127.0.0.1".to_owned(),
        "The address on which the metrics port listens; `0.0.0.0` for all.",
    )
    .ours()
    .must_be("a host name or an IP address without a port", |host| is_host(host));

    /// Latency markers.
    LATENCY_INTERVAL: Duration = ConfigOption::new(
        "metrics.latency.interval",
        || Duration::ZERO,
        "How often sources emit latency markers, from which the latency to each operator is \
         measured. With 0 they emit none.",
    )
    .must_be("0 or at least 1 ms", |interval| {
        interval.is_zero() || *interval >= Duration::from_millis(1)
    });
}
