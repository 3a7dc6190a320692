//! One port for TLS and plain text, on real sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use thalweg_core::clock::{Clock, SystemClock};
use thalweg_core::ids::Epoch;
use thalweg_tls::issue::Authority;
use thalweg_tls::{CertificateIdentity, Pem, Role, Tls, Validity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};

use super::client::{Answer, Api, exchange, send};
use super::facts::{JOB, cluster};
use crate::rest::{KnownLeader, PassingTimes, PortRule, RestServer, StandbyRest};

fn identity(role: Role) -> CertificateIdentity {
    CertificateIdentity { namespace: "shop".to_owned(), application_uid: "1".to_owned(), role }
}

fn validity() -> Validity {
    let now = SystemClock::new().wall_ms() / 1000;
    Validity { not_before: now - 3600, not_after: now + 3600 }
}

fn authority() -> Authority {
    Authority::generate(&identity(Role::Operator), validity()).unwrap()
}

fn tls(authority: &Authority, role: Role) -> Tls {
    let issued = authority.issue(&identity(role), validity()).unwrap();
    let pem = Pem {
        certificate: issued.certificate.into_bytes(),
        key: issued.key.into_bytes(),
        authorities: authority.certificate().to_owned().into_bytes(),
    };
    Tls::from_pem(pem, role, Arc::new(SystemClock::new())).unwrap()
}

/// A request by TLS; why there was no answer otherwise.
async fn send_secured(
    address: SocketAddr,
    tls: &Tls,
    method: &str,
    path: &str,
) -> Result<Answer, String> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream =
        tls.connect(stream, &[Role::JobManager]).await.map_err(|error| error.to_string())?;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let written = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        // Whether it is refused is known with the first byte.
        let mut first = [0];
        stream.read_exact(&mut first).await?;
        Ok::<u8, std::io::Error>(first[0])
    };
    match written.await {
        Err(error) => Err(error.to_string()),
        Ok(first) => {
            let rest = std::io::Cursor::new(vec![first]);
            let (read, write) = tokio::io::split(stream);
            Ok(exchange(tokio::io::join(rest.chain(read), write), "").await)
        }
    }
}

fn cancel() -> String {
    format!("/jobs/{JOB}?mode=cancel")
}

#[tokio::test]
async fn the_operator_and_other_job_managers_give_commands_by_tls_and_nobody_else_does() {
    let ours = authority();
    let api = Api::serve_secured(cluster(), Some(tls(&ours, Role::JobManager))).await;
    for role in [Role::Operator, Role::JobManager] {
        let answer = send_secured(api.address, &tls(&ours, role), "PATCH", &cancel()).await;
        assert_eq!(answer.unwrap().status, 202, "{role}");
        let answer = send_secured(api.address, &tls(&ours, role), "GET", "/overview").await;
        assert_eq!(answer.unwrap().status, 200, "{role}");
    }
    assert_eq!(std::mem::take(&mut *api.gateway.commands.lock()).len(), 2);
    let foreign = authority();
    for (stranger, part) in [
        (tls(&ours, Role::TaskManager), "doesn't trust this process's certificate"),
        (tls(&foreign, Role::Operator), "wasn't issued by a CA in ca.crt"),
    ] {
        for (method, path) in [("PATCH", cancel()), ("GET", "/overview".to_owned())] {
            let answer = send_secured(api.address, &stranger, method, &path).await;
            let refused = answer.unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }
    assert!(api.gateway.commands.lock().is_empty());
}

#[tokio::test]
async fn plain_text_of_this_machine_works_at_the_same_port() {
    let api = Api::serve_secured(cluster(), Some(tls(&authority(), Role::JobManager))).await;
    assert_eq!(api.get("/overview").await.status, 200);
    assert_eq!(api.send("PATCH", &cancel(), "", "").await.status, 202);
    assert_eq!(api.gateway.commands.lock().len(), 1);
    // What is neither is closed; others are served meanwhile.
    let mut garbage = TcpStream::connect(api.address).await.unwrap();
    garbage.write_all(&[0x16; 100]).await.unwrap();
    let mut silent = TcpStream::connect(api.address).await.unwrap();
    assert_eq!(api.get("/overview").await.status, 200);
    let mut answer = Vec::new();
    garbage.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"HTTP"));
    silent.write_all(b"GET /jobs HTTP/1.0\r\n\r\n").await.unwrap();
    silent.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("200 OK"));
}

#[tokio::test]
async fn requests_are_passed_on_by_mutual_tls_to_nobody_but_a_job_manager() {
    let ours = authority();
    let leader = Api::serve_secured(cluster(), Some(tls(&ours, Role::JobManager))).await;
    let seen = watch::Sender::new(None);
    let server = RestServer::bind("127.0.0.1", &PortRule::Exactly(0)).await.unwrap();
    let (address, own) = (server.local_address(), tls(&ours, Role::JobManager));
    let rest = StandbyRest::new(&address.to_string(), seen.subscribe(), PassingTimes::default())
        .secured(Some(own.clone()));
    let (_shutdown, told) = oneshot::channel::<()>();
    let server = server.secured(Some(own));
    tokio::spawn(server.serve_standby(rest, async move { _ = told.await }));
    let follow = |address: SocketAddr| {
        let rest_address = address.to_string();
        seen.send_replace(Some(KnownLeader { rest_address, epoch: Epoch(7) }));
    };
    follow(leader.address);
    assert_eq!(send(address, "PATCH", &cancel(), "", "").await.status, 202);
    let operator = tls(&ours, Role::Operator);
    let answer = send_secured(address, &operator, "PATCH", &cancel()).await.unwrap();
    assert_eq!(answer.status, 202);
    assert!(answer.headers.contains(&format!("thalweg-leader: {}", leader.address)));
    assert_eq!(leader.gateway.commands.lock().len(), 2);

    // What answers there in plain text, or with another certificate, gets no request.
    let plain = Api::serve(cluster()).await;
    let other = Api::serve_secured(cluster(), Some(tls(&ours, Role::TaskManager))).await;
    for (impostor, part) in [(&plain, "TLS"), (&other, "only jobmanager belongs")] {
        follow(impostor.address);
        let answer = send(address, "PATCH", &cancel(), "", "").await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.error().contains(part), "{}", answer.body);
        assert!(impostor.gateway.commands.lock().is_empty());
    }
}
