//! What the API server accepts and refuses, and that refusals say what to do.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::strict::refusals;
use super::{application, sample};
use crate::resource::reserved::RESERVED;
use crate::resource::rules::rules;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    set: BTreeMap<String, Value>,
    #[serde(default)]
    old: Option<BTreeMap<String, Value>>,
    says: String,
}

fn cases() -> Vec<Case> {
    serde_yaml::from_str(include_str!("refused.yaml")).expect("cases")
}

/// The resource with these values at these paths; null removes one.
pub(crate) fn changed(mut resource: Value, set: &BTreeMap<String, Value>) -> Value {
    for (path, value) in set {
        let (parent, name) = path.rsplit_once('/').expect("a path");
        let mut at = &mut resource;
        for step in parent.split('/').skip(1) {
            at = &mut at[step];
        }
        match value {
            Value::Null => drop(at.as_object_mut().expect("an object").remove(name)),
            value => at[name] = value.clone(),
        }
    }
    resource
}

#[test]
fn the_samples_have_known_fields_only_and_are_accepted() {
    for name in ["minimal.yaml", "fraud-detection.yaml", "personalisation.yaml"] {
        assert_eq!(refusals(&sample(name), None), Vec::<String>::new(), "{name}");
        // A sample that is applied again is no change.
        assert_eq!(refusals(&sample(name), Some(&sample(name))), Vec::<String>::new(), "{name}");
        let read = serde_json::to_value(application(name)).expect("JSON");
        assert_eq!(read, super::strict::with_defaults(&sample(name)), "{name} loses something");
    }
}

#[test]
fn bad_resources_are_refused_with_a_message_that_says_what_to_do() {
    let cases = cases();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    for case in cases {
        let old = case.old.map(|set| changed(sample("minimal.yaml"), &set));
        let found = refusals(&changed(sample("minimal.yaml"), &case.set), old.as_ref()).join("\n");
        assert!(!found.is_empty(), "accepted: {:?}", case.set);
        assert!(found.contains(&case.says), "{:?}: {found}", case.set);
    }
}

#[test]
fn every_rule_refuses_some_bad_resource() {
    let said: Vec<String> = cases()
        .into_iter()
        .map(|case| {
            let old = case.old.map(|set| changed(sample("minimal.yaml"), &set));
            refusals(&changed(sample("minimal.yaml"), &case.set), old.as_ref()).join("\n")
        })
        .collect();
    for rule in rules() {
        assert!(said.iter().any(|said| said.contains(&rule.message)), "untested: {}", rule.message);
        assert!(!rule.message.contains('\n') && rule.message.len() < 2048, "{}", rule.message);
    }
}

#[test]
fn a_new_restore_allows_another_number_of_key_groups() {
    let old = sample("minimal.yaml");
    let restore = |at: &str| json!({ "from": { "empty": {} }, "at": at });
    let mut new = old.clone();
    new["spec"]["job"]["maxParallelism"] = json!(256);
    assert_ne!(refusals(&new, Some(&old)), Vec::<String>::new());
    new["spec"]["state"]["restore"] = restore("2026-01-01T00:00:00Z");
    assert_eq!(refusals(&new, Some(&old)), Vec::<String>::new());
}

#[test]
fn a_new_restore_allows_another_place_for_the_state_and_without_state_any_is_allowed() {
    let old = sample("minimal.yaml");
    let mut new = old.clone();
    new["spec"]["state"]["checkpoints"]["location"] = json!("s3://other/place");
    assert_ne!(refusals(&new, Some(&old)), Vec::<String>::new());
    let restore = json!({ "from": { "path": "s3://b/7" }, "at": "2026-01-01T00:00:00Z" });
    new["spec"]["state"]["restore"] = restore;
    assert_eq!(refusals(&new, Some(&old)), Vec::<String>::new());
    new["spec"]["state"].as_object_mut().expect("an object").remove("restore");
    new["spec"]["upgrade"]["mode"] = json!("Stateless");
    assert_eq!(refusals(&new, Some(&old)), Vec::<String>::new());
}

#[test]
fn every_reserved_key_is_refused_and_others_are_accepted() {
    let with = |key: &str| {
        let mut resource = sample("minimal.yaml");
        resource["spec"]["configuration"] = json!({ key: "1" });
        refusals(&resource, None)
    };
    for reserved in RESERVED {
        let prefixed = reserved.prefixes.iter().map(|prefix| format!("{prefix}x"));
        for key in reserved.keys.iter().map(|key| key.to_string()).chain(prefixed) {
            assert!(with(&key).join(" ").contains(reserved.instead), "{key}: {:?}", with(&key));
        }
    }
    for key in ["heartbeat.interval", "s3.endpoint", "execution.checkpointing.incremental"] {
        assert_eq!(with(key), Vec::<String>::new(), "{key}");
    }
}

#[test]
fn every_setting_of_the_engine_is_reserved_or_free_on_purpose() {
    // A new option of the engine has to be put into one of the two lists.
    const FREE: &[&str] = &[
        "env.log.",
        "execution.buffer-timeout.",
        "execution.checkpointing.incremental",
        "execution.checkpointing.mode",
        "execution.checkpointing.tolerable-failed-checkpoints",
        "heartbeat.",
        "jobmanager.execution.failover-strategy",
        "metrics.latency.interval",
        "pipeline.operator-chaining.enabled",
        "s3.",
        "slot.",
        "taskmanager.memory.network.fraction",
        "taskmanager.network.",
        "taskmanager.registration.timeout",
        "web.",
    ];
    let groups = thalweg_core::configuration::options::GROUPS;
    let mut wrong = Vec::new();
    for option in groups.iter().flat_map(|group| group.options) {
        let reserved = RESERVED.iter().any(|reserved| reserved.contains(option.key()));
        let free = FREE.iter().any(|prefix| option.key().starts_with(prefix));
        if reserved == free {
            wrong.push(option.key());
        }
    }
    assert!(wrong.is_empty(), "reserve them in `reserved`, or list them here: {wrong:?}");
}
