//! A JobManager that stands by: each request reaches the leader as it came, or is refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::ids::Epoch;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use super::client::{Answer, Api, send};
use super::facts::{JOB, cluster};
use crate::rest::{KnownLeader, PassingTimes, PortRule, RestServer, StandbyRest};

/// One that stands by, served.
struct Standby {
    address: SocketAddr,
    leader: watch::Sender<Option<KnownLeader>>,
    rest: StandbyRest,
    _shutdown: oneshot::Sender<()>,
}

impl Standby {
    async fn serve(times: PassingTimes) -> Self {
        let leader = watch::Sender::new(None);
        let server = RestServer::bind("127.0.0.1", &PortRule::Exactly(0)).await.unwrap();
        let address = server.local_address();
        let rest = StandbyRest::new(&address.to_string(), leader.subscribe(), times);
        let (shutdown, told) = oneshot::channel::<()>();
        tokio::spawn(server.serve_standby(rest.clone(), async move { _ = told.await }));
        Self { address, leader, rest, _shutdown: shutdown }
    }

    fn follows(&self, address: SocketAddr) {
        let known = KnownLeader { rest_address: address.to_string(), epoch: Epoch(7) };
        self.leader.send_replace(Some(known));
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        send(self.address, method, path, headers, body).await
    }
}

/// A port that nobody listens on.
async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn requests_reach_the_leader_as_they_came_and_its_answers_are_marked() {
    let leader = Api::serve(cluster()).await;
    let standby = Standby::serve(PassingTimes::default()).await;
    standby.follows(leader.address);
    let mark = format!("thalweg-leader: {}", leader.address);
    let paths = ["/jobs/overview", "/v1/overview", "/jobs/xyz", "/nope", "/jobs/%ff"];
    for path in paths.into_iter().chain(["/jobs/metrics?get=numRestarts,downtime&agg=max"]) {
        let (own, passed) = (leader.get(path).await, standby.send("GET", path, "", "").await);
        assert_eq!((passed.status, &passed.body), (own.status, &own.body), "{path}");
        assert!(passed.headers.contains(&mark) && !own.headers.contains("thalweg-leader"));
        assert!(passed.headers.contains("cache-control: no-store"), "{}", passed.headers);
    }
    let trigger = "0123456789abcdef0123456789abcdef";
    let body = format!(r#"{{"triggerId": "{trigger}", "checkpointType": "FULL"}}"#);
    let headers = "Content-Type: application/json\r\n";
    let path = format!("/jobs/{JOB}/checkpoints");
    let taken = standby.send("POST", &path, headers, &body).await;
    assert_eq!((taken.status, taken.body["request-id"].as_str()), (202, Some(trigger)));
    let cancel = standby.send("PATCH", &format!("/jobs/{JOB}?mode=cancel"), "", "").await;
    assert_eq!(cancel.status, 202, "{}", cancel.body);
    let told = [format!("Checkpoint {{ full: true }} of {JOB}"), format!("cancel {JOB}")];
    assert_eq!(*leader.gateway.commands.lock(), told);
}

#[tokio::test]
async fn a_foreign_page_is_refused_by_the_leader_and_a_page_of_the_standby_is_not() {
    let leader = Api::serve(cluster()).await;
    let standby = Standby::serve(PassingTimes::default()).await;
    standby.follows(leader.address);
    let path = format!("/jobs/{JOB}?mode=cancel");
    let foreign = standby.send("PATCH", &path, "Origin: http://evil.example\r\n", "").await;
    assert_eq!(foreign.status, 403, "{}", foreign.body);
    let own = format!("Origin: http://{}\r\n", standby.address);
    assert_eq!(standby.send("PATCH", &path, &own, "").await.status, 202);
    assert_eq!(leader.gateway.commands.lock().len(), 1);
}

#[tokio::test]
async fn without_a_leader_that_answers_the_refusal_says_why_and_what_to_do() {
    let times = PassingTimes { answer: Duration::from_millis(50), ..PassingTimes::default() };
    let standby = Standby::serve(times).await;
    let refused = async |status: u16, parts: &[&str]| {
        let answer = standby.send("GET", "/overview", "", "").await;
        assert_eq!(answer.status, status, "{}", answer.body);
        for part in parts {
            assert!(answer.error().contains(part), "{part}: {}", answer.body);
        }
        assert!(answer.headers.contains("content-type: application/json"), "{}", answer.headers);
    };
    refused(503, &["No JobManager is known to lead", "Try again"]).await;
    let nobody = closed().await;
    standby.follows(nobody);
    refused(503, &[&nobody.to_string(), "can't be reached", "rest.bind-host"]).await;
    // It is stopped, as by SIGSTOP: the system takes connections for it, and nothing is answered.
    let stopped = TcpListener::bind("127.0.0.1:0").await.unwrap();
    standby.follows(stopped.local_addr().unwrap());
    refused(504, &["hasn't answered within", "epoch 7", "triggerId"]).await;
}

#[tokio::test]
async fn who_waits_for_a_leader_that_stands_still_is_answered_when_another_takes_over() {
    let stopped = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let standby = Standby::serve(PassingTimes::default()).await;
    let now_leading = Api::serve(cluster()).await;
    for itself in [false, true] {
        standby.follows(stopped.local_addr().unwrap());
        let waiting = send(standby.address, "GET", "/jobs", "", "");
        let take_over = async {
            // The request has arrived there.
            let taken = stopped.accept().await.unwrap();
            match itself {
                true => standby.rest.lead(Arc::clone(&now_leading.gateway) as _),
                false => standby.follows(now_leading.address),
            }
            taken
        };
        let (answer, _taken) = tokio::join!(waiting, take_over);
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.error().contains("has taken over"), "{}", answer.body);
        assert_eq!(standby.send("GET", "/jobs", "", "").await.status, 200);
    }
}

