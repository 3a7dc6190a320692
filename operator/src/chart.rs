//! Tests that charts/thalweg-operator fits this crate: version, what the operator may do, its pods.
//!
//! What Helm makes of the chart is in tests/chart/golden, which `tests/run chart` compares with it.

use std::collections::BTreeSet;
use std::fmt::Debug;

use k8s_openapi::api::admissionregistration::v1 as admission;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    ConfigMap, Pod, PodSpec, PodTemplateSpec, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};
use serde_json::Value;

use crate::build::{Identity, REFERENCES_MAX, References, Turn, application_objects};
use crate::pod_template::violations;
use crate::resource::tests::{application, root};

fn read(path: &str) -> String {
    let path = root().join("charts/thalweg-operator").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The operator's rules, as the chart gives them to its ServiceAccount.
fn rules() -> Vec<PolicyRule> {
    let template = read("templates/_rules.tpl");
    let begin = "{{- define \"thalweg-operator.rules\" -}}\n";
    let rules = template.split(begin).nth(1).expect("the rules");
    let rules = rules.split("{{- end -}}").next().expect("an end");
    serde_yaml::from_str(rules).expect("rules without expressions of Helm's")
}

/// What rules allow, one by one: group, resource, verb.
fn allowed<'a>(rules: impl IntoIterator<Item = &'a PolicyRule>) -> BTreeSet<[String; 3]> {
    let mut allowed = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                let each = rule.verbs.iter().map(|verb| [group, resource, verb].map(String::clone));
                allowed.extend(each);
            }
        }
    }
    allowed
}

#[test]
fn the_charts_version_is_the_operators() {
    let chart: serde_yaml::Value = serde_yaml::from_str(&read("Chart.yaml")).expect("YAML");
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field].as_str(), Some(env!("CARGO_PKG_VERSION")), "{field}");
    }
}

/// References of every kind.
fn every_reference() -> References {
    let template = serde_yaml::from_str(
        "metadata: {labels: {a: b}}
spec:
  imagePullSecrets: [{name: pull}]
  containers: [{name: c, env: [{name: E, valueFrom: {configMapKeyRef: {name: m, key: k}}}]}]
  volumes:
  - {name: claim, persistentVolumeClaim: {claimName: claim}}
  - {name: driver, csi: {driver: example.com}}",
    );
    References::of(&template.expect("a template"))
}

#[test]
fn the_admission_policy_asks_for_as_many_references_as_a_template_may_have() {
    let limit = format!("{{{{- $references := {REFERENCES_MAX} }}}}");
    assert!(read("templates/admissionpolicy.yaml").contains(&limit), "{limit}");
}

#[test]
fn the_operator_may_do_all_that_it_grants() {
    let identity = Identity {
        namespace: "shop".to_owned(),
        name: "personalisation".to_owned(),
        uid: "u".to_owned(),
    };
    let spec = application("personalisation.yaml").spec;
    let references = every_reference();
    let turn = Turn { leading: Some("r"), preparing: None };
    let objects =
        application_objects(&identity, &spec, turn, &["r"], &references).expect("objects");
    let role = objects.into_iter().find(|object| object["kind"] == "Role").expect("a role");
    let role: Role = serde_json::from_value(role).expect("a role");
    let granted = allowed(role.rules.iter().flatten());
    let held = allowed(&rules());
    assert!(!granted.is_empty());
    let missing: Vec<_> = granted.difference(&held).collect();
    assert!(missing.is_empty(), "the API server would refuse the Role: {missing:?}");
}

#[test]
fn the_operator_may_not_do_more_than_it_names() {
    let rules = rules();
    for rule in &rules {
        assert!(rule.non_resource_urls.is_none(), "{rule:?}");
    }
    for [group, resource, verb] in allowed(&rules) {
        let what = format!("{verb} {resource} of {group:?}");
        assert!(![&group, &resource, &verb].contains(&&"*".to_owned()), "{what}");
        assert!(!["escalate", "bind", "impersonate"].contains(&verb.as_str()), "{what}");
        // A list shows the contents of all, and so does a watch. What is made goes with its owner.
        let needed = ["get", "create", "update", "use"].contains(&verb.as_str());
        assert!(resource != "secrets" || needed, "{what}");
    }
}

