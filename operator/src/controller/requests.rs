//! What the JobManager is asked to do, over REST by mutual TLS: with a certificate that is made for
//! the request, to a JobManager of the application and nobody else. Every request carries an id
//! that is the same for its repeats.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use serde_json::{Value, json};
use thalweg_core::clock::Clock;
use thalweg_core::ids::TriggerId;
use thalweg_tls::{Role, Tls};
use tokio::net::TcpStream;

use super::{ReconcileError, certificates};
use crate::build::{Identity, REST_PORT};
use crate::plan::Action;

/// The longest that an action's requests may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How much of a refusal is told.
const SHOWN_CHARACTERS_MAX: usize = 500;

/// An application's JobManager, and how it is spoken to.
struct Target {
    /// Host and port.
    address: String,
    tls: Tls,
}

/// The id of a request: the same for the same token.
fn trigger_id(token: &str) -> String {
    TriggerId::derive(token).to_string()
}

/// Asks for a checkpoint, a savepoint or another parallelism; other actions aren't requests. Gives
/// the reason where it was asked for before and has come to nothing.
pub(super) async fn send(
    client: &Client,
    identity: &Identity,
    action: &Action,
    now: &Time,
) -> Result<Option<String>, ReconcileError> {
    let address = format!("{}.{}.svc:{REST_PORT}", identity.rest(), identity.namespace);
    let pem = certificates::of_operator(client, identity, now).await?;
    let clock = Arc::new(Moment(now.0.as_millisecond()));
    let tls = Tls::from_pem(pem, Role::Operator, clock);
    let tls = tls.map_err(|error| ReconcileError::Certificates(error.to_string()))?;
    let target = Target { address, tls };
    let sent = tokio::time::timeout(TIMEOUT, target.perform(action)).await;
    let sent = sent.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}")));
    sent.map_err(|reason| ReconcileError::JobManager { target: target.address.clone(), reason })
}

/// The moment of a decision, by which a certificate is judged that is used within seconds.
#[derive(Debug)]
struct Moment(i64);

