//! Binding and ending.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::client::TableGateway;
use super::facts::cluster;
use crate::rest::{PortRule, RestServer};

#[tokio::test]
async fn a_named_port_in_use_is_an_error_that_names_the_key_and_the_remedy() {
    let first = RestServer::bind("127.0.0.1", &PortRule::Exactly(0)).await.unwrap();
    let port = first.local_address().port();
    let error = RestServer::bind("127.0.0.1", &PortRule::Exactly(port)).await.unwrap_err();
    let text = error.to_string();
    for part in [&format!("127.0.0.1:{port}"), "rest.port", "0 for any", "in use"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn the_first_free_port_of_a_range_is_taken_and_a_full_range_is_an_error() {
    let taken = RestServer::bind("127.0.0.1", &PortRule::Exactly(0)).await.unwrap();
    let port = taken.local_address().port();
    let rule = PortRule::FirstFreeOf(port..=port.saturating_add(200));
    let next = RestServer::bind("127.0.0.1", &rule).await.unwrap();
    assert!(next.local_address().port() > port);
    let full = PortRule::FirstFreeOf(port..=port);
    let error = RestServer::bind("127.0.0.1", &full).await.unwrap_err().to_string();
    assert!(error.contains("rest.port") && error.contains(&port.to_string()), "{error}");
}

#[tokio::test]
async fn an_address_of_another_machine_is_an_error_that_names_the_key() {
    let rule = PortRule::Exactly(0);
    let error = RestServer::bind("192.0.2.1", &rule).await.unwrap_err().to_string();
    assert!(error.contains("192.0.2.1"), "{error}");
    let error = RestServer::bind("no host", &rule).await.unwrap_err().to_string();
    assert!(error.contains("rest.bind-host"), "{error}");
}

#[tokio::test]
async fn the_server_ends_when_told_even_with_an_idle_connection() {
    let gateway = Arc::new(TableGateway {
        now_ms: 0.into(),
        cluster: Arc::new(cluster()),
        commands: Mutex::default(),
        failure: Mutex::default(),
        disposals: Mutex::default(),
    });
    let server = RestServer::bind("localhost", &PortRule::Exactly(0)).await.unwrap();
    let address = server.local_address();
    let (shutdown, told) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(gateway, async move { _ = told.await }));
    // A kept-alive connection that has had one answer.
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /jobs HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    shutdown.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), serving).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