/// The objects that Helm makes of the values of this name.
fn golden(name: &str) -> Vec<Value> {
    let path = root().join(format!("tests/chart/golden/{name}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let objects: Vec<Value> = serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).expect("YAML"))
        .filter(|object| !object.is_null())
        .collect();
    assert!(objects.len() > 5, "{}", path.display());
    objects
}

/// An object that Kubernetes would understand as it is meant: nothing in it is unknown.
fn known<K: DeserializeOwned + Serialize + Debug>(object: &Value) -> K {
    let typed: K = serde_json::from_value(object.clone()).expect("an object of its kind");
    assert_eq!(&serde_json::to_value(&typed).expect("JSON"), object, "an unknown field");
    typed
}

/// The pod of an object that has one.
fn check_object(object: &Value) -> Option<PodSpec> {
    match object["kind"].as_str().expect("a kind") {
        "Deployment" => return known::<Deployment>(object).spec.expect("a spec").template.spec,
        "Pod" => return known::<Pod>(object).spec,
        "ServiceAccount" => drop(known::<ServiceAccount>(object)),
        "Service" => drop(known::<Service>(object)),
        "ConfigMap" => {
            for text in known::<ConfigMap>(object).data.expect("data").values() {
                let dashboard: Value = serde_json::from_str(text).expect("JSON");
                assert!(dashboard["panels"].as_array().expect("panels").len() > 5);
            }
        }
        "NetworkPolicy" => drop(known::<NetworkPolicy>(object)),
        "PodDisruptionBudget" => drop(known::<PodDisruptionBudget>(object)),
        "Role" => drop(known::<Role>(object)),
        "RoleBinding" => drop(known::<RoleBinding>(object)),
        "ClusterRole" => drop(known::<ClusterRole>(object)),
        "ClusterRoleBinding" => drop(known::<ClusterRoleBinding>(object)),
        "ValidatingAdmissionPolicy" => {
            drop(known::<admission::ValidatingAdmissionPolicy>(object));
        }
        "ValidatingAdmissionPolicyBinding" => {
            drop(known::<admission::ValidatingAdmissionPolicyBinding>(object));
        }
        // Of the Prometheus operator.
        "PodMonitor" | "PrometheusRule" => {}
        other => panic!("{other} isn't checked"),
    }
    None
}

#[test]
fn what_the_chart_makes_is_known_to_kubernetes_and_its_pods_pass_restricted() {
    for values in ["default", "full", "namespaces"] {
        let pods: Vec<PodSpec> = golden(values).iter().filter_map(check_object).collect();
        assert_eq!(pods.len(), 2, "{values}: the operator's and the one of helm test");
        for pod in pods {
            let template = PodTemplateSpec { spec: Some(pod.clone()), metadata: None };
            assert_eq!(violations(&template), Vec::<String>::new(), "{values}");
            for container in &pod.containers {
                let context = container.security_context.as_ref().expect("a context");
                assert_eq!(context.read_only_root_filesystem, Some(true), "{values}");
                assert!(container.resources.is_some(), "{values}");
            }
        }
    }
}

#[test]
fn in_a_list_of_namespaces_nothing_is_the_whole_clusters() {
    for object in golden("namespaces") {
        let namespace = object["metadata"]["namespace"].as_str();
        let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
        let expected = match kind.as_str() {
            Some("Role" | "RoleBinding") => ["shop", "payments", "operators"].as_slice(),
            _ => ["operators"].as_slice(),
        };
        assert!(namespace.is_some_and(|each| expected.contains(&each)), "{kind} {name}");
    }
}