#[tokio::test]
async fn two_that_take_each_other_for_the_leader_pass_a_request_on_once() {
    let (a, b) = (
        Standby::serve(PassingTimes::default()).await,
        Standby::serve(PassingTimes::default()).await,
    );
    a.follows(b.address);
    b.follows(a.address);
    let answer = a.send("GET", "/jobs", "", "").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    let text = answer.error();
    assert!(text.contains(&format!("at {} doesn't lead, and {}", b.address, a.address)), "{text}");
    a.follows(a.address);
    assert_eq!(a.send("GET", "/jobs", "", "").await.status, 503);
}

#[tokio::test]
async fn a_body_that_no_request_needs_is_refused_before_it_is_passed_on() {
    let leader = Api::serve(cluster()).await;
    let standby = Standby::serve(PassingTimes::default()).await;
    standby.follows(leader.address);
    let path = format!("/jobs/{JOB}/checkpoints");
    let answer = standby.send("POST", &path, "", &" ".repeat((1 << 20) + 1)).await;
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert!(answer.error().contains("1048576"), "{}", answer.body);
    assert!(leader.gateway.commands.lock().is_empty());
}

#[tokio::test]
async fn who_leads_at_last_answers_itself_whoever_passed_the_request_on() {
    let standby = Standby::serve(PassingTimes::default()).await;
    standby.follows(closed().await);
    assert_eq!(standby.send("GET", "/jobs", "", "").await.status, 503);
    let now_leading = Api::serve(cluster()).await;
    standby.rest.lead(Arc::clone(&now_leading.gateway) as _);
    let expected = now_leading.get("/jobs/overview").await;
    let passed_on = "Thalweg-Passed-On-By: 127.0.0.1:1\r\n";
    for headers in ["", passed_on] {
        let answer = standby.send("GET", "/jobs/overview", headers, "").await;
        assert_eq!((answer.status, &answer.body), (200, &expected.body));
        assert!(!answer.headers.contains("thalweg-leader"), "{}", answer.headers);
    }
}
