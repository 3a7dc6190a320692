//! Byte streams between processes, behind a trait: TCP in production, a simulated network in
//! tests, TLS around either (`tls_transport`). Not here: what the bytes mean.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A connection: bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// Makes and accepts connections.
pub trait Transport: Debug + Send + Sync + 'static {
    /// Connects to `host:port`.
    fn connect(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>>;
    /// Listens on `host:port`; port 0 is any free one.
    fn bind(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;
}

/// Waits for connections.
pub trait Listener: Send + 'static {
    /// Where it listens.
    fn local_address(&self) -> io::Result<SocketAddr>;
    /// The next connection and the peer's address, for people.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn ByteStream>, String)>>;
}

/// TCP, with Nagle's algorithm off.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpTransport;

impl Transport for TcpTransport {
    fn connect(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }

    fn bind(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(&address).await?;
            Ok(Box::new(BoundTcp(listener)) as Box<dyn Listener>)
        })
    }
}

struct BoundTcp(TcpListener);

impl Listener for BoundTcp {
    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn ByteStream>, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Box<dyn ByteStream>, peer.to_string()))
        })
    }
}
