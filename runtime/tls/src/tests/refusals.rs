//! Who is let in, and what is said to whom isn't.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{DAY, NOW, Stopped, authority, connected, days, identity, pem, process, works};
use crate::issue::{Authority, Issued};
use crate::{CertificateIdentity, Role, Tls};

const JOB_MANAGER: &[Role] = &[Role::JobManager];
const TASK_MANAGER: &[Role] = &[Role::TaskManager];

#[tokio::test]
async fn processes_of_an_application_reach_each_other_and_know_who_the_other_is() {
    let authority = authority();
    let server = process(&authority, Role::JobManager);
    let client = process(&authority, Role::TaskManager);
    let made = connected((&client, JOB_MANAGER), (&server, TASK_MANAGER)).await;
    let (mut near, mut far, peer) = made.unwrap();
    assert_eq!(peer, identity(Role::TaskManager));
    works(&mut near, &mut far).await;
    // Data goes between equals.
    let other = process(&authority, Role::TaskManager);
    let made = connected((&client, TASK_MANAGER), (&other, TASK_MANAGER)).await;
    let (mut near, mut far, _) = made.unwrap();
    works(&mut near, &mut far).await;
}

/// What a connection of `client` to `server` comes to.
async fn refused(client: &Tls, server: &Tls) -> (String, String) {
    connected((client, JOB_MANAGER), (server, TASK_MANAGER)).await.unwrap_err()
}

/// What the server says of a client that believes whoever answers, and what it hears itself.
async fn shown_to(server: &Tls, certificate: Option<&Issued>) -> (String, String) {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(super::believes_all());
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let chain = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![chain], key).unwrap()
        }
    };
    let (near, far) = tokio::io::duplex(64 << 10);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let connecting = async {
        let mut stream = connector.connect(ServerName::try_from("x").unwrap(), near).await?;
        stream.read_u8().await
    };
    let (client, server) = tokio::join!(connecting, server.accept(far, TASK_MANAGER));
    (server.map(drop).unwrap_err().to_string(), client.unwrap_err().to_string())
}

#[tokio::test]
async fn a_client_that_is_not_to_be_trusted_is_refused_and_the_log_says_what_is_wrong() {
    let authority = authority();
    let server = process(&authority, Role::JobManager);
    let right = identity(Role::TaskManager);
    let foreign = Authority::generate(&right, days(-1, 365)).unwrap();
    let uid = CertificateIdentity { application_uid: "1b2c".to_owned(), ..right.clone() };
    let namespace = CertificateIdentity { namespace: "bank".to_owned(), ..right.clone() };
    let operator = identity(Role::Operator);
    for (issuer, to, parts) in [
        (&authority, &uid, &["another application", "thalweg://shop/1b2c/"][..]),
        (&authority, &namespace, &["another application", "thalweg://bank/"]),
        (&authority, &operator, &["its role is operator", "only taskmanager"]),
        (&foreign, &right, &["wasn't issued by a CA in ca.crt"]),
    ] {
        let issued = issuer.issue(to, days(-1, 89)).unwrap();
        let (said, heard) = shown_to(&server, Some(&issued)).await;
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(heard.contains("received fatal alert"), "{heard}");
    }
    let late = authority.issue(&identity(Role::TaskManager), days(-90, -1)).unwrap();
    assert!(shown_to(&server, Some(&late)).await.0.contains("expired at 2025-12-31"));
    assert!(shown_to(&server, None).await.0.contains("has presented no certificate"));
}

#[tokio::test]
async fn a_server_that_is_not_to_be_trusted_is_left() {
    let authority = authority();
    let client = process(&authority, Role::TaskManager);
    let task_manager = process(&authority, Role::TaskManager);
    let (said, heard) = refused(&client, &task_manager).await;
    assert!(said.contains("its role is taskmanager, and only jobmanager"), "{said}");
    assert!(heard.contains("doesn't trust this process's certificate"), "{heard}");

    let foreign = Authority::generate(&identity(Role::JobManager), days(-1, 365)).unwrap();
    let issued = foreign.issue(&identity(Role::JobManager), days(-1, 89)).unwrap();
    let files = pem(&issued, &[&foreign, &authority]);
    let other = Tls::from_pem(files, Role::JobManager, Stopped::at(NOW)).unwrap();
    let (said, heard) = refused(&client, &other).await;
    assert!(said.contains("wasn't issued by a CA in ca.crt"), "{said}");
    assert!(heard.contains("doesn't trust this process's certificate"), "{heard}");
}

