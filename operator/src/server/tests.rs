//! What the probes and metrics say.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, Response};
use kube::client::Body;
use thalweg_core::clock::SystemClock;
use tower::{Layer, ServiceExt};

use super::requests::described;
use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_operator_is_ready_when_everything_was_read() {
    let health = Health::default();
    assert!(health.unread().is_some());
    health.beat(at(1), None, vec!["Pod".to_owned(), "Lease".to_owned()]);
    assert_eq!(health.unread().as_deref(), Some("not read yet: Pod, Lease"));
    health.beat(at(2), None, Vec::new());
    assert_eq!(health.unread(), None);
}

#[test]
fn an_operator_is_unhealthy_when_its_loop_is_silent_or_a_look_hangs() {
    let health = Health::default();
    health.beat(at(100), Some(at(90)), Vec::new());
    assert_eq!(health.trouble(at(160)), None);
    assert!(health.trouble(at(161)).expect("silent").contains("61 s"));
    health.beat(at(390), Some(at(90)), Vec::new());
    assert_eq!(health.trouble(at(390)), None);
    assert!(health.trouble(at(391)).expect("hangs").contains("301 s"));
}

#[test]
fn requests_are_described_as_rbac_names_them_and_without_names() {
    for (method, uri, verb, resource) in [
        ("GET", "/apis/apps/v1/deployments?watch=true&labelSelector=a", "watch", "deployments"),
        ("GET", "/apis/apps/v1/namespaces/shop/deployments?limit=1", "list", "deployments"),
        ("GET", "/api/v1/namespaces/shop/pods/a", "get", "pods"),
        ("POST", "/api/v1/namespaces/shop/events?", "create", "events"),
        ("DELETE", "/api/v1/namespaces/shop/pods/a", "delete", "pods"),
        (
            "PATCH",
            "/apis/thalweg.dev/v1alpha1/namespaces/shop/flinkapplications/a/status?force=true",
            "patch",
            "flinkapplications/status",
        ),
    ] {
        let method: Method = method.parse().expect("a method");
        let described = described(&method, &uri.parse().expect("a URI"));
        assert_eq!(described, (verb, resource.to_owned()), "{uri}");
    }
}

#[tokio::test]
async fn each_request_is_counted_with_its_answer() {
    let metrics = Metrics::new().expect("metrics");
    let service = tower::service_fn(|_: Request<Body>| async {
        Response::builder().status(409).body(Body::empty())
    });
    let counted = CountRequests(metrics.clone()).layer(service);
    let request = Request::put("/api/v1/namespaces/a/pods/b").body(Body::empty()).expect("made");
    counted.oneshot(request).await.expect("an answer");
    metrics.applications(&[("Running", 3)].into());
    metrics.leads(true);
    let (health, clock) = (Arc::new(Health::default()), Arc::new(SystemClock::new()));
    let served = Served { metrics, health, clock };
    let answer = show(State(served)).await;
    let text = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a text");
    let text = String::from_utf8_lossy(&text);
    for line in [
        r#"thalweg_operator_api_requests_total{code="409",resource="pods",verb="update"} 1"#,
        r#"thalweg_operator_applications{state="Running"} 3"#,
        r#"thalweg_operator_reconciliations_total{outcome="error"} 0"#,
        "thalweg_operator_leader 1",
        "thalweg_operator_queue_length 0",
    ] {
        assert!(text.lines().any(|each| each == line), "{line} isn't in {text}");
    }
}

#[tokio::test]
async fn a_probe_succeeds_when_the_operator_is_ready_and_says_why_when_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (health, clock) = (Arc::new(Health::default()), Arc::new(SystemClock::new()));
    let metrics = Metrics::new().expect("metrics");
    let server = tokio::spawn(serve(listener, metrics, Arc::clone(&health), clock));
    let ask = move |path: &'static str| async move {
        let asked = tokio::task::spawn_blocking(move || probe(&format!("http://{address}/{path}")));
        asked.await.expect("it ends").map_err(|error| error.to_string())
    };
    let refused = ask("readyz").await.expect_err("not ready");
    assert!(refused.contains("answered 503: the reconcile loop hasn't begun"), "{refused}");
    health.beat(Duration::ZERO, None, Vec::new());
    assert_eq!(ask("readyz").await, Ok("ok\n".to_owned()));
    server.abort();
    let _ = server.await;
    let refused = ask("healthz").await.expect_err("nobody there");
    assert!(refused.contains("gave no answer"), "{refused}");
}
