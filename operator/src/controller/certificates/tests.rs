//! Against an API server that is a table of Secrets and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::http::{Method, Request, Response, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use thalweg_tls::{Pem, Validity};

use super::{Renewals, keep, of_operator};
use crate::build::Identity;
use crate::plan::{Action, Facts};
use crate::resource::tests::application;

/// 2026-01-01.
const NOW: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

#[derive(Default)]
struct Server {
    secrets: BTreeMap<String, Value>,
    version: u64,
    asked: Vec<String>,
}

impl Server {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        self.asked.push(format!("{method} {path}"));
        let below = path.strip_prefix("/api/v1/namespaces/shop/secrets").expect("Secrets alone");
        let name = below.strip_prefix('/').unwrap_or_default().to_owned();
        let mut sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let there = self.secrets.get(&name).cloned();
        let failed = |code: StatusCode, reason: &str| {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure",
                "message": reason, "reason": reason, "code": code.as_u16(),
            });
            (code, status)
        };
        match (method.as_str(), there) {
            ("GET", Some(there)) => (StatusCode::OK, there),
            ("GET", None) => failed(StatusCode::NOT_FOUND, "NotFound"),
            ("PUT", Some(there))
                if sent["metadata"]["resourceVersion"] != there["metadata"]["resourceVersion"] =>
            {
                failed(StatusCode::CONFLICT, "Conflict")
            }
            ("PUT" | "POST", there) => {
                let name = sent["metadata"]["name"].as_str().expect("a name").to_owned();
                assert_eq!(method == Method::POST, there.is_none());
                self.version += 1;
                sent["metadata"]["resourceVersion"] = json!(self.version.to_string());
                self.secrets.insert(name, sent.clone());
                (StatusCode::OK, sent)
            }
            other => panic!("{other:?}"),
        }
    }
}

#[derive(Clone, Default)]
struct Api(Arc<Mutex<Server>>);

impl Api {
    fn client(&self) -> Client {
        let server = Arc::clone(&self.0);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                let path = head.uri.path();
                let (status, answer) = server.lock().answer(&head.method, path, &body);
                let answer = Body::from(Bytes::from(answer.to_string()).to_vec());
                let response = Response::builder().status(status).body(answer);
                Ok::<_, std::convert::Infallible>(response.expect("a response"))
            }
        });
        Client::new(service, "shop")
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().asked)
    }

    fn until(&self, name: &str) -> i64 {
        let secret = self.0.lock().secrets[name].clone();
        let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(secret).unwrap();
        let certificate = &secret.data.unwrap()["tls.crt"].0;
        (Validity::of_pem(certificate).unwrap().not_after - NOW) / DAY
    }
}

fn facts() -> Facts {
    let application = application("minimal.yaml");
    let identity = Identity {
        namespace: "shop".to_owned(),
        name: "clicks".to_owned(),
        uid: "5c0ffee0".to_owned(),
    };
    Facts {
        identity,
        generation: 1,
        spec: application.spec,
        status: Default::default(),
        deleting_since: None,
        has_finalizer: true,
        savepoint_token: None,
        problems: Vec::new(),
        wanted: "clicks-1".to_owned(),
        recorded: Vec::new(),
        deployments: Vec::new(),
        pods: Vec::new(),
        checks: Default::default(),
    }
}

fn at(days: i64) -> Time {
    Time(Timestamp::from_second(NOW + days * DAY).unwrap())
}

