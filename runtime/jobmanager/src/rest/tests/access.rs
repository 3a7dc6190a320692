//! The rule for strangers: every path of the router, every method, every kind of caller.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{Method, Request, StatusCode};
use thalweg_core::ids::Epoch;
use thalweg_tls::{CertificateIdentity, Role};
use tokio::sync::watch;
use tower::ServiceExt;

use super::client::{Api, TableGateway};
use super::facts::{JOB, cluster};
use crate::rest::access::{Caller, guarded};
use crate::rest::{KnownLeader, PassingTimes, StandbyRest, router};

/// Where the router's paths are written.
const SOURCES: [&str; 5] = [
    include_str!("../router/cluster.rs"),
    include_str!("../router/jobs.rs"),
    include_str!("../router/operations.rs"),
    include_str!("../router/rescale.rs"),
    include_str!("../router/vertices.rs"),
];

const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Every path that the router's source names, with ids in the places of parameters, with and
/// without the prefix, and one that it doesn't name.
fn paths() -> Vec<String> {
    let mut paths = vec!["/no/such/path".to_owned()];
    for source in SOURCES {
        for route in source.split(".route(").skip(1) {
            let (before, rest) = route.split_once('"').unwrap();
            let (path, _) = rest.split_once('"').unwrap();
            let of_vertex = before.contains("path(");
            let prefix = if of_vertex { "/jobs/{jobid}/vertices/{vertexid}" } else { "" };
            paths.push(filled(&format!("{prefix}{path}")));
        }
    }
    assert!(paths.len() > 50, "{} paths", paths.len());
    let versioned: Vec<String> = paths.iter().map(|path| format!("/v1{path}")).collect();
    paths.extend(versioned);
    paths
}

fn filled(path: &str) -> String {
    let part = |part: &str| match part.starts_with('{') {
        true => JOB.to_owned(),
        false => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn known(role: Role) -> Caller {
    let (namespace, application_uid) = ("shop".to_owned(), "1".to_owned());
    Caller::Known(CertificateIdentity { namespace, application_uid, role })
}

/// Callers, and whether each may change something.
fn callers() -> Vec<(Caller, bool)> {
    let plain = |address: &str| Caller::Plain(address.parse::<SocketAddr>().unwrap());
    vec![
        (plain("127.0.0.1:5000"), true),
        (plain("127.8.9.10:5000"), true),
        (plain("[::1]:5000"), true),
        (plain("[::ffff:127.0.0.1]:5000"), true),
        (plain("10.0.0.7:5000"), false),
        (plain("0.0.0.0:5000"), false),
        (plain("192.168.1.1:8081"), false),
        (plain("[fe80::1]:5000"), false),
        (plain("[::ffff:10.0.0.7]:5000"), false),
        (known(Role::Operator), true),
        (known(Role::JobManager), true),
        (known(Role::TaskManager), false),
    ]
}

async fn answer(router: &Router, caller: Option<&Caller>, method: &Method, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let router = router.clone();
    let answered = match caller {
        Some(caller) => router.layer(MockConnectInfo(caller.clone())).oneshot(request).await,
        None => router.oneshot(request).await,
    };
    let (head, body) = answered.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (head.status, String::from_utf8_lossy(&body).into_owned())
}

type Answer = (StatusCode, String);

#[tokio::test]
async fn every_path_and_method_is_open_to_readers_and_changes_nothing_for_strangers() {
    let gateway = TableGateway::new(cluster());
    let open = router(Arc::clone(&gateway) as _);
    let closed = guarded(open.clone());
    let (mut refused, mut allowed) = (0, 0);
    for path in paths() {
        for method in &METHODS {
            let reads = matches!(*method, Method::GET | Method::HEAD);
            let expected = answer(&open, None, method, &path).await;
            gateway.commands.lock().clear();
            for (caller, may) in callers() {
                let what = format!("{method} {path} of {caller}");
                let answer = answer(&closed, Some(&caller), method, &path).await;
                let commands = std::mem::take(&mut *gateway.commands.lock());
                if reads || may {
                    assert_eq!(answer, expected, "{what}");
                    allowed += 1;
                } else {
                    assert_eq!(answer.0, StatusCode::FORBIDDEN, "{what}");
                    assert_eq!(commands, Vec::<String>::new(), "{what}");
                    let json: serde_json::Value = serde_json::from_str(&answer.1).unwrap();
                    let text = json["errors"][0].as_str().unwrap();
                    assert!(text.contains("kubectl port-forward"), "{text}");
                    assert!(text.contains(method.as_str()), "{text}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 1000 && allowed > 1000, "{refused} {allowed}");
}

#[tokio::test]
async fn a_get_changes_nothing_whoever_sends_it() {
    let gateway = TableGateway::new(cluster());
    let closed = guarded(router(Arc::clone(&gateway) as _));
    for path in paths() {
        for method in [Method::GET, Method::HEAD] {
            for (caller, _) in callers() {
                answer(&closed, Some(&caller), &method, &path).await;
            }
        }
    }
    let commands = gateway.commands.lock();
    // That an outcome was read is no change.
    let changes: Vec<&String> = commands.iter().filter(|each| !each.starts_with("read")).collect();
    assert!(changes.is_empty(), "{changes:?}");
}

#[tokio::test]
async fn one_that_stands_by_passes_on_nothing_of_strangers_that_changes_something() {
    let leader = Api::serve(cluster()).await;
    let known = KnownLeader { rest_address: leader.address.to_string(), epoch: Epoch(7) };
    let seen = watch::Sender::new(Some(known));
    let times = PassingTimes { connect: Duration::from_secs(60), ..PassingTimes::default() };
    let standby = StandbyRest::new("127.0.0.1:1", seen.subscribe(), times);
    let closed = guarded(standby.router());
    let path = format!("/jobs/{JOB}?mode=cancel");
    for (caller, may) in callers() {
        let (status, _) = answer(&closed, Some(&caller), &Method::PATCH, &path).await;
        let commands = std::mem::take(&mut *leader.gateway.commands.lock());
        let expected = if may { (StatusCode::ACCEPTED, 1) } else { (StatusCode::FORBIDDEN, 0) };
        assert_eq!((status, commands.len()), expected, "{caller}");
        let (status, _) = answer(&closed, Some(&caller), &Method::GET, "/jobs").await;
        assert_eq!(status, StatusCode::OK, "{caller}");
    }
}
