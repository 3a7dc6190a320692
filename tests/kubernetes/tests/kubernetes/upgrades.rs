//! Changes of the spec while a job runs: it goes on with its state.

use serde_json::json;
use thalweg_kubernetes_tests::{Application, Namespace, OTHER_IMAGE, Soak, kubectl, wait_until};

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
    application.wait_until("the first revision is stable", |resource| {
        resource["status"]["stableRevision"].is_string()
    });

    let before = application.status("/stableRevision");
    application.change(&json!({"image": OTHER_IMAGE}));
    settled(&application, &before);
    let before = application.status("/stableRevision");
    application.change(&json!({"configuration": {"heartbeat.interval": "5 s"}}));
    settled(&application, &before);

    let scale = ["scale", "flinkapplication/allround", "--replicas=3"];
    kubectl(&[&scale[..], &["--namespace", &namespace.name]].concat(), "");
    application.wait_for("/job/parallelism", &json!(3));
    application.wait_for_checkpoints(1);
    assert_eq!(namespace.pods("taskmanager").len(), 3);

    application.annotate("thalweg.dev/savepoint", "before-the-pause");
    let listed = application.wait_until("the savepoint is listed", |resource| {
        resource["status"]["savepoints"][0]["token"] == "before-the-pause"
    });
    assert!(listed["status"]["savepoints"][0]["path"].is_string());

    application.change(&json!({"suspend": true}));
    application.wait_for_condition("Suspended", "True", "Suspended");
    wait_until("no pod is left", || {
        let left = namespace.pods("jobmanager").len() + namespace.pods("taskmanager").len();
        (left == 0).then_some(())
    });
    application.change(&json!({"suspend": false}));
    application.wait_for_checkpoints(1);
    assert_eq!(
        application.status("/savepoints/0/token"),
        "before-the-pause",
        "another leader keeps the list"
    );
    soak.finish(&application);
    namespace.delete();
}
