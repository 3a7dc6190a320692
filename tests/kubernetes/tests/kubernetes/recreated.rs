//! A resource that is deleted and made again under the same name.

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{Application, Namespace, Soak};

fn uid(application: &Application) -> Value {
    application.get().expect("it is there")["metadata"]["uid"].clone()
}

/// Deletes it and waits until it is gone; its uid.
fn deleted(application: &Application) -> Value {
    let uid = uid(application);
    application.delete();
    application.wait_until_gone();
    uid
}

/// Its job, once it is reported to have begun with a checkpoint.
fn restored(application: &Application) -> Value {
    let found = application.wait_until("its job goes on with a checkpoint", |resource| {
        resource["status"]["job"]["restoredFrom"].is_object()
    });
    found["status"]["job"].clone()
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn an_application_made_again_goes_on_and_one_that_had_finished_runs_again() {
    let namespace = Namespace::new("made-again");
    let soak = Soak::new(&namespace, 40);
    let first = soak.start(&namespace);
    first.wait_for_checkpoints(3);
    let known = first.wait_until("a checkpoint is reported", |resource| {
        resource["status"]["checkpoint"]["id"].is_u64()
    });
    let before = known["status"]["checkpoint"]["id"].as_u64();
    let job = first.status("/job/id");
    let earlier = deleted(&first);

    // It hadn't ended: it goes on, and its output is that of one run.
    let second = soak.start(&namespace);
    let resumed = restored(&second);
    assert_eq!(resumed["earlier"]["uid"], earlier);
    assert_eq!(resumed["earlier"]["ended"], json!(false));
    assert_eq!(resumed["id"], job);
    let from = resumed["restoredFrom"]["checkpointId"].as_u64();
    assert!(from >= before, "{from:?}, not {before:?} or a later one");
    second.wait_for_event("StateResumed");
    soak.finish(&second);
    second.wait_for_condition("Finished", "True", "JobFinished");
    deleted(&second);

    // It had finished: it runs again, under another identity.
    let third = soak.start(&namespace);
    third.wait_for_event("RunAgain");
    let running = third.wait_until("another job runs", |resource| {
        let now = &resource["status"]["job"];
        now["state"] == "RUNNING" && now["id"] != job
    });
    assert!(running["status"]["job"]["restoredFrom"].is_null(), "{running}");
    third.wait_for_checkpoints(2);
    let job = third.status("/job/id");
    let earlier = deleted(&third);

    // Its state lies under that identity.
    let fourth = soak.start(&namespace);
    let resumed = restored(&fourth);
    assert_eq!(resumed["earlier"]["uid"], earlier);
    assert_eq!(resumed["id"], job);
    fourth.wait_for_condition("Ready", "True", "JobRunning");
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn an_application_that_was_deleted_with_a_savepoint_goes_on_with_that_when_made_again() {
    let namespace = Namespace::new("stopped-and-again");
    let soak = Soak::new(&namespace, 40).with(json!({"deletion": {"policy": "Savepoint"}}));
    let first = soak.start(&namespace);
    deleted(&first);
    let second = soak.start(&namespace);
    second.wait_until("its job goes on with the savepoint", |resource| {
        let from = resource["status"]["job"]["restoredFrom"]["path"].as_str();
        from.is_some_and(|path| path.starts_with(&format!("{}/savepoints/", namespace.location)))
    });
    second.wait_for_event("StateResumed");
    soak.finish(&second);
    namespace.delete();
}
