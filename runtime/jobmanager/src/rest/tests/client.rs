//! A served table of facts, and an HTTP client of one request per connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use thalweg_core::ids::{JobVertexId, TriggerId};
use thalweg_tls::Tls;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::endpoint::CheckpointCommand;
use crate::rest::model::{ClusterFacts, JobFacts, OperationOutcome};
use crate::rest::{PortRule, RestFailure, RestGateway, RestReply, RestServer};

/// A JobManager that is a table, and remembers what it was told to do.
pub(super) struct TableGateway {
    pub(super) now_ms: AtomicI64,
    pub(super) cluster: Arc<ClusterFacts>,
    pub(super) commands: Mutex<Vec<String>>,
    pub(super) failure: Mutex<Option<RestFailure>>,
    pub(super) disposals: Mutex<BTreeMap<TriggerId, OperationOutcome>>,
}

impl TableGateway {
    pub(super) fn new(cluster: ClusterFacts) -> Arc<Self> {
        Arc::new(Self {
            now_ms: AtomicI64::new(0),
            cluster: Arc::new(cluster),
            commands: Mutex::default(),
            failure: Mutex::default(),
            disposals: Mutex::default(),
        })
    }

    fn command(&self, command: String) -> RestReply {
        self.commands.lock().push(command);
        let failure = self.failure.lock().clone();
        Box::pin(async move { failure.map_or(Ok(()), Err) })
    }
}

impl RestGateway for TableGateway {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn cluster(&self) -> Arc<ClusterFacts> {
        Arc::clone(&self.cluster)
    }

    fn job(&self, job_id: &str) -> Option<Arc<JobFacts>> {
        self.cluster.jobs.iter().find(|job| job.id == job_id).map(Arc::clone)
    }

    fn cancel(&self, job_id: &str) -> RestReply {
        self.command(format!("cancel {job_id}"))
    }

    fn checkpoint(&self, job_id: &str, command: CheckpointCommand) -> RestReply<TriggerId> {
        let answer = command.trigger.unwrap_or(TriggerId::new(5));
        let taken = self.command(format!("{:?} of {job_id}", command.kind));
        Box::pin(async move { taken.await.map(|()| answer) })
    }

    fn rescale(
        &self,
        job_id: &str,
        trigger: Option<TriggerId>,
        parallelism: BTreeMap<JobVertexId, u32>,
    ) -> RestReply<TriggerId> {
        let parallelism: Vec<String> =
            parallelism.iter().map(|(vertex, of)| format!("{vertex}={of}")).collect();
        let taken = self.command(format!("rescale {} of {job_id}", parallelism.join(",")));
        Box::pin(async move { taken.await.map(|()| trigger.unwrap_or(TriggerId::new(6))) })
    }

    fn dispose(&self, path: String, trigger: Option<TriggerId>) -> RestReply<TriggerId> {
        let taken = self.command(format!("dispose {path}"));
        Box::pin(async move { taken.await.map(|()| trigger.unwrap_or(TriggerId::new(7))) })
    }

    fn disposal(&self, trigger: TriggerId) -> Option<OperationOutcome> {
        self.disposals.lock().get(&trigger).cloned()
    }

    fn outcome_read(&self, trigger: TriggerId) {
        self.commands.lock().push(format!("read {trigger}"));
    }

    fn shut_down(&self) -> RestReply {
        self.command("shut down".to_owned())
    }
}

/// A served gateway.
pub(super) struct Api {
    pub(super) gateway: Arc<TableGateway>,
    pub(super) address: SocketAddr,
    _shutdown: oneshot::Sender<()>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: String,
    pub(super) body: Value,
}

impl Answer {
    /// The first line of the first error.
    pub(super) fn error(&self) -> &str {
        self.body["errors"][0].as_str().unwrap().lines().next().unwrap()
    }
}

impl Api {
    pub(super) async fn serve(cluster: ClusterFacts) -> Self {
        Self::serve_secured(cluster, None).await
    }

    pub(super) async fn serve_secured(cluster: ClusterFacts, tls: Option<Tls>) -> Self {
        let gateway = TableGateway::new(cluster);
        let server = RestServer::bind("127.0.0.1", &PortRule::Exactly(0)).await.unwrap();
        let server = server.secured(tls);
        let address = server.local_address();
        let (shutdown, told) = oneshot::channel::<()>();
        let served = Arc::clone(&gateway);
        tokio::spawn(server.serve(served, async move { _ = told.await }));
        Self { gateway, address, _shutdown: shutdown }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "").await
    }

    /// `headers` are lines that each end with CR LF.
    pub(super) async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        send(self.address, method, path, headers, body).await
    }
}

/// One request; `headers` are lines that each end with CR LF.
pub(super) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\
         {headers}\r\n{body}",
        body.len()
    );
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, &request).await
}

/// One request and its answer, on a connection that ends with it.
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &str,
) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (headers, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: headers.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.to_ascii_lowercase(),
        body: serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")),
    }
}
