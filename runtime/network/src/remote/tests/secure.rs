//! The same over mutual TLS, and who stays outside.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::clock::{Clock, SystemClock};
use thalweg_tls::issue::Authority;
use thalweg_tls::{CertificateIdentity, Pem, Role, Tls, Validity};
use tokio::runtime::Runtime;

use super::{identity, runtime, send_all, talk};
use crate::partitioner::Partitioner;
use crate::remote::{
    ClientOptions, DataClient, DataServer, ServerOptions, TcpTransport, TlsTransport, Transport,
};
use crate::testing::*;
use crate::{GateEvent, NetworkEnvironment, NetworkError, WriterOptions};

fn authority() -> Authority {
    Authority::generate(&named(Role::Operator), validity()).unwrap()
}

fn named(role: Role) -> CertificateIdentity {
    CertificateIdentity { namespace: "shop".to_owned(), application_uid: "1".to_owned(), role }
}

fn validity() -> Validity {
    let now = SystemClock::new().wall_ms() / 1000;
    Validity { not_before: now - 3600, not_after: now + 3600 }
}

fn secured(authority: &Authority, role: Role) -> Arc<dyn Transport> {
    let issued = authority.issue(&named(role), validity()).unwrap();
    let pem = Pem {
        certificate: issued.certificate.into_bytes(),
        key: issued.key.into_bytes(),
        authorities: authority.certificate().to_owned().into_bytes(),
    };
    let tls = Tls::from_pem(pem, role, Arc::new(SystemClock::new())).unwrap();
    Arc::new(TlsTransport::new(plain(), tls))
}

fn plain() -> Arc<dyn Transport> {
    Arc::new(TcpTransport::default())
}

fn sender(runtime: &Runtime, transport: Arc<dyn Transport>, within: u64) -> NetworkEnvironment {
    let options = ClientOptions { connect_timeout: ms(within), ..ClientOptions::default() };
    let client = DataClient::new(transport, runtime.handle().clone(), identity(), options);
    NetworkEnvironment::new("sender", registry(1 << 20), Some(client))
}

/// A process with a data port.
fn receiver(
    runtime: &Runtime,
    transport: &dyn Transport,
    channel_bytes: usize,
) -> (NetworkEnvironment, DataServer) {
    let registry = registry(channel_bytes);
    let options = ServerOptions::default();
    let start =
        DataServer::start(transport, "127.0.0.1:0", Arc::clone(&registry), identity(), options);
    let server = runtime.block_on(start).unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    (NetworkEnvironment::new(address, registry, None), server)
}

#[test]
fn rows_of_many_channels_arrive_complete_over_mutual_tls() {
    let runtime = runtime();
    let authority = authority();
    let (environment, _server) =
        receiver(&runtime, secured(&authority, Role::TaskManager).as_ref(), 200_000);
    let address = environment.address().to_owned();
    let (consumers, count) = (3, 60_000);
    let targets: Vec<_> = (0..consumers).map(|consumer| target(&address, 0, consumer)).collect();
    let sending = sender(&runtime, secured(&authority, Role::TaskManager), 10_000);
    let received = std::thread::scope(|scope| {
        let consume = |consumer| {
            let mut gate = gate(&environment, &[spec(0, consumer, 0)], 800, unparks_this_thread());
            let mut received = Vec::new();
            loop {
                match wait(&mut gate) {
                    GateEvent::Finished => return received,
                    event => received.extend(rows_of(&[event])),
                }
            }
        };
        let threads: Vec<_> =
            (0..consumers).map(|consumer| scope.spawn(move || consume(consumer))).collect();
        // The connection outlives its rows.
        let _sending = send_all(sending, 0, &targets, count);
        let each = threads.into_iter().map(|thread| thread.join().unwrap());
        each.flatten().collect::<Vec<Row>>()
    });
    let different: BTreeSet<Row> = received.iter().copied().collect();
    assert_eq!((received.len(), different.len()), (count as usize, count as usize));
}

/// What a process gets that connects like this.
fn refusal(runtime: &Runtime, address: &str, transport: Arc<dyn Transport>) -> String {
    let environment = sender(runtime, transport, 600);
    let targets = [target(address, 0, 0)];
    let waker = unparks_this_thread();
    let writer =
        writer(&environment, Partitioner::Forward, &targets, WriterOptions::default(), waker);
    while writer.check().is_ok() {
        std::thread::park_timeout(Duration::from_secs(60));
    }
    let error = writer.check().unwrap_err();
    assert!(matches!(error, NetworkError::ConnectFailed { .. }), "{error}");
    error.to_string()
}

#[test]
fn who_is_no_task_manager_of_the_application_sends_and_gets_no_rows() {
    let runtime = runtime();
    let (ours, foreign) = (authority(), authority());
    let task_manager = secured(&ours, Role::TaskManager);
    let (environment, server) = receiver(&runtime, task_manager.as_ref(), 10_000);
    let address = environment.address().to_owned();
    for (transport, part) in [
        (secured(&ours, Role::JobManager), "doesn't trust this process's certificate"),
        (secured(&ours, Role::Operator), "doesn't trust this process's certificate"),
        (secured(&foreign, Role::TaskManager), "wasn't issued by a CA in ca.crt"),
        (plain(), ""),
    ] {
        let said = refusal(&runtime, &address, transport);
        assert!(said.contains(part), "{part}: {said}");
    }
    let mut hello = Vec::new();
    runtime.block_on(crate::remote::hello::write(&mut hello, &identity())).unwrap();
    let answer = talk(server.port(), &hello);
    assert!(!answer.starts_with(b"THALWEGD"), "it was answered in plain text");

    // And what a TaskManager leaves.
    let (environment, _server) = receiver(&runtime, plain().as_ref(), 10_000);
    let said = refusal(&runtime, environment.address(), Arc::clone(&task_manager));
    assert!(said.contains("security.ssl.internal.enabled"), "{said}");
    let job_manager = secured(&ours, Role::JobManager);
    let (environment, _server) = receiver(&runtime, job_manager.as_ref(), 10_000);
    let said = refusal(&runtime, environment.address(), task_manager);
    assert!(said.contains("only taskmanager belongs"), "{said}");
}
