//! From `kubectl apply` to `kubectl delete`.

use std::path::Path;

use serde_json::json;
use thalweg_kubernetes_tests::{
    Application, Namespace, Soak, download, example, kubectl, list, shared_api, wait_until,
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
    soak.start(&namespace);
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
    namespace.delete();
}
