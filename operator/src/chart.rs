//! Tests that charts/thalweg-operator fits this crate: version, and what the operator may do.
//!
//! What Helm makes of the chart is tested by `tests/run chart`.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{PolicyRule, Role};

use crate::build::{Identity, application_objects};
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

#[test]
fn the_operator_may_do_all_that_it_grants() {
    let identity = Identity {
        namespace: "shop".to_owned(),
        name: "personalisation".to_owned(),
        uid: "u".to_owned(),
    };
    let spec = application("personalisation.yaml").spec;
    let objects = application_objects(&identity, &spec, Some("r"), &["r"]).expect("objects");
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
        // A list shows the contents of all, and so does a watch.
        let reads_many = ["list", "watch", "deletecollection"].contains(&verb.as_str());
        assert!(resource != "secrets" || !reads_many, "{what}");
    }
}
