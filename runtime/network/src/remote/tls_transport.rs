//! Another transport's connections made secure: TaskManagers of one application connect to each
//! other, and nobody else does. A connection that comes in shakes hands when it is first read,
//! within the time that the data port gives it. Not here: certificates (`thalweg-tls`).

use std::io;
use std::sync::Arc;

use thalweg_tls::{Role, SecureStream, Tls};
use tokio::io::{AsyncRead, AsyncWrite, Join, join, split};

use super::transport::{BoxFuture, Connection, Listener, Transport};

const PEERS: &[Role] = &[Role::TaskManager];

/// Mutual TLS over another transport.
pub struct TlsTransport {
    inner: Arc<dyn Transport>,
    tls: Tls,
}

impl std::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTransport").finish_non_exhaustive()
    }
}

impl TlsTransport {
    /// Over `inner`.
    pub fn new(inner: Arc<dyn Transport>, tls: Tls) -> Self {
        Self { inner, tls }
    }
}

impl Transport for TlsTransport {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            let (stream, peer) = joined(self.inner.connect(address).await?);
            Ok(connection(self.tls.connect(stream, PEERS).await?, peer))
        })
    }

    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let inner = self.inner.listen(address).await?;
            Ok(Box::new(TlsListener { inner, tls: self.tls.clone() }) as Box<dyn Listener>)
        })
    }
}

struct TlsListener {
    inner: Box<dyn Listener>,
    tls: Tls,
}

impl Listener for TlsListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            let (stream, peer) = joined(self.inner.accept().await?);
            Ok(connection(self.tls.accept_lazily(stream, PEERS), peer))
        })
    }

    fn port(&self) -> u16 {
        self.inner.port()
    }
}

/// Both directions of a connection as one stream.
type Joined = Join<Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>>;

fn joined(connection: Connection) -> (Joined, String) {
    (join(connection.reader, connection.writer), connection.peer)
}

fn connection(stream: SecureStream<Joined>, peer: String) -> Connection {
    let (reader, writer) = split(stream);
    Connection { reader: Box::new(reader), writer: Box::new(writer), peer }
}
