//! Another transport's streams made secure: TaskManagers connect, and a JobManager is what they
//! connect to; whoever else it is is refused. A connection that comes in shakes hands when it is
//! first read, within the time that the listener gives it. Not here: certificates (`thalweg-tls`).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use thalweg_tls::{Role, Tls};

use crate::transport::{ByteStream, Listener, Transport};

/// Mutual TLS over another transport.
#[derive(Debug)]
pub struct TlsTransport {
    inner: Arc<dyn Transport>,
    tls: Tls,
}

impl TlsTransport {
    /// Over `inner`.
    pub fn new(inner: Arc<dyn Transport>, tls: Tls) -> Self {
        Self { inner, tls }
    }
}

impl Transport for TlsTransport {
    fn connect(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let (connecting, tls) = (self.inner.connect(address), self.tls.clone());
        Box::pin(async move {
            let stream = tls.connect(connecting.await?, &[Role::JobManager]).await?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }

    fn bind(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (binding, tls) = (self.inner.bind(address), self.tls.clone());
        Box::pin(async move {
            Ok(Box::new(TlsListener { inner: binding.await?, tls }) as Box<dyn Listener>)
        })
    }
}

struct TlsListener {
    inner: Box<dyn Listener>,
    tls: Tls,
}

impl Listener for TlsListener {
    fn local_address(&self) -> io::Result<SocketAddr> {
        self.inner.local_address()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn ByteStream>, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.inner.accept().await?;
            let stream = self.tls.accept_lazily(stream, &[Role::TaskManager]);
            Ok((Box::new(stream) as Box<dyn ByteStream>, peer))
        })
    }
}

#[cfg(test)]
mod tests;
