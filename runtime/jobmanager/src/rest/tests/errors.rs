//! Every refusal: its status, its wording, its form.

use super::client::Api;
use super::facts::{JOB, WINDOW, cluster, job};

/// The first line of a sample's first error.
fn first_line(sample: &str) -> String {
    let sample: serde_json::Value = serde_json::from_str(sample).unwrap();
    sample["errors"][0].as_str().unwrap().lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn unknown_paths_and_ids_are_refused_in_flinks_words() {
    let api = Api::serve(cluster()).await;
    let unknown_job = format!("/jobs/{}", "0".repeat(32));
    for (path, status, sample) in [
        ("/nope", 404, include_str!("../samples/not-found.json")),
        (unknown_job.as_str(), 404, include_str!("../samples/job-not-found.json")),
        ("/jobs/xyz", 400, include_str!("../samples/job-bad-id.json")),
    ] {
        let answer = api.get(path).await;
        assert_eq!((answer.status, answer.error()), (status, first_line(sample).as_str()));
    }
}

#[tokio::test]
async fn every_refusal_names_what_was_wrong() {
    let api = Api::serve(cluster()).await;
    let vertex = format!("/jobs/{JOB}/vertices/{WINDOW}");
    let job = format!("/jobs/{JOB}");
    let zeros = "0".repeat(32);
    let table = [
        ("/", 404, "requested file /."),
        ("/v1/nope", 404, "requested file /v1/nope."),
        ("/jobs/%ff", 400, "Bad request"),
        (&format!("/jobs/{JOB}0"), 400, "path parameter (jobid)"),
        (&format!("/jobs/+{}", &JOB[1..]), 400, "path parameter (jobid)"),
        ("/taskmanagers/nobody", 404, "Could not find TaskExecutor nobody."),
        ("/taskmanagers/nobody/metrics", 404, "Could not find TaskExecutor nobody."),
        ("/taskmanagers/nobody/logs", 404, "Could not find TaskExecutor nobody."),
        ("/jobs/metrics?jobs=xyz", 400, "query parameter (jobs) from value \"xyz\""),
        (&format!("{job}/vertices/xyz"), 400, "path parameter (vertexid)"),
        (&format!("{job}/vertices/{zeros}"), 404, &format!("JobVertex {zeros} not found")),
        (&format!("{job}/checkpoints/details/x"), 400, "path parameter (checkpointid)"),
        (&format!("{job}/checkpoints/details/99"), 404, "statistics for checkpoint 99."),
        (&format!("{job}/checkpoints/details/11/subtasks/{zeros}"), 404, "statistics for task"),
        (&format!("{job}/exceptions?maxExceptions=-1"), 400, "query parameter (maxExceptions)"),
        (&format!("{job}/exceptions?failureLabelFilter=x"), 400, "(failureLabelFilter)"),
        (&format!("{vertex}/subtasks/2"), 404, "Invalid subtask index 2"),
        (&format!("{vertex}/subtasks/-1"), 400, "path parameter (subtaskindex)"),
        (&format!("{vertex}/subtasks/0/attempts/1"), 404, "Attempt 1"),
        (&format!("{vertex}/subtasks/metrics?agg=median"), 400, "query parameter (agg)"),
        (&format!("{vertex}/subtasks/metrics?subtasks=3-1"), 400, "query parameter (subtasks)"),
        (&format!("{job}/yarn-cancel"), 405, "PATCH /jobs/:jobid?mode=cancel"),
    ];
    for (path, status, text) in table {
        let answer = api.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.error().contains(text), "{path}: {}", answer.body);
        assert!(answer.headers.contains("content-type: application/json"), "{}", answer.headers);
    }
    assert!(api.gateway.commands.lock().is_empty());
}

#[tokio::test]
async fn a_job_without_checkpointing_says_so() {
    let mut cluster = cluster();
    cluster.jobs =
        vec![std::sync::Arc::new(crate::rest::model::JobFacts { checkpoints: None, ..job() })];
    let api = Api::serve(cluster).await;
    let answer = api.get(&format!("/jobs/{JOB}/checkpoints")).await;
    assert_eq!(answer.status, 404);
    // Apache's operator looks for these very words.
    assert!(answer.error().contains("Checkpointing has not been enabled"), "{}", answer.body);
    let answer = api.get(&format!("/jobs/{JOB}/checkpoints/config")).await;
    assert_eq!(answer.status, 404);
    assert!(answer.error().contains("Checkpointing is not enabled for this job"));
    let metrics = api.get(&format!("/jobs/{JOB}/metrics")).await.body.to_string();
    assert!(!metrics.contains("lastCheckpoint"), "{metrics}");
}

#[tokio::test]
async fn a_known_path_with_another_method_lists_those_allowed() {
    let api = Api::serve(cluster()).await;
    for (method, path, allowed) in
        [("POST", "/overview", "allow: get,head"), ("GET", "/cluster", "allow: delete")]
    {
        let answer = api.send(method, path, "", "").await;
        assert_eq!(answer.status, 405, "{}", answer.body);
        assert!(answer.error().contains(method), "{}", answer.body);
        assert!(answer.headers.contains(allowed), "{}", answer.headers);
    }
}

#[tokio::test]
async fn answers_carry_no_permission_for_other_sites() {
    let api = Api::serve(cluster()).await;
    let answer = api.send("GET", "/overview", "Origin: http://evil.example\r\n", "").await;
    assert_eq!(answer.status, 200);
    for header in ["x-content-type-options: nosniff", "cache-control: no-store"] {
        assert!(answer.headers.contains(header), "{}", answer.headers);
    }
    assert!(!answer.headers.contains("access-control-"), "{}", answer.headers);
}
