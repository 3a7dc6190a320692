//! Reading, merging, refusing.

use serde_json::{Value, json};

use super::{Layers, ReadError, Role, merge, read, reserved_parts, violations};
use crate::resource::PodTemplate;

fn template(value: Value) -> PodTemplate {
    serde_json::from_value(value).expect("an object")
}

fn errors(value: Value) -> Vec<String> {
    read(&template(value)).expect_err("refused").iter().map(ToString::to_string).collect()
}

#[test]
fn unknown_fields_are_all_reported_with_their_place() {
    let found = errors(json!({
        "spec": {
            "nodeSelecter": { "a": "b" },
            "containers": [{ "name": "jobmanager", "enviroment": [] , "env": [
                { "name": "A", "valeu": "b" }
            ]}],
            "affinity": { "nodeAffinity": { "required": {} } },
        },
        "metdata": {},
    }));
    let place = |path: &str| format!("unknown field {path}: check its name and its place");
    for path in [
        "metdata",
        "spec.nodeSelecter",
        "spec.containers[0].enviroment",
        "spec.containers[0].env[0].valeu",
        "spec.affinity.nodeAffinity.required",
    ] {
        assert!(found.contains(&place(path)), "{path}: {found:?}");
    }
    assert_eq!(found.len(), 5, "{found:?}");
}

#[test]
fn values_of_a_wrong_type_are_reported() {
    let found = errors(json!({ "spec": { "nodeSelector": ["a"] } }));
    assert!(found[0].contains("invalid type") && found[0].contains("quotes"), "{found:?}");
    let found = errors(json!({ "spec": { "priority": "high" } }));
    assert!(found[0].contains("invalid"), "{found:?}");
}

#[test]
fn nulls_are_as_if_they_were_not_there() {
    let read = read(&template(json!({ "spec": { "nodeSelector": null, "tolerations": null } })));
    assert_eq!(read.expect("a template").spec.expect("a spec"), Default::default());
}

#[test]
fn large_and_deep_templates_are_refused_before_they_are_read() {
    let annotations = json!({ "metadata": { "annotations": { "a": "x".repeat(70_000) } } });
    let found = read(&template(annotations)).expect_err("refused");
    assert!(matches!(found[..], [ReadError::TooLarge(_)]), "{found:?}");
    let mut deep = json!({});
    for _ in 0..60 {
        deep = json!({ "a": deep });
    }
    assert_eq!(read(&template(deep)).expect_err("refused"), [ReadError::TooDeep]);
}

#[test]
fn layers_are_merged_by_name_and_the_operator_has_the_last_word() {
    let layer = |value: Value| read(&template(value)).expect("a template");
    let merged = merge(
        Role::TaskManager,
        Layers {
            defaults: layer(json!({ "spec": {
                "terminationGracePeriodSeconds": 120,
                "tolerations": [{ "key": "default" }],
            }})),
            common: layer(json!({
                "metadata": { "labels": { "team": "common", "cost": "1" } },
                "spec": {
                    "containers": [
                        { "name": "jobmanager", "env": [{ "name": "ONLY", "value": "there" }] },
                        { "name": "taskmanager", "env": [{ "name": "A", "value": "common" }] },
                        { "name": "sidecar", "image": "sidecar:1" },
                    ],
                    "volumes": [{ "name": "scratch", "emptyDir": {} }],
                },
            })),
            role: layer(json!({
                "metadata": { "labels": { "team": "own" } },
                "spec": {
                    "terminationGracePeriodSeconds": 60,
                    "tolerations": [{ "key": "spot" }],
                    "containers": [{ "name": "taskmanager", "env": [
                        { "name": "A", "value": "own" }, { "name": "B", "value": "b" },
                    ]}],
                    "volumes": [{ "name": "scratch", "emptyDir": { "sizeLimit": "1Gi" } }],
                },
            })),
            required: layer(json!({
                "metadata": { "labels": { "thalweg.dev/application": "a" } },
                "spec": {
                    "containers": [{ "name": "taskmanager", "image": "a:1" }],
                    "volumes": [{ "name": "thalweg-configuration" }],
                },
            })),
        },
    );
    assert_eq!(
        serde_json::to_value(merged).expect("JSON"),
        json!({
            "metadata": { "labels": {
                "team": "own", "cost": "1", "thalweg.dev/application": "a",
            }},
            "spec": {
                "terminationGracePeriodSeconds": 60,
                "tolerations": [{ "key": "spot" }],
                "containers": [
                    { "name": "taskmanager", "image": "a:1", "env": [
                        { "name": "A", "value": "own" }, { "name": "B", "value": "b" },
                    ]},
                    { "name": "sidecar", "image": "sidecar:1" },
                ],
                "volumes": [
                    { "name": "scratch", "emptyDir": { "sizeLimit": "1Gi" } },
                    { "name": "thalweg-configuration" },
                ],
            },
        })
    );
}

