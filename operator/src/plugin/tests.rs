//! What people are shown of applications, and when what they asked for has come about.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thalweg_core::ids::TriggerId;

use super::text::{since, size};
use super::{Progress, Snapshot, Wish, tree};
use crate::resource::FlinkApplication;
use crate::resource::tests::sample;

const GOES_ON: Wish = Wish::Running { beyond: None };

fn at(text: &str) -> Time {
    Time(text.parse().expect("a moment"))
}

fn of<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("an object")
}

/// The minimal sample with a status.
fn application(status: Value) -> FlinkApplication {
    let mut resource = sample("minimal.yaml");
    resource["metadata"]["namespace"] = "shop".into();
    resource["metadata"]["generation"] = 3.into();
    resource["spec"]["state"]["savepoints"] = json!({ "location": "s3://b/s", "history": 10 });
    resource["status"] = status;
    let resource = crate::resource::tests::strict::with_defaults(&resource);
    of(resource)
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-23T10:00:00Z",
    })
}

fn pod(name: &str, role: &str, status: Value) -> Value {
    json!({
        "metadata": {
            "name": name,
            "creationTimestamp": "2026-11-23T10:00:00Z",
            "labels": {
                "thalweg.dev/revision": "minimal-1",
                "app.kubernetes.io/component": role,
            },
        },
        "spec": { "containers": [], "nodeName": "node1" },
        "status": status,
    })
}

fn snapshot() -> Snapshot {
    let upgrading = json!({
        "observedGeneration": 2,
        "phase": "Upgrading",
        "conditions": [
            condition("Ready", "False", "Upgrading", "the old revision's state is secured"),
            condition("Reconciling", "True", "Upgrading", "the old revision's state\nis secured"),
            condition("RolledBack", "False", "NotRolledBack", ""),
        ],
        "currentRevision": "minimal-1",
        "updateRevision": "minimal-2",
        "stableRevision": "minimal-1",
        "operation": {
            "type": "Upgrade", "step": "Secure", "attempt": 0, "target": "minimal-2",
            "startedAt": "2026-11-23T10:04:50Z", "deadline": "2026-11-23T10:14:50Z",
        },
        "lastFailure": {
            "at": "2026-11-23T09:05:00Z", "reason": "OOMKilled", "message": "", "retryable": true,
            "exitCode": 137, "pod": "minimal-taskmanager-1-0",
        },
        "job": {
            "id": "cbbf65dd", "state": "RUNNING", "startedAt": "2026-11-20T08:00:00Z",
            "parallelism": 2, "tasks": { "running": 6, "total": 6 }, "restarts": 1,
            "restoredFrom": { "path": "s3://b/state/chk-40" },
        },
        "checkpoint": {
            "id": 42, "path": "s3://b/state/chk-42", "completedAt": "2026-11-23T10:04:48Z",
            "sizeBytes": 3_250_586, "durationMillis": 120, "failedSinceLast": 2,
        },
        "savepoints": [
            { "token": "t", "path": "s3://b/s/1", "completedAt": "2026-11-22T10:05:00Z" },
        ],
        "taskManagers": {
            "desired": 2, "registered": 1, "pending": 1, "standby": 0, "slotsTotal": 1,
            "slotsFree": 0,
        },
        "jobManager": {
            "leader": "minimal-1-5d8f-x2", "epoch": 3, "version": "0.1.0", "protocol": 1,
        },
    });
    let unscheduled = json!({
        "phase": "Pending",
        "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/2 nodes are available: 2 Insufficient memory.",
        }],
    });
    let killed = json!({
        "phase": "Running",
        "containerStatuses": [{
            "name": "jobmanager", "image": "i", "imageID": "i", "ready": true, "restartCount": 2,
        }],
    });
    let revision =
        |name: &str, number: i64| of(json!({ "metadata": { "name": name }, "revision": number }));
    Snapshot {
        application: application(upgrading),
        lease: Some(of(json!({
            "metadata": { "name": "minimal" },
            "spec": {
                "holderIdentity": "minimal-1-5d8f-x2",
                "renewTime": "2026-11-23T10:04:57.000000Z",
            },
        }))),
        revisions: vec![revision("minimal-1", 2), revision("minimal-0", 1)],
        deployments: vec![of(json!({
            "metadata": { "name": "minimal-1" },
            "spec": { "replicas": 1, "selector": {}, "template": {} },
            "status": { "readyReplicas": 1 },
        }))],
        pods: vec![
            of(pod("minimal-1-5d8f-x2", "jobmanager", killed)),
            of(pod("minimal-taskmanager-3-0", "taskmanager", json!({ "phase": "Running" }))),
            of(pod("minimal-taskmanager-3-1", "taskmanager", unscheduled)),
        ],
    }
}

