//! Links over mutual TLS on real sockets.

use std::sync::Arc;

use thalweg_core::clock::{Clock, SystemClock};
use thalweg_core::ids::{Epoch, ExecutionAttemptId};
use thalweg_tls::issue::Authority;
use thalweg_tls::{CertificateIdentity, Pem, Role, Tls, Validity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::message::{
    Fenced, JobManagerMessage, Notice, TaskManagerMessage, ToJobManager, ToTaskManager,
};
use crate::*;

const OURS: Identity = Identity { build_id: 7 };

fn identity(uid: &str, role: Role) -> CertificateIdentity {
    CertificateIdentity { namespace: "shop".to_owned(), application_uid: uid.to_owned(), role }
}

/// What counts now and for a while.
fn validity() -> Validity {
    let now = SystemClock::new().wall_ms() / 1000;
    Validity { not_before: now - 3600, not_after: now + 3600 }
}

fn tls(authority: &Authority, role: Role) -> Tls {
    let issued = authority.issue(&identity("1", role), validity()).unwrap();
    let pem = Pem {
        certificate: issued.certificate.into_bytes(),
        key: issued.key.into_bytes(),
        authorities: authority.certificate().to_owned().into_bytes(),
    };
    Tls::from_pem(pem, role, Arc::new(SystemClock::new())).unwrap()
}

fn authority() -> Authority {
    Authority::generate(&identity("1", Role::Operator), validity()).unwrap()
}

fn secured(tls: Tls) -> Arc<dyn Transport> {
    Arc::new(TlsTransport::new(Arc::new(TcpTransport), tls))
}

async fn job_manager(transport: &dyn Transport) -> (Acceptor, String) {
    let (sender, acceptor) = accept_channel();
    let runtime = Handle::current();
    let listening = listen(transport, "127.0.0.1:0", OURS, sender, &runtime);
    (acceptor, listening.await.unwrap().to_string())
}

async fn connect(
    transport: Arc<dyn Transport>,
    address: &str,
) -> Result<Link<ToJobManager, ToTaskManager>, ConnectError> {
    let connector = Connector::Remote { transport, address: address.to_owned(), identity: OURS };
    connector.connect(&Handle::current()).await
}

#[tokio::test]
async fn who_leads_is_told_over_mutual_tls_to_task_managers_of_the_application_only() {
    let (authority, strangers) = (authority(), self::authority());
    let (sender, _acceptor) = accept_channel();
    let view = LeaderView::default();
    let leads = LeaderAddress {
        address: "10.0.0.1:6123".to_owned(),
        epoch: Epoch(3),
        revision: "app-1".to_owned(),
    };
    view.sees(Some(leads.clone()));
    let listens = ListenerIdentity { identity: OURS, leader: view };
    let (here, runtime) = (secured(tls(&authority, Role::JobManager)), Handle::current());
    let bound = listen(&*here, "127.0.0.1:0", listens, sender, &runtime).await.unwrap();
    let address = bound.to_string();
    let asking = secured(tls(&authority, Role::TaskManager));
    let answer = leader::ask(&*asking, &address, Identity { build_id: 8 }).await.unwrap();
    let seen = SeenLeader { leader: Some(leads), itself: false };
    assert_eq!(answer, LeaderAnswer { build_id: 7, seen });
    let strange = secured(tls(&strangers, Role::TaskManager));
    assert!(leader::ask(&*strange, &address, OURS).await.is_err());
    assert!(leader::ask(&TcpTransport, &address, OURS).await.is_err());
}

#[tokio::test]
async fn messages_arrive_whole_over_mutual_tls_and_the_end_is_noticed() {
    let authority = authority();
    let (mut acceptor, address) = job_manager(&*secured(tls(&authority, Role::JobManager))).await;
    let task_manager = secured(tls(&authority, Role::TaskManager));
    let mut here = connect(task_manager, &address).await.unwrap();
    let mut there = acceptor.accept().await.unwrap().link;
    for megabytes in [0, 1, 3] {
        let notice = Notice::Goodbye { reason: "x".repeat(megabytes << 20) };
        let message = TaskManagerMessage::Notice { number: 1, notice };
        let message = Fenced { epoch: Epoch(1), sequence: 1, message };
        here.sender.try_send(message.clone()).unwrap();
        assert!(there.receiver.receive().await.unwrap() == message);
        let attempt = ExecutionAttemptId::new(megabytes as u128);
        let message = JobManagerMessage::CancelTask { attempt };
        let message = Fenced { epoch: Epoch(1), sequence: 1, message };
        there.sender.try_send(message.clone()).unwrap();
        assert_eq!(here.receiver.receive().await, Ok(message));
    }
    drop(here);
    assert_eq!(there.receiver.receive().await, Err(LinkError::Closed));
}

#[tokio::test]
async fn who_is_no_task_manager_of_the_application_gets_no_link_and_disturbs_nobody() {
    let (ours, foreign) = (authority(), authority());
    let (mut acceptor, address) = job_manager(&*secured(tls(&ours, Role::JobManager))).await;
    for (transport, part) in [
        (secured(tls(&ours, Role::JobManager)), "doesn't trust this process's certificate"),
        (secured(tls(&ours, Role::Operator)), "doesn't trust this process's certificate"),
        (secured(tls(&foreign, Role::TaskManager)), "wasn't issued by a CA in ca.crt"),
        (Arc::new(TcpTransport), "closed"),
    ] {
        let error = connect(transport, &address).await.unwrap_err();
        // It may pass: certificates are renewed.
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
        let said = error.to_string();
        assert!(part == "closed" || said.contains(part), "{part}: {said}");
    }
    // Plain text isn't answered by any message of the protocol.
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain.write_all(b"GET /jobs HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("Thalweg"), "{answer:?}");

    let _here = connect(secured(tls(&ours, Role::TaskManager)), &address).await.unwrap();
    // The first link that was made is the good one's.
    assert!(acceptor.accept().await.unwrap().peer.starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_task_manager_leaves_what_is_no_job_manager_of_its_application() {
    let ours = authority();
    let task_manager = secured(tls(&ours, Role::TaskManager));
    let (_other, address) = job_manager(&*secured(tls(&ours, Role::TaskManager))).await;
    let error = connect(Arc::clone(&task_manager), &address).await.unwrap_err();
    assert!(error.to_string().contains("only jobmanager belongs"), "{error}");
    let (_plain, address) = job_manager(&TcpTransport).await;
    let error = connect(task_manager, &address).await.unwrap_err().to_string();
    assert!(error.contains("doesn't speak TLS"), "{error}");
    assert!(error.contains("security.ssl.internal.enabled"), "{error}");
}
