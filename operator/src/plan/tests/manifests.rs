//! Whatever the schema accepts: nothing panics, no decision is made again and again, and what is
//! built passes Pod Security "restricted".
//!
//! Manifests are made from the schema itself, field by field, and kept as far as the API server
//! would accept them. Not here: what it refuses, which is listed in `refused.yaml`.

use std::cell::Cell;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::cluster::{Cluster, identity};
use crate::build::{References, Revision, Turn, application_objects};
use crate::plan::Action;
use crate::pod_template::violations;
use crate::resource::tests::{sample, strict};
use crate::resource::{FlinkApplicationSpec, definition};
use crate::validate::problems;
use crate::validate::tests::templates;

/// Texts of all kinds that users write; those that a field's pattern allows are tried in it.
const TEXTS: &[&str] = &[
    "",
    "a",
    "x-1",
    "A_B",
    "POD_IP",
    "AWS_SECRET_ACCESS_KEY",
    "$(A) $$ \"'\n\u{e9}\u{1f980}",
    "example.com/team/image:1@sha256:0",
    "/usr/local/bin/application",
    "/",
    "s3://bucket/prefix",
    "s3://key:secret@bucket/",
    "file:///state",
    "2026-01-01T00:00:00Z",
    "9999-12-30T12:00:00.999999999+14:00",
    "100m",
    "1Gi",
    "64Mi",
    "999999999999999Ti",
    "0",
    "10.0.0.0/8",
    "In",
    "Exists",
    "heartbeat.interval",
    "taskmanager.network.memory",
    "some.password",
];

/// A value of a schema; `path` for complaints.
fn value(path: &str, schema: &Value) -> BoxedStrategy<Value> {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return templates().boxed();
    }
    if let Some(words) = schema["enum"].as_array() {
        return prop::sample::select(words.clone()).boxed();
    }
    let bound = |name: &str, otherwise: u64| schema[name].as_u64().unwrap_or(otherwise);
    match schema["type"].as_str() {
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("integer") => {
            let least = schema["minimum"].as_i64().expect("it is bounded");
            let most = schema["maximum"].as_i64().expect("it is bounded");
            let some = least..=most.min(least.saturating_add(4));
            prop_oneof![Just(least), Just(most), least..=most, some].prop_map(Value::from).boxed()
        }
        Some("array") => {
            let items = value(&format!("{path}[]"), &schema["items"]);
            let most = usize::try_from(bound("maxItems", 3).min(3)).expect("a number");
            prop::collection::vec(items, 0..=most).prop_map(Value::from).boxed()
        }
        Some("object") if schema["additionalProperties"].is_object() => {
            let inner = value(&format!("{path}{{}}"), &schema["additionalProperties"]);
            let key = prop::sample::select(TEXTS).prop_map(str::to_owned);
            let some = prop::collection::btree_map(key, inner, 0..3);
            some.prop_map(|some: BTreeMap<String, Value>| json!(some)).boxed()
        }
        Some("object") => object(path, schema),
        // Quantities may be numbers, too.
        _ => {
            let pattern = schema["pattern"].as_str().map(|it| Regex::new(it).expect("a pattern"));
            let (least, most) = (bound("minLength", 0), bound("maxLength", u64::MAX));
            let fits = |text: &&&str| {
                let length = text.chars().count() as u64;
                let matches = pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
                matches && (least..=most).contains(&length)
            };
            let texts: Vec<&str> = TEXTS.iter().filter(fits).copied().collect();
            assert!(!texts.is_empty(), "give TEXTS something that {path} allows: {schema}");
            prop::sample::select(texts).prop_map(Value::from).boxed()
        }
    }
}

/// Required fields always, others sometimes.
fn object(path: &str, schema: &Value) -> BoxedStrategy<Value> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = schema["properties"].as_object().into_iter().flatten().map(|(name, field)| {
        let is_required = required.contains(&name.as_str());
        let (name, field) = (name.clone(), value(&format!("{path}.{name}"), field));
        let field = match is_required {
            true => field.prop_map(Some).boxed(),
            false => prop::option::weighted(0.3, field).boxed(),
        };
        field.prop_map(move |field| (name.clone(), field))
    });
    let some = |fields: Vec<(String, Option<Value>)>| -> Map<String, Value> {
        fields.into_iter().filter_map(|(name, field)| Some((name, field?))).collect()
    };
    fields.collect::<Vec<_>>().prop_map(move |fields| Value::Object(some(fields))).boxed()
}

/// All fields of a schema, whole objects too, by their pointers.
fn fields(pointer: &str, schema: &Value, all: &mut Vec<(String, Value)>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{pointer}/{name}");
        fields(&pointer, field, all);
        all.push((pointer, field.clone()));
    }
}

/// Changes of a resource: what is set at which place.
fn changes() -> impl Strategy<Value = Vec<(String, Value)>> {
    let schema = definition::schema().expect("a schema");
    let mut all = Vec::new();
    fields("/spec", &schema["properties"]["spec"], &mut all);
    assert!(all.len() > 60, "{} fields", all.len());
    let one = prop::sample::select(all).prop_flat_map(|(pointer, schema)| {
        value(&pointer, &schema).prop_map(move |value| (pointer.clone(), value))
    });
    prop::collection::vec(one, 1..8)
}