#[tokio::test]
async fn certificates_are_made_once_renewed_in_time_and_nothing_is_asked_in_between() {
    let (api, renewals, facts) = (Api::default(), Renewals::default(), facts());
    let client = api.client();
    let next = keep((&client, &renewals), &facts, &[], &at(0)).await.unwrap().unwrap();
    assert!(next > at(59) && next < at(60), "{next:?}");
    let names: Vec<String> = api.0.lock().secrets.keys().cloned().collect();
    assert_eq!(names, ["clicks-ca", "clicks-jobmanager-tls", "clicks-taskmanager-tls"]);
    let asked = api.asked();
    let lists = asked.iter().filter(|each| each.starts_with("GET") && each.ends_with("secrets"));
    assert_eq!(lists.count(), 0, "{asked:?}");
    for days in [0, 1, 30, 59] {
        assert_eq!(
            keep((&client, &renewals), &facts, &[], &at(days)).await.unwrap(),
            Some(next.clone())
        );
    }
    assert_eq!(api.asked(), Vec::<String>::new());
    assert_eq!(api.until("clicks-jobmanager-tls"), 90);
    let next = keep((&client, &renewals), &facts, &[], &at(60)).await.unwrap().unwrap();
    assert!(next > at(119), "{next:?}");
    assert_eq!(api.until("clicks-jobmanager-tls"), 150);
    assert_eq!(api.until("clicks-taskmanager-tls"), 150);
}

#[tokio::test]
async fn before_pods_are_started_a_secret_that_is_missing_is_made() {
    let (api, renewals, facts) = (Api::default(), Renewals::default(), facts());
    let client = api.client();
    keep((&client, &renewals), &facts, &[], &at(0)).await.unwrap();
    api.0.lock().secrets.remove("clicks-taskmanager-tls");
    let start = Action::StartRevision {
        revision: "clicks-1".to_owned(),
        cluster_id: "clicks".to_owned(),
        replicas: 1,
        begin_with: None,
    };
    keep((&client, &renewals), &facts, &[start], &at(1)).await.unwrap();
    assert_eq!(api.until("clicks-taskmanager-tls"), 91);
    assert_eq!(api.until("clicks-jobmanager-tls"), 90);
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_and_named() {
    let (api, renewals, facts) = (Api::default(), Renewals::default(), facts());
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "clicks-ca", "namespace": "shop", "resourceVersion": "1" },
        "data": { "ca.crt": "eA==" },
    });
    api.0.lock().secrets.insert("clicks-ca".to_owned(), theirs.clone());
    let refused = keep((&api.client(), &renewals), &facts, &[], &at(0)).await.unwrap_err();
    assert!(refused.to_string().contains("clicks-ca isn't of this FlinkApplication"), "{refused}");
    assert_eq!(api.0.lock().secrets["clicks-ca"], theirs);
}

#[tokio::test]
async fn an_earlier_applications_authority_is_not_used_again() {
    let (api, facts) = (Api::default(), facts());
    let client = api.client();
    keep((&client, &Renewals::default()), &facts, &[], &at(0)).await.unwrap();
    let before = api.0.lock().secrets["clicks-ca"]["data"]["ca.crt"].clone();
    let mut later = facts;
    later.identity.uid = "another".to_owned();
    keep((&client, &Renewals::default()), &later, &[], &at(1)).await.unwrap();
    let secrets = &api.0.lock().secrets;
    assert_ne!(secrets["clicks-ca"]["data"]["ca.crt"], before);
    for secret in secrets.values() {
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "another");
    }
}

#[tokio::test]
async fn while_the_resource_is_deleted_nothing_is_made_and_requests_still_are_possible() {
    let (api, renewals, mut facts) = (Api::default(), Renewals::default(), facts());
    let client = api.client();
    keep((&client, &renewals), &facts, &[], &at(0)).await.unwrap();
    facts.deleting_since = Some(at(1));
    api.asked();
    assert_eq!(keep((&client, &renewals), &facts, &[], &at(70)).await.unwrap(), None);
    assert_eq!(api.asked(), Vec::<String>::new());
    let Pem { certificate, .. } = of_operator(&client, &facts.identity, &at(1)).await.unwrap();
    let validity = Validity::of_pem(&certificate).unwrap();
    assert_eq!(validity.not_after, NOW + DAY + 600);
}
