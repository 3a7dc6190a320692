//! What is wrong with resources that the API server's rules let through.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ProblemKind, own_secrets, problems};
use crate::build::{Identity, Revision};
use crate::pod_template::violations;
use crate::resource::tests::{application, sample, strict};
use crate::resource::{Backend, FlinkApplicationSpec};

/// The minimal sample with a value at a path of its spec; the API server must accept it.
fn with(path: &str, value: Value) -> FlinkApplicationSpec {
    let mut resource = sample("minimal.yaml");
    let (parent, name) = path.rsplit_once('/').expect("a path");
    let mut at = &mut resource["spec"];
    for step in parent.split('/').skip(1) {
        at = &mut at[step];
    }
    at[name] = value;
    assert_eq!(strict::refusals(&resource, None), Vec::<String>::new(), "{path}");
    serde_json::from_value(strict::with_defaults(&resource)["spec"].clone()).expect("a spec")
}

fn found(path: &str, value: Value) -> String {
    let found = problems(&with(path, value));
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_samples_have_no_problems() {
    for name in ["minimal.yaml", "fraud-detection.yaml", "personalisation.yaml"] {
        assert_eq!(problems(&application(name).spec), [], "{name}");
    }
}

#[test]
fn no_pod_uses_the_cas_key_or_another_roles_certificate_however_it_is_named() {
    let identity =
        Identity { namespace: "shop".to_owned(), name: "a".to_owned(), uid: "uid".to_owned() };
    let found = |path: &str, value: Value| -> Vec<(String, ProblemKind)> {
        let found = own_secrets(&identity, &with(path, value));
        found.into_iter().map(|problem| (problem.field, problem.kind)).collect()
    };
    let container = |inner: Value| {
        let mut inner = inner;
        inner["name"] = "jobmanager".into();
        json!({ "spec": { "containers": [inner] } })
    };
    let volume = |source: Value| {
        let mut volume = source;
        volume["name"] = "v".into();
        json!({ "spec": { "volumes": [volume] } })
    };
    let by_name = |secret: &str| {
        let reference = json!({ "name": secret });
        let key = json!({ "name": secret, "key": "k" });
        [
            container(json!({ "envFrom": [{ "secretRef": reference }] })),
            container(json!({ "env": [{ "name": "X", "valueFrom": { "secretKeyRef": key } }] })),
            volume(json!({ "secret": { "secretName": secret } })),
            volume(json!({ "projected": { "sources": [{ "secret": reference }] } })),
            volume(json!({ "csi": { "driver": "d", "nodePublishSecretRef": reference } })),
            json!({ "spec": { "imagePullSecrets": [reference] } }),
        ]
    };
    let refused = |field: &str| vec![(field.to_owned(), ProblemKind::InvalidPodTemplate)];
    for template in by_name("a-ca").into_iter().chain(by_name("a-taskmanager-tls")) {
        let field = "spec.jobManager.podTemplate";
        assert_eq!(
            found("/jobManager/podTemplate", template.clone()),
            refused(field),
            "{template}"
        );
    }
    // Its own certificate, somebody else's Secret, and another application's of a longer name.
    for name in ["a-jobmanager-tls", "s3", "b-a-ca", "a-ca-2"] {
        for template in by_name(name) {
            assert_eq!(found("/jobManager/podTemplate", template.clone()), [], "{template}");
        }
    }
    let ca = volume(json!({ "secret": { "secretName": "a-ca" } }));
    assert_eq!(found("/podTemplate", ca.clone()), refused("spec.podTemplate"));
    assert_eq!(found("/taskManager/podTemplate", ca), refused("spec.taskManager.podTemplate"));
    let leaf = volume(json!({ "secret": { "secretName": "a-jobmanager-tls" } }));
    assert_eq!(found("/taskManager/podTemplate", leaf), refused("spec.taskManager.podTemplate"));
    let pull = json!([{ "name": "a-ca" }]);
    assert_eq!(found("/imagePullSecrets", pull), refused("spec.imagePullSecrets"));
    let key = json!({ "secretKeyRef": { "name": "a-ca", "key": "newest.key" } });
    let env = json!([{ "name": "X", "valueFrom": key }]);
    assert_eq!(found("/job/binary/env", env), refused("spec.job.binary.env"));
}

#[test]
fn problems_name_the_field_and_say_what_to_do() {
    let container = |inner: Value| json!({ "spec": { "containers": [inner] } });
    for (path, value, says) in [
        ("/configuration", json!({ "s3.secret-key": "x" }), "secretKeyRef"),
        ("/configuration", json!({ "s3.access-key": "x" }), "secretKeyRef"),
        ("/configuration", json!({ "my.password": "x" }), "spec.configuration[my.password]"),
        ("/configuration", json!({ "a b": "x" }), "not a key"),
        ("/configuration", json!({ "s3.region": "a\nb: c" }), "control character"),
        ("/job/binary/env", json!([{ "name": "DB_PASSWORD", "value": "x" }]), "secretKeyRef"),
        ("/job/binary/env", json!([{ "name": "POD_IP", "value": "x" }]), "choose another name"),
        ("/state/checkpoints/location", json!("s3://key:secret@bucket/x"), "credentials"),
        ("/state/checkpoints/location", json!("s3:///x"), "bucket is missing"),
        ("/state/checkpoints/location", json!("s3://bucket/x?y=z"), "query"),
        ("/state/checkpoints/location", json!("s3://bucket/../x"), ".."),
        ("/state/checkpoints/location", json!("s3://bucket/a b"), "blank"),
        ("/state/savepoints", json!({ "location": "s3://a@b/c" }), "spec.state.savepoints"),
        ("/jobManager/resources/limits", json!({ "memory": "1Mi" }), "at least 64Mi"),
        ("/taskManager/resources/limits", json!({ "memory": "8Mi" }), "memory"),
        ("/taskManager/resources/limits", json!({ "memory": "1Gi", "gpu": 1 }), "not a resource"),
        ("/taskManager/resources/requests", json!({ "memory": "2Gi" }), "more than the limit"),
        ("/taskManager/localStorage", json!({ "sizeLimit": 0 }), "not a size"),
        ("/jobManager/resources/limits", json!({ "memory": "1Gi", "gpu": 1 }), "spec.jobManager"),
        (
            "/state/restore",
            json!({ "from": { "path": "s3://a@b/c" }, "at": "2026-01-01T00:00:00Z" }),
            "spec.state.restore.from.path: credentials",
        ),
        ("/podTemplate", json!({ "specs": {} }), "unknown field specs"),
        ("/podTemplate", json!({ "spec": { "hostNetwork": true } }), "restricted: spec.hostNet"),
        ("/podTemplate", json!({ "spec": { "serviceAccountName": "a" } }), "spec.podTemplate"),
        (
            "/jobManager/podTemplate",
            container(json!({ "name": "jobmanager", "image": "x" })),
            "spec.jobManager.podTemplate: spec.containers[jobmanager].image",
        ),
        (
            "/taskManager/podTemplate",
            container(json!({ "name": "sidecar", "image": "x" })),
            "spec.containers[sidecar].securityContext",
        ),
        (
            "/taskManager/podTemplate",
            json!({ "spec": { "volumes": [{ "name": "v", "projected": { "sources":
                (0..20).map(|n| json!({ "secret": { "name": format!("s{n}") } }))
                    .collect::<Vec<_>>()
            }}]}}),
            "a TaskManager may use 20",
        ),
        (
            "/taskManager/podTemplate",
            json!({ "spec": { "volumes": [{ "name": "v", "hostPath": { "path": "/" } }] } }),
            "hostPath".trim_start_matches("hostPath"),
        ),
    ] {
        let found = found(path, value.clone());
        assert!(!found.is_empty(), "{path} {value}");
        assert!(found.contains(says), "{path} {value}: {found}");
    }
}

#[test]
fn secrets_are_never_repeated_in_a_problem() {
    for (path, value) in [
        ("/configuration", json!({ "s3.secret-key": "hunter2" })),
        ("/job/binary/env", json!([{ "name": "DB_PASSWORD", "value": "hunter2" }])),
        ("/state/checkpoints/location", json!("s3://key:hunter2@bucket/x")),
    ] {
        let found = found(path, value);
        assert!(!found.is_empty() && !found.contains("hunter2"), "{found}");
    }
}

#[test]
fn templates_and_other_fields_make_different_conditions_true() {
    let kind = |path: &str, value: Value| problems(&with(path, value))[0].kind;
    let template = json!({ "spec": { "hostPID": true } });
    assert_eq!(kind("/podTemplate", template), ProblemKind::InvalidPodTemplate);
    let secret = json!({ "api.token": "x" });
    assert_eq!(kind("/configuration", secret), ProblemKind::InvalidSpec);
    // The API server refuses it, too, unless its definition is an older one.
    let mut disk = application("minimal.yaml").spec;
    disk.state.backend = Backend::Disk;
    assert_eq!(problems(&disk)[0].kind, ProblemKind::NotSupported);
}

/// Templates as users might write them, good and bad.
pub(crate) fn templates() -> impl Strategy<Value = Value> {
    let flag = prop::option::of(any::<bool>());
    let user = prop::option::of(-1i64..3);
    let text = prop::sample::select(vec![
        "",
        "jobmanager",
        "taskmanager",
        "sidecar",
        "thalweg-x",
        "/tmp",
        "/",
        "RuntimeDefault",
        "Unconfined",
        "ALL",
        "NET_ADMIN",
        "POD_IP",
        "A",
        "Default",
        "$(A)",
    ]);
    let context = (flag.clone(), flag.clone(), user, text.clone(), text.clone()).prop_map(
        |(non_root, escalation, user, profile, capability)| {
            json!({
                "runAsNonRoot": non_root,
                "allowPrivilegeEscalation": escalation,
                "runAsUser": user,
                "seccompProfile": { "type": profile },
                "capabilities": { "drop": [capability] },
            })
        },
    );
    let container = (text.clone(), prop::option::of(context.clone()), text.clone(), text.clone())
        .prop_map(|(name, context, variable, path)| {
            json!({
                "name": name,
                "securityContext": context,
                "env": [{ "name": variable, "value": "x" }],
                "volumeMounts": [{ "name": "v", "mountPath": path }],
            })
        });
    let volume = prop::sample::select(vec![
        json!({ "name": "v" }),
        json!({ "name": "v", "emptyDir": {} }),
        json!({ "name": "v", "hostPath": { "path": "/" } }),
        json!({ "name": "v", "projected": { "sources": [
            { "serviceAccountToken": { "path": "t" } },
        ]}}),
        json!({ "name": "thalweg-configuration", "hostPath": { "path": "/" } }),
    ]);
    let containers = prop::collection::vec(container, 0..3);
    (flag.clone(), flag, containers.clone(), containers, volume, text).prop_map(
        |(network, escalation, containers, init, volume, profile)| {
            json!({ "spec": {
                "hostNetwork": network,
                "hostUsers": escalation,
                "containers": containers,
                "initContainers": init,
                "volumes": [volume],
                "securityContext": { "seccompProfile": { "type": profile } },
            }})
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_template_panics_and_none_without_problems_makes_a_pod_that_breaks_restricted(
        common in prop::option::of(templates()),
        own in prop::option::of(templates()),
    ) {
        let mut resource = sample("minimal.yaml");
        if let Some(common) = common {
            resource["spec"]["podTemplate"] = common;
        }
        if let Some(own) = own {
            resource["spec"]["jobManager"]["podTemplate"] = own.clone();
            resource["spec"]["taskManager"]["podTemplate"] = own;
        }
        let resource = strict::with_defaults(&resource);
        let spec: FlinkApplicationSpec =
            serde_json::from_value(resource["spec"].clone()).expect("a spec");
        if problems(&spec).is_empty() {
            let identity =
                Identity { namespace: "n".into(), name: "a".into(), uid: "u".into() };
            for pod in Revision::templates(&identity, "a-0", &spec).expect("templates") {
                prop_assert_eq!(violations(&pod), Vec::<String>::new());
            }
        }
    }
}