/// The resource with those changes that the API server would accept.
fn accepted(mut resource: Value, changes: &[(String, Value)], old: Option<&Value>) -> Value {
    for (pointer, value) in changes {
        let mut changed = resource.clone();
        let mut at = &mut changed;
        for step in pointer.split('/').skip(1) {
            at = &mut at[step];
        }
        at.clone_from(value);
        if strict::refusals(&changed, old).is_empty() {
            resource = changed;
        }
    }
    resource
}

fn spec(resource: &Value) -> FlinkApplicationSpec {
    let resource = strict::with_defaults(resource);
    serde_json::from_value(resource["spec"].clone()).expect("what the schema accepts can be read")
}

/// Everything that is made of a spec without problems.
fn build(spec: &FlinkApplicationSpec) {
    let identity = identity();
    let revision = Revision::render(&identity, spec, "a", Some("s3://b/7")).expect("it renders");
    let mut pods =
        Revision::templates(&identity, &revision.name, spec).expect("templates").to_vec();
    let [_, check] = revision.preflight(&identity, "s3://b/7").expect("a check");
    let erasure = revision.erasure(&identity, &["s3://b/7".to_owned()], "a-2", 300);
    for pod in [check, erasure.expect("a deletion").into_iter().next_back().expect("a pod")] {
        let template: PodTemplateSpec =
            serde_json::from_value(json!({"spec": pod["spec"]})).expect("a pod");
        pods.push(template);
    }
    for pod in &pods {
        assert_eq!(violations(pod), Vec::<String>::new());
    }
    let turn = Turn { leading: Some(&revision.name), preparing: None };
    let references: References = revision.references().expect("references");
    let names = [revision.name.as_str()];
    application_objects(&identity, spec, turn, &names, &references).expect("objects");
    revision.record(&identity, 1).expect("a record");
}

/// Whether an action asks for something; others only keep what is there, or tell what is known.
fn asks_for_something(action: &Action) -> bool {
    let keeps = matches!(action, Action::ApplyApplication { .. } | Action::KeepRevision { .. });
    !keeps && !matches!(action, Action::Publish(_))
}

/// What an operator writes or asks for in a minute in which nobody changes anything.
fn writes_in_a_minute(cluster: &mut Cluster) -> usize {
    let mut writes = 0;
    for _ in 0..60 {
        let before = (cluster.deployments.clone(), cluster.recorded.len(), cluster.events.len());
        let fields = |cluster: &Cluster| {
            let status = &cluster.status;
            let revisions = [&status.current_revision, &status.update_revision];
            let revisions = revisions.map(Clone::clone);
            (status.conditions.clone(), revisions, status.operation.clone())
        };
        let reported = fields(cluster);
        let asks = cluster.step().actions.iter().any(asks_for_something);
        let after = (cluster.deployments.clone(), cluster.recorded.len(), cluster.events.len());
        let (changed, reports) = (before != after, reported != fields(cluster));
        writes += usize::from(changed || asks) + usize::from(reports);
    }
    writes
}

/// A life under two manifests, one after the other; how many of them had no problems.
fn live(resources: &[Value; 2], healthy: bool) -> usize {
    let mut cluster = Cluster::new();
    cluster.healthy = healthy;
    let mut built = 0;
    for resource in resources {
        let spec = spec(resource);
        if problems(&spec).is_empty() {
            build(&spec);
            built += 1;
        }
        cluster.change(|now| *now = spec);
        for _ in 0..90 {
            cluster.step();
        }
        // Deadlines and checkpoints that grow old.
        let writes = writes_in_a_minute(&mut cluster);
        assert!(writes <= 8, "{writes} in a minute: {:#?}", cluster.status);
    }
    cluster.deleting_since = Some(cluster.now);
    for _ in 0..cluster.spec.deletion.timeout_seconds.clamp(0, 1_000) + 2 {
        cluster.step();
    }
    let long = cluster.spec.deletion.timeout_seconds > 1_000;
    assert!(cluster.gone || long, "{:#?}", cluster.status);
    built
}

#[test]
fn no_manifest_that_the_schema_accepts_panics_loops_hot_or_makes_a_pod_that_breaks_restricted() {
    let config = ProptestConfig { failure_persistence: None, cases: 48, ..Default::default() };
    let (cases, built) = (config.cases as usize, Cell::new(0));
    let lives = (changes(), changes(), any::<bool>());
    let mut runner = TestRunner::new(config);
    let ran = runner.run(&lives, |(first, second, healthy)| {
        let resource = accepted(sample("minimal.yaml"), &first, None);
        let changed = accepted(resource.clone(), &second, Some(&resource));
        built.set(built.get() + live(&[resource, changed], healthy));
        Ok(())
    });
    ran.unwrap_or_else(|failed| panic!("{failed}"));
    assert!(built.get() > cases / 2, "{} of {} could be built", built.get(), 2 * cases);
}
