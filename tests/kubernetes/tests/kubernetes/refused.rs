//! Bad manifests at the real API server, and at the operator: each is refused with a message that
//! says what to do.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{Application, Namespace, shared_api};

/// The cases of the operator's own tests, which know the schema only.
const CASES: &str = include_str!("../../../../operator/src/resource/tests/refused.yaml");
const MINIMAL: &str = include_str!("../../../../crds/examples/minimal.yaml");

type Changes = BTreeMap<String, Value>;

fn minimal(namespace: &Namespace, changes: &Changes) -> Value {
    let mut resource: Value = serde_yaml::from_str(MINIMAL).expect("an example");
    resource["metadata"]["namespace"] = namespace.name.as_str().into();
    // None is to start anything.
    resource["spec"]["suspend"] = true.into();
    for (path, value) in changes {
        let (parent, name) = path.rsplit_once('/').expect("a path");
        let parent = resource.pointer_mut(parent).expect("a parent");
        match value {
            Value::Null => drop(parent.as_object_mut().expect("an object").remove(name)),
            value => parent[name] = value.clone(),
        }
    }
    resource
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn the_api_server_refuses_bad_resources_and_says_what_to_do() {
    let namespace = Namespace::new("refused");
    let api = shared_api();
    let all = namespace.of_group("thalweg.dev/v1alpha1", "flinkapplications");
    let cases: Vec<Value> = serde_yaml::from_str(CASES).expect("cases");
    assert!(cases.len() >= 60, "{} cases", cases.len());
    for case in &cases {
        let changes = |field: &str| -> Option<Changes> {
            serde_json::from_value(case.get(field)?.clone()).expect("changes")
        };
        let new = minimal(&namespace, &changes("set").expect("something is set"));
        let strict = "dryRun=All&fieldValidation=Strict";
        let (status, text) = match changes("old") {
            None => api.try_put(&format!("{all}?{strict}"), true, &new),
            Some(old) => {
                let old = Application::apply(&namespace, &minimal(&namespace, &old));
                let mut new = new;
                let stored = old.get().expect("it was made");
                new["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
                let path = format!("{all}/{}?{strict}", old.name);
                let mut answer = api.try_put(&path, false, &new);
                // The operator has written something in between: its version is another one.
                while answer.0 == 409 {
                    let stored = old.get().expect("it was made");
                    new["metadata"]["resourceVersion"] =
                        stored["metadata"]["resourceVersion"].clone();
                    answer = api.try_put(&path, false, &new);
                }
                old.delete();
                old.wait_until_gone();
                answer
            }
        };
        let says = case["says"].as_str().expect("a part of the message");
        assert!((400..500).contains(&status), "accepted ({status}): {case}");
        assert!(text.contains(says), "{case}: {text}");
    }
    println!("{} manifests were refused", cases.len());
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn what_only_the_operator_can_refuse_has_a_condition_and_disturbs_nothing() {
    let namespace = Namespace::new("invalid");
    let template = |container: Value| json!({"spec": {"containers": [container]}});
    let cases = [
        (
            "unknown-field",
            json!({"/spec/podTemplate": {"spec": {"nodeSelektor": {"a": "b"}}}}),
            "nodeSelektor",
        ),
        (
            "privileged",
            json!({"/spec/jobManager/podTemplate": template(json!({
                "name": "jobmanager",
                "securityContext": {"privileged": true},
            }))}),
            "privileged",
        ),
        (
            "no-such-class",
            json!({"/spec/taskManager/podTemplate": {"spec": {"priorityClassName": "nobodys"}}}),
            "nobodys",
        ),
        (
            "uses-the-key",
            json!({"/spec/jobManager/podTemplate": {"spec": {
                "volumes": [{"name": "ca", "secret": {"secretName": "uses-the-key-ca"}}],
            }}}),
            "holds the key of the application's CA",
        ),
    ];
    for (name, changes, says) in cases {
        let mut changes: Changes = serde_json::from_value(changes).expect("changes");
        changes.insert("/metadata/name".to_owned(), name.into());
        changes.insert("/spec/suspend".to_owned(), false.into());
        let application = Application::apply(&namespace, &minimal(&namespace, &changes));
        application.wait_until(&format!("a condition that says {says:?}"), |resource| {
            let conditions = resource["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|each| {
                let message = each["message"].as_str().unwrap_or_default();
                each["type"] == "Stalled" && each["status"] == "True" && message.contains(says)
            })
        });
        assert!(namespace.pods("jobmanager").is_empty(), "{name} has a pod");
    }
    namespace.delete();
}
