//! Where streams of bytes between processes come from: TCP, the simulation's network, TLS around
//! either (`tls_transport`).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A future behind a pointer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stream of bytes in both directions.
pub struct Connection {
    /// What comes from the peer.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What goes to the peer.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// The peer's address, for people.
    pub peer: String,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Makes connections.
pub trait Transport: Send + Sync + 'static {
    /// Connects to `host:port`. Tries once.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Connection>>;
    /// Listens at `host:port`; port 0 takes any that is free.
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;
}

/// Accepts connections.
pub trait Listener: Send {
    /// The next connection.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>>;
    /// The port that it listens at.
    fn port(&self) -> u16;
}

/// Questions that stay unanswered before a silent peer counts as gone.
const PROBES: u32 = 3;

/// TCP, without delaying small frames.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpTransport {
    /// A connection whose peer hasn't answered for about this long breaks, whether or not there
    /// is anything to send; at least some seconds are useful. None: the system decides, which
    /// takes it a quarter of an hour or for ever.
    pub silence_max: Option<Duration>,
}

impl Transport for TcpTransport {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Connection>> {
        let this = *self;
        Box::pin(
            async move { this.connection(TcpStream::connect(address).await?, address.to_owned()) },
        )
    }

    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        let transport = *self;
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            let port = listener.local_addr()?.port();
            Ok(Box::new(TcpAcceptor { transport, listener, port }) as Box<dyn Listener>)
        })
    }
}

impl TcpTransport {
    fn connection(&self, stream: TcpStream, peer: String) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        if let Some(silence) = self.silence_max {
            break_when_silent(&SockRef::from(&stream), silence)?;
        }
        let (reader, writer) = stream.into_split();
        Ok(Connection { reader: Box::new(reader), writer: Box::new(writer), peer })
    }
}

/// Two limits: keep-alive where nothing is on its way, the other where bytes wait to be
/// acknowledged.
fn break_when_silent(socket: &SockRef<'_>, silence: Duration) -> io::Result<()> {
    let pause = (silence / (PROBES + 1)).max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new().with_time(pause).with_interval(pause).with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(silence))?;
    Ok(())
}

struct TcpAcceptor {
    transport: TcpTransport,
    listener: TcpListener,
    port: u16,
}

impl Listener for TcpAcceptor {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            self.transport.connection(stream, peer.to_string())
        })
    }

    fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_asks_its_silent_peer_and_breaks_within_the_limit() {
        let socket = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )
        .unwrap();
        break_when_silent(&SockRef::from(&socket), Duration::from_secs(12)).unwrap();
        assert!(socket.keepalive().unwrap());
        let first = socket.tcp_keepalive_time().unwrap();
        let between = socket.tcp_keepalive_interval().unwrap();
        let probes = socket.tcp_keepalive_retries().unwrap();
        assert_eq!(first + between * probes, Duration::from_secs(12));
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(12)));
    }
}
