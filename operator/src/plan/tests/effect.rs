//! What changes of the spec lead to.

use serde_json::{Value, json};

use crate::plan::{EFFECTS, Effect, difference, effect_of, forming_part};
use crate::resource::definition;
use crate::resource::tests::application;

/// The paths of all fields that hold something themselves.
fn leaves(path: &str, schema: &Value, found: &mut Vec<String>) {
    match schema["properties"].as_object() {
        Some(properties) if !properties.is_empty() => {
            for (name, property) in properties {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&path, property, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn every_field_of_the_spec_is_marked_with_what_its_change_leads_to() {
    let schema = definition::schema().expect("a schema");
    let mut fields = Vec::new();
    leaves("", &schema["properties"]["spec"], &mut fields);
    assert!(fields.len() > 55, "{fields:?}");
    let unmarked: Vec<&String> = fields.iter().filter(|path| effect_of(path).is_none()).collect();
    assert!(unmarked.is_empty(), "give them a line in EFFECTS: {unmarked:?}");
    for (line, _) in EFFECTS {
        let used = fields.iter().any(|path| {
            path == line || path.strip_prefix(line).is_some_and(|rest| rest.starts_with('.'))
        });
        assert!(used, "{line} isn't in the schema");
    }
}

#[test]
fn a_change_leads_to_what_its_most_disruptive_field_does() {
    let old = serde_json::to_value(application("personalisation.yaml").spec).expect("JSON");
    let changed = |pairs: &[(&str, Value)]| {
        let mut new = old.clone();
        for (path, value) in pairs {
            *new.pointer_mut(path).expect("a field") = value.clone();
        }
        difference(&old, &new).0
    };
    for (expected, pairs) in [
        (Effect::Nothing, vec![]),
        (Effect::Nothing, vec![("/upgrade/rollback", json!("Off"))]),
        (Effect::InPlace, vec![("/suspend", json!(true))]),
        (Effect::InPlace, vec![("/networkPolicy/enabled", json!(false))]),
        (Effect::Rescale, vec![("/job/parallelism", json!(8)), ("/suspend", json!(true))]),
        (Effect::NewTaskManagers, vec![("/taskManager/slots", json!(4))]),
        (Effect::NewTaskManagers, vec![("/taskManager/resources/limits/memory", json!("8Gi"))]),
        (Effect::NewRevision, vec![("/image", json!("x")), ("/taskManager/slots", json!(4))]),
        (Effect::NewRevision, vec![("/job/binary/args/1", json!("tcp://other:1"))]),
        (Effect::NewRevision, vec![("/configuration/s3.region", json!("eu-north-1"))]),
    ] {
        assert_eq!(changed(&pairs), expected, "{pairs:?}");
    }
}

#[test]
fn a_field_that_appears_or_vanishes_is_a_change() {
    let old = serde_json::to_value(application("minimal.yaml").spec).expect("JSON");
    let mut new = old.clone();
    new["configuration"] = json!({ "heartbeat.interval": "2 s" });
    assert_eq!(difference(&old, &new).0, Effect::NewRevision);
    assert_eq!(difference(&new, &old).0, Effect::NewRevision);
    assert_eq!(difference(&old, &new).1, ["configuration"]);
}

#[test]
fn what_can_change_while_pods_run_forms_no_revision() {
    let spec = serde_json::to_value(application("personalisation.yaml").spec).expect("JSON");
    let forming = forming_part(&spec);
    for path in ["/job/parallelism", "/suspend", "/upgrade", "/deletion", "/jobManager/replicas"] {
        let mut changed = spec.clone();
        *changed.pointer_mut(path).expect("a field") = json!(7);
        assert_eq!(forming_part(&changed), forming, "{path}");
    }
    for path in ["/image", "/job/maxParallelism", "/taskManager/slots", "/state/checkpoints"] {
        let mut changed = spec.clone();
        *changed.pointer_mut(path).expect("a field") = json!(7);
        assert_ne!(forming_part(&changed), forming, "{path}");
    }
}
