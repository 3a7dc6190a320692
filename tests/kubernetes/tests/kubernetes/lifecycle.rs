//! From `kubectl apply` to `kubectl delete`.

use std::path::Path;

use serde_json::json;
use thalweg_kubernetes_tests::{
    Application, Namespace, Soak, download, example, kubectl, list, seconds_until, shared_api,
    timed, wait_for_records, wait_until, writes_within,
};

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn an_application_runs_to_its_end_shows_it_and_its_deletion_leaves_nothing() {
    let namespace = Namespace::new("lifecycle");
    let application = Application::apply(&namespace, &example("fraud-detection", &namespace));
    application.wait_for("/job/state", &json!("FINISHED"));
    application.wait_for_condition("Ready", "True", "JobFinished");
    application.wait_for_condition("Finished", "True", "JobFinished");
    wait_until("its pods are gone", || {
        let pods = shared_api().list(&namespace.core("pods"));
        pods.is_empty().then_some(())
    });
    assert!(application.status("/lastFailure").is_null(), "{}", application.status("/lastFailure"));

    let input = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/fraud-detection/data/transactions.csv");
    let expected = thalweg_oracle::fraud_detection::run(input).expect("the example's input");
    let folder = tempfile::tempdir().expect("a folder");
    download(&format!("{}/alerts", namespace.location), folder.path());
    thalweg_integration_tests::check_output("the alerts", &expected.alerts, folder.path());

    let listed = kubectl(&["get", "flinkapplications", "--namespace", &namespace.name], "");
    let lines: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().collect()).collect();
    let columns =
        ["NAME", "JOB", "READY", "PARALLELISM", "TASKMANAGERS", "CHECKPOINT", "RESTARTS", "AGE"];
    assert_eq!(lines[0], columns);
    assert_eq!(lines[1][..4], ["fraud-detection", "FINISHED", "True", "2"], "{listed}");
    assert_eq!(lines[1][6], "0", "{listed}");

    application.delete();
    application.wait_until_gone();
    wait_until("nothing of it is left", || {
        let left = namespace.everything();
        left.is_empty().then_some(()).or_else(|| {
            println!("left: {left:?}");
            None
        })
    });
    let state = list(&format!("{}/state", namespace.location));
    assert!(!state.is_empty(), "the policy Retain keeps what is in S3");
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn a_finished_application_with_a_time_to_live_goes_by_itself() {
    let namespace = Namespace::new("time-to-live");
    let mut manifest = example("fraud-detection", &namespace);
    manifest["spec"]["ttlSecondsAfterFinished"] = 2.into();
    let application = Application::apply(&namespace, &manifest);
    application.wait_for("/job/state", &json!("FINISHED"));
    application.wait_until_gone();
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn a_namespace_with_a_running_application_can_be_deleted() {
    let namespace = Namespace::new("namespace-deleted");
    let soak = Soak::new(&namespace, 600);
    timed("kubectl apply to the first record", || wait_for_records(&soak.apply(&namespace)));
    let starts =
        [("jobmanager", "REST is served"), ("taskmanager", "registered at the JobManager")];
    for (role, ready) in starts {
        let pod = wait_until("a pod", || namespace.pods(role).pop());
        println!("cold start, {role}: {:.3} s", seconds_until(&pod, ready));
    }
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn a_deletion_with_the_state_leaves_nothing_but_the_ends_of_logs_and_savepoints() {
    let namespace = Namespace::new("state-deleted");
    let soak = Soak::new(&namespace, 600).with(json!({"deletion": {"policy": "Delete"}}));
    let application = soak.start(&namespace);
    application.annotate("thalweg.dev/savepoint", "kept");
    application.wait_until("the savepoint is listed", |resource| {
        resource["status"]["savepoints"][0]["token"] == "kept"
    });
    let job = application.status("/job/id");
    let savepoints = list(&format!("{}/savepoints", namespace.location));
    application.delete();
    application.wait_until_gone();
    let state = format!("{}/state", namespace.location);
    let tombstones = list(&state);
    let is_kept = |name: &str| name.contains("/log/") || name.contains("/lineage/");
    let left: Vec<_> = tombstones.iter().filter(|name| !is_kept(name.as_str())).collect();
    assert!(left.is_empty(), "{left:#?}");
    assert!(!tombstones.is_empty(), "whoever still leads couldn't be fenced");
    assert_eq!(list(&format!("{}/savepoints", namespace.location)), savepoints);
    wait_until("nothing of it is left", || namespace.everything().is_empty().then_some(()));

    // One of the same name begins from the beginning, and so does one that is suspended first.
    let again = soak.start(&namespace);
    let running = again.wait_until("another job runs", |resource| {
        let now = &resource["status"]["job"];
        now["state"] == "RUNNING" && now["id"] != job
    });
    assert!(running["status"]["job"]["restoredFrom"].is_null(), "{running}");
    again.change(&json!({"suspend": true}));
    again.wait_for_condition("Suspended", "True", "Suspended");
    again.delete();
    again.wait_until_gone();
    let left: Vec<_> = list(&state).into_iter().filter(|name| !is_kept(name.as_str())).collect();
    assert!(left.is_empty(), "{left:#?}");
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn an_application_has_exactly_the_pods_that_its_slots_need() {
    let namespace = Namespace::new("pods-needed");
    let soak = Soak::new(&namespace, 600).with(json!({
        "job": {"parallelism": 3},
        "taskManager": {"slots": 2, "standby": 1},
    }));
    let application = soak.start(&namespace);
    wait_until("two for three slots, and a spare one", || {
        (namespace.pods("taskmanager").len() == 3).then_some(())
    });
    application.wait_for("/taskManagers/registered", &json!(3));
    assert_eq!(namespace.pods("jobmanager").len(), 1);
    for pod in namespace.pods("taskmanager") {
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
        assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "Deployment");
    }
    application.wait_until_stable();
    // Of what is written every 5 s and every 10 s, one more may fall into the time.
    let written = |object: &str| writes_within(30, &namespace.name, object);
    let (leases, statuses) = std::thread::scope(|scope| {
        let leases = scope.spawn(|| written("lease/allround"));
        let statuses = written("flinkapplication/allround");
        (leases.join().expect("it counts"), statuses)
    });
    assert!((1..=7).contains(&leases), "12 a minute at most: {leases} in 30 s");
    assert!((1..=4).contains(&statuses), "6 a minute at most: {statuses} in 30 s");
    namespace.delete();
}
