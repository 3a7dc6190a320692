//! What changes something: cancel, shut down, and what must not.

use super::client::Api;
use super::facts::{JOB, cluster};
use crate::rest::RestFailure;

#[tokio::test]
async fn cancel_and_shut_down_are_accepted_and_passed_on() {
    let api = Api::serve(cluster()).await;
    let job = format!("/jobs/{}", JOB.to_uppercase());
    for path in [format!("{job}?mode=cancel"), format!("/v1{job}?mode=CANCEL"), job] {
        let answer = api.send("PATCH", &path, "", "").await;
        assert_eq!((answer.status, answer.body.to_string()), (202, "{}".to_owned()), "{path}");
    }
    let answer = api.send("DELETE", "/cluster", "", "").await;
    assert_eq!((answer.status, answer.body.to_string()), (202, "{}".to_owned()));
    let cancel = format!("cancel {JOB}");
    let expected = [cancel.as_str(), &cancel, &cancel, "shut down"];
    assert_eq!(*api.gateway.commands.lock(), expected);
}

#[tokio::test]
async fn a_command_that_fails_answers_why() {
    let api = Api::serve(cluster()).await;
    let path = format!("/jobs/{JOB}?mode=cancel");
    for (failure, status, text) in [
        (RestFailure::JobNotFound, 404, "Job could not be found."),
        (RestFailure::Conflict("it has FINISHED".into()), 409, "it has FINISHED"),
        (RestFailure::TimedOut, 408, "timed out"),
        (RestFailure::Unavailable("the JobManager ends".into()), 503, "the JobManager ends"),
    ] {
        *api.gateway.failure.lock() = Some(failure);
        let answer = api.send("PATCH", &path, "", "").await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.error().contains(text), "{}", answer.body);
    }
}

#[tokio::test]
async fn nothing_is_cancelled_by_another_mode_a_bad_id_a_get_or_a_foreign_page() {
    let api = Api::serve(cluster()).await;
    let job = format!("/jobs/{JOB}");
    let host = api.address;
    for (method, path, headers, status) in [
        ("PATCH", format!("{job}?mode=stop"), String::new(), 308),
        ("PATCH", format!("{job}?mode=pause"), String::new(), 400),
        ("PATCH", "/jobs/xyz?mode=cancel".to_owned(), String::new(), 400),
        ("GET", format!("{job}/yarn-cancel"), format!("Origin: http://{host}\r\n"), 405),
        ("PATCH", job.clone(), "Origin: http://evil.example\r\n".to_owned(), 403),
        ("PATCH", job.clone(), "Origin: null\r\n".to_owned(), 403),
        ("DELETE", "/cluster".to_owned(), format!("Origin: http://{host}.evil\r\n"), 403),
    ] {
        let answer = api.send(method, &path, &headers, "").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
    assert!(api.gateway.commands.lock().is_empty());
    let own = format!("Origin: http://{host}\r\n");
    assert_eq!(api.send("PATCH", &job, &own, "").await.status, 202);
}

#[tokio::test]
async fn a_java_job_graph_is_refused_with_what_to_do_instead() {
    let api = Api::serve(cluster()).await;
    let answer = api.send("POST", "/jobs", "", &"x".repeat(4 << 20)).await;
    assert_eq!(answer.status, 501);
    assert!(answer.error().contains("own executable"), "{}", answer.body);
}