#[test]
fn an_application_is_shown_with_all_that_belongs_to_it_and_why() {
    let shown = tree::render(&snapshot(), &at("2026-11-23T10:05:00Z"));
    let expected = "\
FlinkApplication shop/minimal: Upgrading
├── The operator hasn't looked at the newest spec yet
├── Ready=False: Upgrading: the old revision's state is secured (for 5m)
├── Reconciling: Upgrading: the old revision's state is secured (for 5m)
├── Operation: Upgrade to minimal-2, step Secure, for 10s, 9m50s left
├── Last failure: OOMKilled (exit code 137) of pod minimal-taskmanager-1-0, 1h ago
├── Job cbbf65dd: RUNNING, parallelism 2, 6 of 6 tasks run, 1 restart, for 3d2h
│   └── Restored from s3://b/state/chk-40
├── Checkpoint 42, 12s ago, 3.1 MiB, took 120 ms, 2 failed since
│   └── s3://b/state/chk-42
├── Savepoints, the newest first
│   └── s3://b/s/1, 1d ago
├── Lease: minimal-1-5d8f-x2 leads, renewed 3s ago
│   └── Reported by minimal-1-5d8f-x2, epoch 3, version 0.1.0
├── Revision minimal-1 (current, stable)
│   ├── JobManagers: 1 of 1 ready
│   │   └── minimal-1-5d8f-x2: Running on node1, for 5m, restarted 2 times
│   └── TaskManagers: 1 registered of 2 wanted, 0 of 1 slots free
│       ├── minimal-taskmanager-3-0: Running on node1, for 5m
│       └── minimal-taskmanager-3-1: Pending on node1, for 5m
│           └── Unschedulable: 0/2 nodes are available: 2 Insufficient memory.
└── Revisions without pods
    └── minimal-0
";
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn an_application_that_no_operator_has_seen_is_shown_too() {
    let alone = Snapshot {
        application: application(Value::Null),
        lease: None,
        revisions: Vec::new(),
        deployments: Vec::new(),
        pods: Vec::new(),
    };
    let expected = "\
FlinkApplication shop/minimal: not looked at by an operator yet
├── The operator hasn't looked at the newest spec yet
└── Lease: there is none
";
    assert_eq!(tree::render(&alone, &at("2026-11-23T10:05:00Z")), expected);
}

#[test]
fn a_wish_has_come_about_when_the_status_of_its_generation_says_so() {
    let status = |generation: i64, conditions: Value| {
        application(json!({ "observedGeneration": generation, "conditions": conditions }))
    };
    let suspended = json!([
        condition("Ready", "True", "Suspended", "no pods"),
        condition("Suspended", "True", "Suspended", ""),
    ]);
    let running = json!([condition("Ready", "True", "JobRunning", "the job runs")]);
    let deploying = json!([condition("Ready", "False", "Deploying", "pods come")]);
    let stalled = json!([
        condition("Ready", "False", "UpgradeStalled", "no checkpoint"),
        condition("Stalled", "True", "UpgradeStalled", "no checkpoint"),
    ]);
    let finished = json!([
        condition("Ready", "True", "JobFinished", "ended"),
        condition("Finished", "True", "JobFinished", ""),
    ]);
    let done = |text: &str| Progress::Done(text.to_owned());
    let waiting = |text: &str| Progress::Waiting(text.to_owned());
    let failed = |text: &str| Progress::Failed(text.to_owned());
    let unseen = "the operator hasn't looked at it yet";
    for (wish, generation, conditions, expected) in [
        (Wish::Suspended, 2, &suspended, waiting(unseen)),
        (Wish::Suspended, 3, &suspended, done("suspended")),
        (Wish::Suspended, 4, &suspended, done("suspended")),
        (Wish::Suspended, 3, &running, waiting("JobRunning: the job runs")),
        (Wish::Suspended, 3, &finished, done("the job has finished by itself")),
        (Wish::Suspended, 3, &stalled, failed("UpgradeStalled: no checkpoint")),
        (GOES_ON, 2, &running, waiting(unseen)),
        (GOES_ON, 3, &running, done("the job runs")),
        (GOES_ON, 3, &suspended, waiting("Suspended: ")),
        (GOES_ON, 3, &deploying, waiting("Deploying: pods come")),
        (GOES_ON, 3, &stalled, failed("UpgradeStalled: no checkpoint")),
        (GOES_ON, 3, &finished, done("ended")),
    ] {
        let found = wish.progress(&status(generation, conditions.clone()), 3);
        assert_eq!(found, expected, "{wish:?} {generation} {conditions}");
    }
}

#[test]
fn the_report_of_a_leader_that_is_gone_does_not_end_the_wait_for_the_next_one() {
    let status = |epoch: i64, condition: Value| {
        application(json!({
            "observedGeneration": 3,
            "conditions": [condition],
            "jobManager": { "leader": "l", "epoch": epoch, "version": "0.1.0", "protocol": 1 },
        }))
    };
    let running = || condition("Ready", "True", "JobRunning", "the job runs");
    let suspended = status(7, condition("Suspended", "True", "Suspended", ""));
    let wish = GOES_ON.of(&suspended);
    assert_eq!(wish, Wish::Running { beyond: Some(7) });
    let waiting = Progress::Waiting("no JobManager leads yet".to_owned());
    assert_eq!(wish.progress(&status(7, running()), 3), waiting);
    let done = Progress::Done("the job runs".to_owned());
    assert_eq!(wish.progress(&status(8, running()), 3), done);
    // One that runs already goes on as it is.
    let wish = GOES_ON.of(&status(7, running()));
    assert_eq!(wish.progress(&status(7, running()), 3), done);
}

#[test]
fn a_savepoint_is_found_by_its_token_or_the_id_that_follows_from_it() {
    let wish = Wish::Savepoint { token: "mine".to_owned() };
    let with = |token: String, state: &str| {
        application(json!({
            "observedGeneration": 3,
            "job": { "id": "j", "state": state },
            "savepoints": [{ "token": token, "path": "s3://b/s/7" }],
        }))
    };
    let done = Progress::Done("s3://b/s/7".to_owned());
    assert_eq!(wish.progress(&with("mine".to_owned(), "RUNNING"), 3), done);
    let id = TriggerId::derive("mine").to_string();
    assert_eq!(wish.progress(&with(id.clone(), "RUNNING"), 3), done);
    // One that was taken before the job ended counts.
    assert_eq!(wish.progress(&with(id, "FINISHED"), 3), done);
    let other = with("other".to_owned(), "RUNNING");
    assert_eq!(wish.progress(&other, 3), Progress::Waiting("the job is RUNNING".to_owned()));
    let ended = wish.progress(&with("other".to_owned(), "FAILED"), 3);
    let why = "the job is FAILED: only a running one takes savepoints";
    assert_eq!(ended, Progress::Failed(why.to_owned()));
}

#[test]
fn a_savepoint_that_nobody_could_take_is_refused_before_it_is_asked_for() {
    let wish = Wish::Savepoint { token: "mine".to_owned() };
    let mut nowhere = application(Value::Null);
    assert_eq!(wish.refusal(&nowhere), None);
    nowhere.spec.state.savepoints.location = None;
    assert!(wish.refusal(&nowhere).is_some_and(|why| why.contains("savepoints.location")));
    let mut suspended = application(Value::Null);
    suspended.spec.suspend = true;
    assert!(wish.refusal(&suspended).is_some_and(|why| why.contains("resume first")));
    assert_eq!(GOES_ON.refusal(&suspended), None);
}

#[test]
fn times_and_sizes_are_short() {
    let begin = at("2026-11-23T10:00:00Z");
    for (end, expected) in [
        ("2026-11-23T09:59:00Z", "0s"),
        ("2026-11-23T10:00:00Z", "0s"),
        ("2026-11-23T10:00:59Z", "59s"),
        ("2026-11-23T10:01:00Z", "1m"),
        ("2026-11-23T11:01:59Z", "1h1m"),
        ("2026-11-25T10:30:00Z", "2d"),
        ("2026-11-25T13:30:00Z", "2d3h"),
    ] {
        assert_eq!(since(&begin, &at(end)), expected, "{end}");
    }
    let sizes = [0, 1023, 1024, 3_250_586, 1 << 50].map(size);
    assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "3.1 MiB", "1024.0 TiB"]);
}
