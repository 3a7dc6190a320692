//! Changes of the spec while a job runs: it goes on with its state.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{
    Application, Namespace, OTHER_IMAGE, Signal, Soak, kubectl, kubectl_flinkapp, list, now,
    shared_api, signal, wait_until,
};

/// Waits until the revision that the spec asks for has proved stable.
fn settled(application: &Application, before: &serde_json::Value) {
    application.wait_until("the new revision is stable", |resource| {
        let status = &resource["status"];
        status["stableRevision"] != *before
            && status["stableRevision"] == status["updateRevision"]
            && status["phase"] == "Running"
    });
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn a_job_goes_on_through_upgrades_scaling_suspension_and_savepoints() {
    let namespace = Namespace::new("upgrades");
    let soak = Soak::new(&namespace, 90);
    let application = soak.start(&namespace);
    application.wait_until_stable();

    let before = application.status("/stableRevision");
    application.change(&json!({"image": OTHER_IMAGE}));
    settled(&application, &before);
    let events = shared_api().list(&namespace.core("events"));
    let in_vain = |event: &&Value| event["involvedObject"]["name"] == "allround-taskmanager-1-2";
    assert!(!events.iter().any(|event| in_vain(&event)), "it was stopped, and replaced its pods");
    let before = application.status("/stableRevision");
    application.change(&json!({"configuration": {"heartbeat.interval": "5 s"}}));
    settled(&application, &before);

    let epoch = application.status("/jobManager/epoch").as_u64();
    application.change(&json!({"restartedAt": "2026-01-01T00:00:00Z"}));
    application.wait_until("another JobManager runs the job", |resource| {
        let status = &resource["status"];
        status["jobManager"]["epoch"].as_u64() > epoch && status["job"]["state"] == "RUNNING"
    });
    application.wait_for_checkpoints(1);

    let scale = ["scale", "flinkapplication/allround", "--replicas=3"];
    kubectl(&[&scale[..], &["--namespace", &namespace.name]].concat(), "");
    application.wait_for("/job/parallelism", &json!(3));
    application.wait_for_checkpoints(1);
    assert_eq!(namespace.pods("taskmanager").len(), 3);

    let by_hand = |arguments: &[&str]| kubectl_flinkapp(&namespace.name, arguments);
    let told = by_hand(&["savepoint", "allround", "--wait", "--timeout=60s"]);
    let savepoint = application.status("/savepoints/0");
    assert!(told.contains(savepoint["path"].as_str().expect("it is listed")), "{told}");
    let tree = by_hand(&["status", "allround"]);
    for pod in namespace.pods("jobmanager").iter().chain(&namespace.pods("taskmanager")) {
        let name = pod["metadata"]["name"].as_str().expect("a pod has a name");
        assert!(tree.contains(name), "{name} is missing:\n{tree}");
    }

    by_hand(&["suspend", "allround", "--wait", "--timeout=60s"]);
    application.wait_for_condition("Suspended", "True", "Suspended");
    wait_until("no pod is left", || {
        let left = namespace.pods("jobmanager").len() + namespace.pods("taskmanager").len();
        (left == 0).then_some(())
    });
    by_hand(&["resume", "allround", "--wait", "--timeout=60s"]);
    application.wait_for_checkpoints(1);
    let first = application.status("/savepoints/0");
    assert_eq!(first["token"], savepoint["token"], "another leader keeps the list");
    soak.finish(&application);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn an_image_that_does_not_run_is_rolled_back_and_not_tried_again() {
    let namespace = Namespace::new("rolled-back");
    let soak = Soak::new(&namespace, 60).with(json!({
        "upgrade": {"progressDeadlineSeconds": 30, "preflight": "Off"},
    }));
    let application = soak.start(&namespace);
    application.wait_until_stable();
    let good = application.status("/stableRevision");
    application.change(&json!({"image": "docker.io/library/thalweg-tests:nowhere"}));
    application.wait_until("the pod's own word of it", |resource| {
        let reason = resource["status"]["lastFailure"]["reason"].as_str().unwrap_or_default();
        ["ErrImagePull", "ImagePullBackOff"].contains(&reason)
    });
    let resource = application.wait_until("it is rolled back and runs", |resource| {
        let status = &resource["status"];
        status["currentRevision"] == good && status["job"]["state"] == "RUNNING"
    });
    assert_ne!(resource["status"]["updateRevision"], good);
    assert_eq!(application.condition("RolledBack").expect("it is reported").0, "True");
    application.wait_for_event("Rollback");
    soak.finish(&application);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn what_the_stable_version_cannot_read_is_not_given_to_it() {
    let namespace = Namespace::new("not-rolled-back");
    let soak = Soak::new(&namespace, 60);
    let application = soak.start(&namespace);
    application.wait_until_stable();
    let stable = application.status("/stableRevision");
    application.change(&json!({
        "job": {"binary": {"args": soak.arguments_and(&["--more-state", "true"])}},
        "upgrade": {"stability": {"maxRestarts": 0}, "progressDeadlineSeconds": 20},
    }));
    application.wait_until("the new version runs", |resource| {
        let status = &resource["status"];
        status["currentRevision"] != stable && status["job"]["state"] == "RUNNING"
    });
    application.wait_for_checkpoints(1);
    // One restart is more than it may have to be stable.
    let pod = namespace.pods("taskmanager").pop().expect("it runs in one");
    signal(&pod, Signal::Kill);
    application.wait_for_condition("Stalled", "True", "RollbackWouldLoseState");
    application.wait_for_checkpoints(2);
    assert_ne!(application.status("/currentRevision"), stable);
    soak.finish(&application);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn a_job_manager_of_a_version_that_the_operator_does_not_know_is_reported() {
    let namespace = Namespace::new("version-skew");
    let soak = Soak::new(&namespace, 600);
    let application = soak.start(&namespace);
    application
        .wait_until("no skew", |resource| resource["status"]["jobManager"]["version"].is_string());
    assert!(application.condition("VersionSkew").is_none_or(|(status, _)| status == "False"));
    let path = namespace.of_group("thalweg.dev/v1alpha1", "flinkapplications/allround/status");
    shared_api().merge(&path, &json!({"status": {"jobManager": {"version": "9.9.9"}}}));
    application.wait_until("it is reported", |resource| {
        resource["status"]["conditions"].as_array().is_some_and(|all| {
            all.iter().any(|each| each["type"] == "VersionSkew" && each["status"] == "True")
        })
    });
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn a_new_application_goes_on_from_the_savepoint_of_one_that_was_deleted() {
    let namespace = Namespace::new("from-savepoint");
    let soak = Soak::new(&namespace, 40);
    let first = soak.clone().with(json!({"deletion": {"policy": "Savepoint"}}));
    let application = first.start(&namespace);
    application.delete();
    application.wait_until_gone();
    let savepoints = format!("{}/savepoints", namespace.location);
    let mut manifests = list(&savepoints);
    manifests.retain(|name| name.as_str().ends_with("/manifest"));
    assert_eq!(manifests.len(), 1, "one savepoint is taken: {manifests:?}");
    let manifest = manifests.remove(0);
    let path = manifest.as_str().strip_suffix("/manifest").expect("it is a file in a folder");
    let second = soak.named("another").with(json!({
        "state": {"restore": {
            "from": {"path": format!("{savepoints}/{path}")},
            "at": "2026-01-01T00:00:00Z",
        }},
    }));
    let application = second.start(&namespace);
    let restored = application.wait_until("it says what it was restored from", |resource| {
        resource["status"]["job"]["restoredFrom"].is_object()
    });
    let from = restored["status"]["job"]["restoredFrom"]["path"].as_str().unwrap_or_default();
    assert!(from.contains(&savepoints), "{from}");
    second.finish(&application);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn a_program_that_cannot_read_the_state_is_refused_and_the_old_one_runs_on() {
    let namespace = Namespace::new("incompatible");
    let soak = Soak::new(&namespace, 45);
    let application = soak.start(&namespace);
    application.wait_until_stable();
    let epoch = application.status("/jobManager/epoch");
    application.change(&json!({"job": {"binary": {
        "path": "/usr/local/bin/fraud-detection",
        "args": [],
    }}}));
    application.wait_for_condition("Stalled", "True", "PreflightFailed");
    application.wait_for_condition("UpgradeCompatible", "False", "CheckFailed");
    application.wait_for_event("PreflightFailed");
    application.wait_for_checkpoints(2);
    soak.finish(&application);
    assert_eq!(application.status("/jobManager/epoch"), epoch, "the old JobManager went on");
    assert_eq!(application.status("/job/restarts"), 0);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn with_warm_the_new_pods_are_ready_before_the_old_job_stops() {
    let namespace = Namespace::new("warm");
    let soak = Soak::new(&namespace, 130).with(json!({"upgrade": {"strategy": "Warm"}}));
    let application = soak.start(&namespace);
    application.wait_until_stable();
    let epoch = || application.status("/jobManager/epoch").as_u64().expect("a leader has one");
    let before = epoch();
    let warm = standstill(&application, || application.change(&json!({"image": OTHER_IMAGE})));
    assert_eq!(epoch(), before + 1, "one takeover, and nobody led in between");

    // Made by a JobManager that didn't lead, and in use now.
    let lease = namespace.of_group("coordination.k8s.io/v1", "leases/allround");
    let lease = shared_api().get(&lease).expect("a Lease");
    let taken = lease["spec"]["acquireTime"].as_str().expect("somebody has taken it").to_owned();
    let revision = application.status("/currentRevision");
    let pods = namespace.pods("taskmanager");
    assert_eq!(pods.len(), 2, "{pods:#?}");
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        assert!(name.starts_with("allround-taskmanager-w"), "{name}");
        assert_eq!(pod["metadata"]["labels"]["thalweg.dev/revision"], revision);
        let running = &pod["status"]["containerStatuses"][0]["state"]["running"];
        let started = running["startedAt"].as_str().expect("it runs");
        // To the second, as pods tell it.
        assert!(started[..19] <= taken[..19], "{name} runs since {started}, after {taken}");
    }
    assert_eq!(application.status("/taskManagers/registered"), 2);

    // The same by the other strategy, to compare.
    application.change(&json!({"upgrade": {"strategy": "Recreate"}}));
    let recreate = standstill(&application, || {
        application.change(&json!({"configuration": {"heartbeat.interval": "5 s"}}));
    });
    application.change(&json!({"upgrade": {"strategy": "Warm"}}));
    let again = standstill(&application, || {
        application.change(&json!({"configuration": {"heartbeat.interval": "7 s"}}));
    });
    println!(
        "no task ran for {:.1} s (Warm, another image), {:.1} s (Warm, other settings), {:.1} s \
         (Recreate, other settings)",
        warm.as_secs_f64(),
        again.as_secs_f64(),
        recreate.as_secs_f64()
    );
    soak.finish(&application);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn with_warm_an_image_that_does_not_run_never_stops_the_old_job() {
    let namespace = Namespace::new("warm-broken");
    let soak = Soak::new(&namespace, 75).with(json!({
        "upgrade": {"strategy": "Warm", "progressDeadlineSeconds": 30, "preflight": "Off"},
    }));
    let application = soak.start(&namespace);
    application.wait_until_stable();
    let good = application.status("/stableRevision");
    let leader = application.status("/jobManager");
    application.change(&json!({"image": "docker.io/library/thalweg-tests:nowhere"}));
    application.wait_until("the new pod's own word of it", |resource| {
        let reason = resource["status"]["lastFailure"]["reason"].as_str().unwrap_or_default();
        ["ErrImagePull", "ImagePullBackOff"].contains(&reason)
    });
    application.wait_for_event("Rollback");
    wait_until("the new revision's pods are gone", || {
        let pods = namespace.pods("jobmanager");
        pods.iter()
            .all(|pod| pod["metadata"]["labels"]["thalweg.dev/revision"] == good)
            .then_some(())
    });
    assert_eq!(application.condition("RolledBack").expect("it is reported").0, "True");
    application.wait_for_checkpoints(2);
    assert_eq!(application.status("/jobManager"), leader, "the old JobManager went on");
    assert_eq!(application.status("/job/restarts"), 0);
    soak.finish(&application);
    assert_eq!(application.status("/jobManager"), leader);
    namespace.delete();
}

/// Makes a change that needs a new revision, and waits until that is stable: the longest time
/// between two looks that have found all tasks running.
fn standstill(application: &Application, change: impl FnOnce()) -> Duration {
    let before = application.status("/stableRevision");
    let all_run = || {
        let jobs = application.rest("/jobs/overview")?;
        let job = jobs["jobs"].as_array()?.first()?.clone();
        let (tasks, running) = (&job["tasks"], job["state"] == "RUNNING");
        (running && tasks["running"] == tasks["total"]).then_some(())
    };
    wait_until("all tasks run", all_run);
    change();
    let (seen, longest) = (Cell::new(now()), Cell::new(Duration::ZERO));
    application.wait_until("the new revision is stable", |resource| {
        if all_run().is_some() {
            longest.set(longest.get().max(seen.get().elapsed()));
            seen.set(now());
        }
        let status = &resource["status"];
        status["stableRevision"] != before
            && status["stableRevision"] == status["updateRevision"]
            && status["phase"] == "Running"
    });
    longest.get()
}
