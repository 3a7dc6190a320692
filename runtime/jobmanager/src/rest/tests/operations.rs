//! What users set going by REST, in Flink's asynchronous protocol: bodies in, names and outcomes
//! out.

use serde_json::{Value, json};
use thalweg_core::ids::TriggerId;

use super::client::Api;
use super::facts::{JOB, SOURCE, WINDOW, cluster};
use super::like::differences;
use crate::rest::RestFailure;
use crate::rest::model::{ClusterFacts, JobFacts, OperationFacts, OperationOutcome};

const NAME: &str = "00000000000000000000000000000abc";

/// The cluster with one operation of this outcome.
fn with_operation(is_savepoint: bool, outcome: OperationOutcome) -> ClusterFacts {
    let mut cluster = cluster();
    let trigger = NAME.parse().unwrap();
    let operation = OperationFacts { trigger, is_savepoint, outcome };
    let job = JobFacts { operations: vec![operation], ..JobFacts::clone(&cluster.jobs[0]) };
    cluster.jobs[0] = job.into();
    cluster
}

fn done(location: &str) -> OperationOutcome {
    OperationOutcome::Completed { checkpoint: 12, location: location.to_owned() }
}

fn sample(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn what_is_asked_for_is_passed_on_and_answered_with_its_name_as_flink_does() {
    let api = Api::serve(cluster()).await;
    let job = format!("/jobs/{JOB}");
    let named = json!({ "triggerId": NAME }).to_string();
    let cases = [
        (
            "savepoints",
            r#"{"target-directory": "/s", "cancel-job": true, "formatType": "NATIVE"}"#,
            r#"Savepoint { target: Some("/s"), cancel: true }"#,
        ),
        ("savepoints", "", "Savepoint { target: None, cancel: false }"),
        ("savepoints", &named, "Savepoint { target: None, cancel: false }"),
        (
            "stop",
            r#"{"targetDirectory": "s3://b/s", "drain": true}"#,
            r#"Stop { target: Some("s3://b/s"), drain: true }"#,
        ),
        ("stop", "{}", "Stop { target: None, drain: false }"),
        ("checkpoints", r#"{"checkpointType": "FULL"}"#, "Checkpoint { full: true }"),
        ("checkpoints", r#"{"checkpointType": "INCREMENTAL"}"#, "Checkpoint { full: false }"),
    ];
    let expected = sample(include_str!("../samples/savepoint-trigger.json"));
    for (path, body, command) in cases {
        for prefix in ["", "/v1"] {
            let path = format!("{prefix}{job}/{path}");
            let answer = api.send("POST", &path, "", body).await;
            assert_eq!(answer.status, 202, "{path} {body}: {}", answer.body);
            assert!(differences(&answer.body, &expected, None).is_empty(), "{}", answer.body);
            let name = if body == named { NAME } else { "00000000000000000000000000000005" };
            assert_eq!(answer.body["request-id"], name);
            let passed_on = api.gateway.commands.lock().pop();
            assert_eq!(passed_on, Some(format!("{command} of {JOB}")));
        }
    }
    for (path, body) in [
        ("savepoints", r#"{"target-directory": 7}"#),
        ("savepoints", r#"{"formatType": "ZIP"}"#),
        ("stop", "nonsense"),
        ("stop", r#"{"triggerId": "xyz"}"#),
        ("checkpoints", r#"{"checkpointType": "HALF"}"#),
    ] {
        let answer = api.send("POST", &format!("{job}/{path}"), "", body).await;
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.body);
    }
    assert!(api.gateway.commands.lock().is_empty());
    for (failure, status) in [
        (RestFailure::JobNotFound, 404),
        (RestFailure::Conflict("it is being stopped".into()), 409),
        (RestFailure::Invalid("Property [target-directory] must be provided.".into()), 400),
        (RestFailure::Unavailable("it has ended".into()), 503),
    ] {
        *api.gateway.failure.lock() = Some(failure.clone());
        let answer = api.send("POST", &format!("{job}/stop"), "", "").await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.error().contains(&failure.to_string()), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_operations_outcome_is_told_as_flink_does_and_only_of_its_own_kind() {
    let failed = OperationOutcome::Failed { message: "disk full".to_owned() };
    let location = "file:/savepoints/savepoint-c74e5a-1f335da0ecea";
    let status = |id: &str, operation: Value| json!({"status": {"id": id}, "operation": operation});
    let cases = [
        (true, OperationOutcome::InProgress, status("IN_PROGRESS", Value::Null)),
        (true, done(location), sample(include_str!("../samples/savepoint-status-done.json"))),
        (false, OperationOutcome::InProgress, status("IN_PROGRESS", Value::Null)),
        (false, done(location), status("COMPLETED", json!({ "checkpointId": 12 }))),
    ];
    for (is_savepoint, outcome, expected) in cases {
        let over = outcome != OperationOutcome::InProgress;
        let api = Api::serve(with_operation(is_savepoint, outcome)).await;
        let (own, other) = if is_savepoint {
            ("savepoints", "checkpoints")
        } else {
            ("checkpoints", "savepoints")
        };
        let answer = api.get(&format!("/jobs/{JOB}/{own}/{NAME}")).await;
        assert_eq!((answer.status, answer.body), (200, expected));
        // Whoever ends the process waits for it to be read.
        let read = api.gateway.commands.lock().pop();
        assert_eq!(read, over.then(|| format!("read {NAME}")));
        for unknown in [format!("{other}/{NAME}"), format!("{own}/{JOB}")] {
            assert_eq!(api.get(&format!("/jobs/{JOB}/{unknown}")).await.status, 404);
        }
    }
    for (is_savepoint, path, member) in
        [(true, "savepoints", "failure-cause"), (false, "checkpoints", "failureCause")]
    {
        let api = Api::serve(with_operation(is_savepoint, failed.clone())).await;
        let answer = api.get(&format!("/jobs/{JOB}/{path}/{NAME}")).await.body;
        assert_eq!(answer["status"]["id"], "COMPLETED");
        let cause = &answer["operation"][member];
        assert!(cause["stack-trace"].as_str().unwrap().contains("disk full"), "{answer}");
        assert!(cause["serialized-throwable"].is_string() && cause["class"].is_string());
    }
}

#[tokio::test]
async fn a_savepoint_is_disposed_of_and_how_that_went_is_told() {
    let api = Api::serve(cluster()).await;
    let body = json!({ "savepoint-path": "/s/savepoint-1", "triggerId": NAME }).to_string();
    let answer = api.send("POST", "/v1/savepoint-disposal", "", &body).await;
    assert_eq!((answer.status, answer.body), (202, json!({ "request-id": NAME })));
    assert_eq!(api.gateway.commands.lock().pop().as_deref(), Some("dispose /s/savepoint-1"));
    for body in ["", "{}", r#"{"savepoint-path": ""}"#, r#"{"savepoint-path": null}"#] {
        let answer = api.send("POST", "/savepoint-disposal", "", body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.error().contains("savepoint-path"), "{}", answer.body);
    }
    let path = format!("/savepoint-disposal/{NAME}");
    assert_eq!(api.get(&path).await.status, 404);
    let trigger: TriggerId = NAME.parse().unwrap();
    let in_progress = json!({"status": {"id": "IN_PROGRESS"}, "operation": null});
    let over = json!({"status": {"id": "COMPLETED"}, "operation": {}});
    for (outcome, expected) in [(OperationOutcome::InProgress, in_progress), (done(""), over)] {
        api.gateway.disposals.lock().insert(trigger, outcome);
        let answer = api.get(&path).await;
        assert_eq!((answer.status, answer.body), (200, expected));
    }
    let failed = OperationOutcome::Failed { message: "/s isn't a savepoint".to_owned() };
    api.gateway.disposals.lock().insert(trigger, failed);
    let cause = &api.get(&path).await.body["operation"]["failure-cause"];
    assert!(cause["stack-trace"].as_str().unwrap().contains("isn't a savepoint"), "{cause}");
    assert_eq!(api.get("/savepoint-disposal/xyz").await.status, 400);
}

#[tokio::test]
async fn requirements_are_shown_and_the_upper_bounds_are_what_is_asked_for() {
    let api = Api::serve(cluster()).await;
    let path = format!("/jobs/{JOB}/resource-requirements");
    let answer = api.get(&path).await;
    let bounds = |upper: u32| json!({"parallelism": {"lowerBound": upper, "upperBound": upper}});
    assert_eq!((answer.status, &answer.body[WINDOW]), (200, &bounds(2)));
    let body = json!({ WINDOW: {"parallelism": {"lowerBound": 1, "upperBound": 4}} }).to_string();
    let put = format!("/v1{path}?triggerId={NAME}");
    let answer = api.send("PUT", &put, "", &body).await;
    assert_eq!((answer.status, answer.body), (200, json!({})));
    let passed_on = api.gateway.commands.lock().pop();
    assert_eq!(passed_on, Some(format!("rescale {WINDOW}=4 of {JOB}")));
    for body in [
        "".to_owned(),
        json!({ WINDOW: 4 }).to_string(),
        json!({ WINDOW: {"parallelism": {"lowerBound": 0, "upperBound": 4}} }).to_string(),
        json!({ SOURCE: {"parallelism": {"lowerBound": 5, "upperBound": 4}} }).to_string(),
        json!({ "xyz": bounds(1) }).to_string(),
    ] {
        let answer = api.send("PUT", &path, "", &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
    }
    assert!(api.gateway.commands.lock().is_empty());
    assert_eq!(api.get(&format!("/jobs/{JOB}/rescaling/{NAME}")).await.status, 404);
}

#[tokio::test]
async fn how_a_change_of_parallelism_went_is_told_by_its_name() {
    let cases = [
        (OperationOutcome::InProgress, "IN_PROGRESS", Value::Null),
        (done(""), "COMPLETED", json!({})),
    ];
    for (outcome, status, operation) in cases {
        let mut cluster = cluster();
        let rescale = Some((NAME.parse().unwrap(), outcome));
        cluster.jobs[0] = JobFacts { rescale, ..JobFacts::clone(&cluster.jobs[0]) }.into();
        let api = Api::serve(cluster).await;
        let answer = api.get(&format!("/jobs/{JOB}/rescaling/{NAME}")).await;
        let expected = json!({"status": {"id": status}, "operation": operation});
        assert_eq!((answer.status, answer.body), (200, expected));
    }
}