impl Clock for Moment {
    fn wall_ms(&self) -> i64 {
        self.0
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

impl Target {
    async fn perform(&self, action: &Action) -> Result<Option<String>, String> {
        match action {
            Action::TakeCheckpoint { job, token } => {
                let body = json!({ "triggerId": trigger_id(token) });
                return self.operation((job, "checkpoints"), "checkpoints", body).await;
            }
            Action::TakeSavepoint { job, token, location } => {
                let body = json!({
                    "triggerId": trigger_id(token),
                    "target-directory": location,
                    "cancel-job": false,
                });
                return self.operation((job, "savepoints"), "savepoints", body).await;
            }
            Action::StopWithSavepoint { job, token, location } => {
                let body = json!({
                    "triggerId": trigger_id(token),
                    "targetDirectory": location,
                    "drain": false,
                });
                return self.operation((job, "stop"), "savepoints", body).await;
            }
            Action::Rescale { job, from, parallelism } => {
                let path = format!("/jobs/{job}/resource-requirements");
                let there = self.request("GET", &path, None).await?;
                let body = json!(rescaled(&there, *from, *parallelism));
                let trigger = trigger_id(&format!("{job} {parallelism}"));
                self.request("PUT", &format!("{path}?triggerId={trigger}"), Some(body)).await?;
            }
            _ => {}
        }
        Ok(None)
    }

    /// Asks for something that takes a while, and by `told` how it went: a repeated request is the
    /// same one, so one that has failed isn't tried again by it.
    async fn operation(
        &self,
        (job, asked): (&str, &str),
        told: &str,
        body: Value,
    ) -> Result<Option<String>, String> {
        let taken = self.request("POST", &format!("/jobs/{job}/{asked}"), Some(body)).await?;
        let Some(id) = taken["request-id"].as_str() else { return Ok(None) };
        let operation = self.request("GET", &format!("/jobs/{job}/{told}/{id}"), None).await?;
        let cause = ["failure-cause", "failureCause"].iter().find_map(|member| {
            operation["operation"][member]["stack-trace"].as_str()?.lines().next()
        });
        Ok(cause.map(|cause| cause.chars().take(SHOWN_CHARACTERS_MAX).collect()))
    }

    /// The JSON of an answer that is no refusal.
    async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| text(&error))?;
        let stream = TcpStream::connect(&self.address).await.map_err(|error| text(&error))?;
        let stream = self.tls.connect(stream, &[Role::JobManager]).await;
        let stream = TokioIo::new(stream.map_err(|error| text(&error))?);
        let (mut sender, connection) =
            http1::handshake(stream).await.map_err(|error| text(&error))?;
        // The connection ends with its sender.
        let answered = async move {
            let answer = sender.send_request(request).await.map_err(|error| told(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| text(&error))?.to_bytes();
            Ok::<_, String>((status, body))
        };
        let (answered, _) = tokio::join!(answered, async {
            // How it ends is told by the request.
            let _ = connection.await;
        });
        let (status, body) = answered?;
        if !status.is_success() {
            let body = String::from_utf8_lossy(&body);
            let start: String = body.chars().take(SHOWN_CHARACTERS_MAX).collect();
            return Err(format!("{status}: {start}"));
        }
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

/// An error with its cause: that the other end refuses a certificate is a cause.
fn told(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// New bounds for the vertices that have the job's parallelism; the others have one of their own.
fn rescaled(requirements: &Value, from: i32, to: i32) -> BTreeMap<String, Value> {
    let vertices = requirements.as_object().into_iter().flatten();
    vertices
        .filter(|(_, vertex)| vertex["parallelism"]["upperBound"] == from)
        .map(|(id, _)| {
            (id.clone(), json!({ "parallelism": { "lowerBound": 1, "upperBound": to } }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use thalweg_core::clock::{Clock, SystemClock};
    use thalweg_tls::{Pem, Role, Tls};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::{Target, rescaled, trigger_id};
    use crate::build::Identity;
    use crate::certificates::{Stored, decide, issue, operator_certificate};
    use crate::plan::Action;

    fn identity(uid: &str) -> Identity {
        let (namespace, name) = ("shop".to_owned(), "clicks".to_owned());
        Identity { namespace, name, uid: uid.to_owned() }
    }

    fn now() -> i64 {
        SystemClock::new().wall_ms() / 1000
    }

    /// An application's certificates, made now.
    fn stored(identity: &Identity) -> Stored {
        let mut stored = Stored::default();
        loop {
            let steps = decide(&stored.facts(identity), now()).steps;
            if steps.is_empty() {
                return stored;
            }
            for step in steps {
                stored = issue(stored, identity, step, now()).unwrap();
            }
        }
    }

    fn process(pem: Pem, role: Role) -> Tls {
        Tls::from_pem(pem, role, Arc::new(SystemClock::new())).unwrap()
    }

    /// A process in this role that gives one answer to each request, and its address.
    async fn serve(stored: &Stored, role: Role, answer: &'static str) -> String {
        let secret = stored.leaf_secret(&identity("1"), role).unwrap().data.unwrap();
        let file = |name: &str| secret[name].0.clone();
        let pem =
            Pem { certificate: file("tls.crt"), key: file("tls.key"), authorities: file("ca.crt") };
        let (tls, listener) = (process(pem, role), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok((mut stream, peer)) = tls.accept(stream, &[Role::Operator]).await else {
                    continue;
                };
                assert_eq!(peer.role, Role::Operator);
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await.unwrap();
                let length = answer.split("\r\n\r\n").nth(1).unwrap().len();
                let head = format!("HTTP/1.1 {answer}").replacen(
                    "\r\n\r\n",
                    &format!("\r\nContent-Length: {length}\r\n\r\n"),
                    1,
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        });
        address
    }

    fn target(address: String, own: &Stored, uid: &str) -> Target {
        let pem = operator_certificate(own, &identity(uid), now()).unwrap();
        Target { address, tls: process(pem, Role::Operator) }
    }

    #[tokio::test]
    async fn a_request_is_made_by_mutual_tls_to_a_job_manager_of_the_application_alone() {
        let ours = stored(&identity("1"));
        let address = serve(&ours, Role::JobManager, "202 Accepted\r\n\r\n{\"a\": 1}").await;
        let asked = target(address.clone(), &ours, "1").request("GET", "/jobs", None).await;
        assert_eq!(asked.unwrap(), json!({ "a": 1 }));
        let action = Action::TakeCheckpoint { job: "0a".to_owned(), token: "t".to_owned() };
        target(address.clone(), &ours, "1").perform(&action).await.unwrap();

        let failed = "200 OK\r\n\r\n{\"request-id\": \"7\", \"operation\": {\"failureCause\": \
                      {\"stack-trace\": \"the disk is full\\n at nowhere\"}}}";
        let failing = serve(&ours, Role::JobManager, failed).await;
        let reason = target(failing, &ours, "1").perform(&action).await.unwrap();
        assert_eq!(reason.as_deref(), Some("the disk is full"));

        let refusing = serve(&ours, Role::JobManager, "409 Conflict\r\n\r\n{\"errors\": []}").await;
        let refused = target(refusing, &ours, "1").perform(&action).await.unwrap_err();
        assert!(refused.contains("409") && refused.contains("errors"), "{refused}");

        let worker = serve(&ours, Role::TaskManager, "200 OK\r\n\r\n{}").await;
        let refused = target(worker, &ours, "1").perform(&action).await.unwrap_err();
        assert!(refused.contains("only jobmanager belongs"), "{refused}");
        let others = stored(&identity("2"));
        let refused = target(address, &others, "2").perform(&action).await.unwrap_err();
        assert!(refused.contains("wasn't issued by a CA in ca.crt"), "{refused}");
    }

    #[test]
    fn only_vertices_with_the_jobs_parallelism_are_rescaled() {
        let bounds = |n: i32| json!({ "parallelism": { "lowerBound": n, "upperBound": n } });
        let there = json!({ "a": bounds(2), "b": bounds(1), "c": bounds(2) });
        let ids: Vec<String> = rescaled(&there, 2, 5).into_keys().collect();
        assert_eq!(ids, ["a", "c"]);
        assert_eq!(rescaled(&there, 2, 5)["a"]["parallelism"]["upperBound"], 5);
    }

    #[test]
    fn repeats_of_a_request_have_its_id() {
        assert_eq!(trigger_id("upgrade-1"), trigger_id("upgrade-1"));
        assert_ne!(trigger_id("upgrade-1"), trigger_id("upgrade-2"));
        assert_eq!(trigger_id("x").len(), 32);
    }
}