#[test]
fn what_the_operator_needs_as_it_is_cannot_be_set() {
    for (set, says) in [
        (json!({ "metadata": { "labels": { "thalweg.dev/x": "y" } } }), "thalweg.dev/x"),
        (json!({ "metadata": { "name": "mine" } }), "only labels and annotations"),
        (json!({ "spec": { "serviceAccountName": "x" } }), "use spec.serviceAccount"),
        (json!({ "spec": { "automountServiceAccountToken": true } }), "only JobManagers"),
        (json!({ "spec": { "restartPolicy": "Always" } }), "restartPolicy"),
        (json!({ "spec": { "nodeName": "x" } }), "use nodeSelector"),
        (json!({ "spec": { "imagePullSecrets": [] } }), "use spec.imagePullSecrets"),
        (json!({ "spec": { "volumes": [{ "name": "thalweg-x" }] } }), "choose another"),
    ] {
        let read = read(&template(set.clone())).expect("a template");
        let found = reserved_parts(&read, &[]).join("\n");
        assert!(found.contains(says), "{set}: {found}");
    }
    for (set, says) in [
        (json!({ "image": "x" }), "use spec.image"),
        (json!({ "command": ["x"] }), "use spec.job.binary"),
        (json!({ "args": ["x"] }), "use spec.job.binary"),
        (json!({ "resources": {} }), "use resources of"),
        (json!({ "readinessProbe": {} }), "probes"),
        (json!({ "env": [{ "name": "POD_IP", "value": "x" }] }), "set already"),
        (json!({ "env": [{ "name": "THALWEG_X", "value": "x" }] }), "set already"),
        (json!({ "ports": [{ "containerPort": 8081 }] }), "8081"),
        (json!({ "volumeMounts": [{ "name": "x", "mountPath": "/tmp/" }] }), "/tmp"),
        (json!({ "volumeMounts": [{ "name": "x", "mountPath": "/etc/thalweg/x" }] }), "/etc"),
    ] {
        let mut container = set.clone();
        container["name"] = "taskmanager".into();
        let read = read(&template(json!({ "spec": { "containers": [container] } })));
        let found = reserved_parts(&read.expect("a template"), &["POD_IP"]).join("\n");
        assert!(found.contains(says), "{set}: {found}");
    }
    let sidecar = json!({ "spec": { "containers": [
        { "name": "sidecar", "image": "x", "command": ["x"], "resources": {} },
    ]}});
    let read = read(&template(sidecar)).expect("a template");
    assert_eq!(reserved_parts(&read, &[]), Vec::<String>::new());
}

#[test]
fn whatever_breaks_restricted_is_found() {
    let good = json!({ "spec": {
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{ "name": "a", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
        }}],
    }});
    let check = |value: &Value| violations(&read(&template(value.clone())).expect("a template"));
    assert_eq!(check(&good), Vec::<String>::new());
    for (path, value) in [
        ("/spec/hostNetwork", json!(true)),
        ("/spec/hostPID", json!(true)),
        ("/spec/hostIPC", json!(true)),
        ("/spec/securityContext/runAsUser", json!(0)),
        ("/spec/securityContext/runAsNonRoot", json!(false)),
        ("/spec/securityContext/seccompProfile", json!({ "type": "Unconfined" })),
        ("/spec/securityContext/sysctls", json!([{ "name": "kernel.msgmax", "value": "1" }])),
        ("/spec/securityContext/seLinuxOptions", json!({ "type": "spc_t" })),
        ("/spec/securityContext/appArmorProfile", json!({ "type": "Unconfined" })),
        ("/spec/volumes", json!([{ "name": "v", "hostPath": { "path": "/" } }])),
        ("/spec/volumes", json!([{ "name": "v", "nfs": { "server": "s", "path": "/" } }])),
        (
            "/spec/volumes",
            json!([{ "name": "v", "ephemeral": { "volumeClaimTemplate": { "spec": {
                "dataSource": { "kind": "PersistentVolumeClaim", "name": "other" },
            }}}}]),
        ),
        (
            "/spec/volumes",
            json!([{ "name": "v", "projected": { "sources": [
                { "serviceAccountToken": { "path": "token" } },
            ]}}]),
        ),
        ("/spec/containers/0/securityContext/privileged", json!(true)),
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
        ("/spec/containers/0/securityContext/capabilities", json!({ "drop": ["NET_RAW"] })),
        (
            "/spec/containers/0/securityContext/capabilities",
            json!({ "drop": ["ALL"], "add": ["SYS_ADMIN"] }),
        ),
        ("/spec/containers/0/securityContext/runAsNonRoot", json!(false)),
        ("/spec/containers/0/securityContext/runAsUser", json!(0)),
        ("/spec/containers/0/securityContext/procMount", json!("Unmasked")),
        ("/spec/containers/0/ports", json!([{ "containerPort": 1, "hostPort": 1 }])),
        ("/spec/containers/0/livenessProbe", json!({ "httpGet": { "port": 1, "host": "x.y" } })),
        (
            "/spec/containers/0/lifecycle",
            json!({ "preStop": { "tcpSocket": { "port": 1, "host": "10.0.0.1" } } }),
        ),
        ("/spec/containers/0/securityContext", json!({})),
        ("/spec/initContainers", json!([{ "name": "init" }])),
        (
            "/metadata",
            json!({ "annotations": {
                "container.apparmor.security.beta.kubernetes.io/a": "unconfined",
            }}),
        ),
    ] {
        let mut bad = good.clone();
        let (parent, name) = path.rsplit_once('/').expect("a path");
        bad.pointer_mut(parent).expect("a field")[name] = value;
        assert_ne!(check(&bad), Vec::<String>::new(), "{path}");
    }
}