#[tokio::test]
async fn a_certificate_counts_neither_before_nor_after_its_time() {
    let authority = authority();
    let issued = authority.issue(&identity(Role::TaskManager), days(-1, 3)).unwrap();
    let clock = Stopped::at(NOW);
    let client =
        Tls::from_pem(pem(&issued, &[&authority]), Role::TaskManager, clock.clone()).unwrap();
    let issued = authority.issue(&identity(Role::JobManager), days(-30, 60)).unwrap();
    let clocks = Stopped::at(NOW);
    let server =
        Tls::from_pem(pem(&issued, &[&authority]), Role::JobManager, clocks.clone()).unwrap();
    for (at, said) in [
        (NOW + 3 * DAY, None),
        (NOW + 3 * DAY + 1, Some("expired at 2026-01-04T00:00:00Z")),
        (NOW - DAY, None),
        (NOW - DAY - 1, Some("valid from 2025-12-31T00:00:00Z only")),
    ] {
        clocks.set(at);
        let made = connected((&client, JOB_MANAGER), (&server, TASK_MANAGER)).await;
        match said {
            None => drop(made.unwrap()),
            Some(part) => {
                let (_, server) = made.unwrap_err();
                assert!(server.contains(part), "{server}");
            }
        }
    }
}

#[tokio::test]
async fn an_operators_certificate_serves_nobody() {
    let authority = authority();
    let client = process(&authority, Role::TaskManager);
    let operator = process(&authority, Role::Operator);
    const OPERATOR: &[Role] = &[Role::Operator];
    let made = connected((&client, OPERATOR), (&operator, TASK_MANAGER)).await;
    let (said, _) = made.unwrap_err();
    assert!(said.contains("its certificate isn't valid"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn who_speaks_plain_text_is_told_to_speak_tls() {
    let server = process(&authority(), Role::JobManager);
    for plain in [&b"THALWRPC\x01\0\0\0"[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64], &[0x16; 64]] {
        let (mut near, far) = tokio::io::duplex(1 << 10);
        near.write_all(plain).await.unwrap();
        let refused = server.accept(far, TASK_MANAGER).await.unwrap_err();
        assert!(refused.to_string().contains("doesn't speak TLS"), "{plain:?}: {refused}");
        assert!(refused.to_string().contains("security.ssl.internal.enabled"), "{refused}");
    }
    // And one that answers in plain text.
    let (near, mut far) = tokio::io::duplex(1 << 10);
    far.write_all(b"THALWRPC\x01\0\0\0").await.unwrap();
    let refused = server.connect(near, TASK_MANAGER).await.unwrap_err();
    assert!(refused.to_string().contains("doesn't speak TLS"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_taken_lazily_shakes_hands_when_it_is_used() {
    let authority = authority();
    let server = process(&authority, Role::JobManager);
    let client = process(&authority, Role::TaskManager);
    let (near, far) = tokio::io::duplex(64 << 10);
    let mut far = server.accept_lazily(far, TASK_MANAGER);
    let client = tokio::spawn(async move {
        let mut near = client.connect(near, JOB_MANAGER).await.unwrap();
        near.write_all(b"hello").await.unwrap();
        near.flush().await.unwrap();
        near
    });
    let mut read = [0; 5];
    far.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
    works(&mut client.await.unwrap(), &mut far).await;

    // What failed stays failed.
    let (mut near, far) = tokio::io::duplex(64 << 10);
    let mut far = server.accept_lazily(far, TASK_MANAGER);
    near.write_all(b"plain text").await.unwrap();
    for _ in 0..2 {
        let refused = far.read_u8().await.unwrap_err().to_string();
        assert!(refused.contains("doesn't speak TLS"), "{refused}");
    }
    assert!(far.write_all(b"x").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_refused_peer_that_sends_on_is_waited_for_a_second_and_no_longer() {
    let server = process(&authority(), Role::JobManager);
    let (mut near, far) = tokio::io::duplex(64);
    let accepting = tokio::spawn(async move { server.accept(far, TASK_MANAGER).await.map(drop) });
    near.write_all(b"plain text").await.unwrap();
    let within = tokio::time::timeout(Duration::from_secs(2), accepting).await;
    within.unwrap().unwrap().unwrap_err();
}
