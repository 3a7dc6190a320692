//! The Services of an application.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Identity;
use super::pod::{METRICS_PORT, REST_PORT, RPC_PORT};
use crate::pod_template::Role;

fn port(name: &str, port: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..Default::default()
    }
}

/// The headless Service over all JobManager pods, ready or not: TaskManagers ask each address who
/// leads, and a JobManager that is only starting must be found too.
pub(super) fn job_managers(identity: &Identity) -> Service {
    Service {
        metadata: identity.metadata(identity.job_managers()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(identity.selector(Role::JobManager)),
            ports: Some(vec![
                port("rpc", RPC_PORT),
                port("rest", REST_PORT),
                port("metrics", METRICS_PORT),
            ]),
            ..Default::default()
        }),
        status: None,
    }
}

/// The Service for people and tools: REST and web pages of a JobManager that is ready. One that
/// stands by passes requests on to the leader.
pub(super) fn rest(identity: &Identity) -> Service {
    Service {
        metadata: identity.metadata(identity.rest()),
        spec: Some(ServiceSpec {
            selector: Some(identity.selector(Role::JobManager)),
            ports: Some(vec![port("rest", REST_PORT)]),
            ..Default::default()
        }),
        status: None,
    }
}
