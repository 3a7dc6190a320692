//! Who may connect to an application's pods. Outgoing connections aren't restricted: where sources,
//! sinks and the store are is the application's business.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Identity;
use super::identity::APPLICATION_LABEL;
use super::pod::{DATA_PORT, METRICS_PORT, REST_PORT, RPC_PORT};
use crate::pod_template::Role;
use crate::resource::{self, MetricsPeer};

/// A policy for each role, unless they are switched off.
pub(super) fn policies(
    identity: &Identity,
    policy: &resource::NetworkPolicy,
) -> Vec<NetworkPolicy> {
    if !policy.enabled {
        return Vec::new();
    }
    let application =
        peer_pods(BTreeMap::from([(APPLICATION_LABEL.to_owned(), identity.name.clone())]));
    let operator = NetworkPolicyPeer {
        // In any namespace: where the operator is isn't known here.
        namespace_selector: Some(LabelSelector::default()),
        ..peer_pods(BTreeMap::from([(
            "app.kubernetes.io/name".to_owned(),
            "thalweg-operator".to_owned(),
        )]))
    };
    let metrics = rule(policy.metrics_from.iter().map(metrics_peer).collect(), &[METRICS_PORT]);
    let job_managers = vec![
        Some(rule(vec![application.clone()], &[RPC_PORT, REST_PORT, METRICS_PORT])),
        Some(rule(vec![operator], &[REST_PORT])),
        metrics.from.is_some().then(|| metrics.clone()),
    ];
    let task_managers = vec![
        Some(rule(vec![application], &[DATA_PORT, METRICS_PORT])),
        metrics.from.is_some().then_some(metrics),
    ];
    [
        (Role::JobManager, identity.job_managers(), job_managers),
        (Role::TaskManager, identity.task_managers(), task_managers),
    ]
    .map(|(role, name, rules)| NetworkPolicy {
        metadata: identity.metadata(name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(identity.label_selector(role)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(rules.into_iter().flatten().collect()),
            egress: None,
        }),
    })
    .into()
}

/// Connections from these to these ports; from nobody when there are none.
fn rule(from: Vec<NetworkPolicyPeer>, ports: &[i32]) -> NetworkPolicyIngressRule {
    let ports = ports.iter().map(|port| NetworkPolicyPort {
        port: Some(IntOrString::Int(*port)),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    });
    NetworkPolicyIngressRule {
        from: Some(from).filter(|from| !from.is_empty()),
        ports: Some(ports.collect()),
    }
}

fn peer_pods(labels: BTreeMap<String, String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(LabelSelector { match_labels: Some(labels), ..Default::default() }),
        ..Default::default()
    }
}

fn metrics_peer(peer: &MetricsPeer) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: peer.ip_block.as_ref().map(|block| IPBlock {
            cidr: block.cidr.clone(),
            except: Some(block.except.clone()).filter(|except| !except.is_empty()),
        }),
        namespace_selector: peer.namespace_selector.as_ref().map(selector),
        pod_selector: peer.pod_selector.as_ref().map(selector),
    }
}

fn selector(selector: &resource::LabelSelector) -> LabelSelector {
    let expressions = selector.match_expressions.iter().map(|each| LabelSelectorRequirement {
        key: each.key.clone(),
        operator: each.operator.clone(),
        values: Some(each.values.clone()).filter(|values| !values.is_empty()),
    });
    let expressions: Vec<LabelSelectorRequirement> = expressions.collect();
    LabelSelector {
        match_labels: Some(selector.match_labels.clone()).filter(|labels| !labels.is_empty()),
        match_expressions: Some(expressions).filter(|expressions| !expressions.is_empty()),
    }
}
