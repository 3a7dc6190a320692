//! The JobManager's side: accepts connections, shakes hands, hands out links. What can't be
//! accepted is told why and closed with one warning; nothing else is disturbed. A JobManager that
//! takes nobody, as it doesn't lead, goes on answering: TaskManagers beyond those that wait for it
//! are told to come again.
//! Not here: who may register; that is the ResourceManager's decision.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::handshake::{self, HandshakeError, Identity, Visit};
use crate::leader::LeaderView;
use crate::link::{self, Link};
use crate::message::{ToJobManager, ToTaskManager};
use crate::transport::{ByteStream, Listener, Transport};

/// How long a connection may take to shake hands.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many connections may be shaking hands at a time; others wait to be accepted.
const HANDSHAKES_MAX: usize = 64;
/// How many TaskManagers may wait for being taken.
const WAITING_MAX: usize = 64;
/// How long, and for how many bytes, a refused peer's connection is kept for it to read why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 64 << 10;
/// Pause after `accept` failed (out of file descriptors, for instance), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A TaskManager that has connected.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub link: Link<ToTaskManager, ToJobManager>,
    /// Its address, for people.
    pub peer: String,
}

/// Gives new connections, of the network and of this process.
#[derive(Debug)]
pub struct Acceptor {
    accepted: mpsc::Receiver<Accepted>,
}

/// Passes new connections to an [`Acceptor`].
#[derive(Debug, Clone)]
pub struct AcceptorSender(pub(crate) mpsc::Sender<Accepted>);

/// An acceptor and what feeds it: [`listen`] for the network, [`crate::Connector::InProcess`] for
/// TaskManagers of this process.
pub fn accept_channel() -> (AcceptorSender, Acceptor) {
    let (sender, accepted) = mpsc::channel(WAITING_MAX);
    (AcceptorSender(sender), Acceptor { accepted })
}

impl Acceptor {
    /// The next connection; None once nothing feeds it any more. Safe to cancel.
    pub async fn accept(&mut self) -> Option<Accepted> {
        self.accepted.recv().await
    }
}

/// Who listens.
#[derive(Debug, Clone)]
pub struct ListenerIdentity {
    /// The process.
    pub identity: Identity,
    /// What those are told who ask who leads.
    pub leader: LeaderView,
}

impl From<Identity> for ListenerIdentity {
    /// One that knows of no leader.
    fn from(identity: Identity) -> Self {
        Self { identity, leader: LeaderView::default() }
    }
}

/// Listens on `address` and passes connections on until the acceptor is dropped. Gives the
/// address that it listens on.
///
/// # Errors
/// It can't be listened there.
pub async fn listen(
    transport: &dyn Transport,
    address: &str,
    identity: impl Into<ListenerIdentity>,
    accepted: AcceptorSender,
    runtime: &Handle,
) -> io::Result<SocketAddr> {
    let identity = identity.into();
    let listener = transport.bind(address.to_owned()).await?;
    let bound = listener.local_address()?;
    runtime.spawn(accept_all(listener, identity, accepted, runtime.clone()));
    Ok(bound)
}

async fn accept_all(
    mut listener: Box<dyn Listener>,
    identity: ListenerIdentity,
    accepted: AcceptorSender,
    runtime: Handle,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let connection = tokio::select! {
            biased;
            connection = listener.accept() => connection,
            () = accepted.0.closed() => return,
        };
        match connection {
            Ok((stream, peer)) => {
                let (accepted, handle) = (accepted.clone(), runtime.clone());
                let identity = identity.clone();
                runtime.spawn(async move {
                    shake(stream, peer, identity, accepted, handle).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("the RPC port can't accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Ends our side and reads what the peer still sends, within bounds: closing with bytes unread
/// would reset the connection, and the peer might never see why it was refused.
async fn linger(mut stream: Box<dyn ByteStream>) {
    if stream.shutdown().await.is_ok() {
        // How it ends doesn't matter: it is closed now.
        let _ = tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await;
    }
}

async fn shake(
    mut stream: Box<dyn ByteStream>,
    peer: String,
    identity: ListenerIdentity,
    accepted: AcceptorSender,
    runtime: Handle,
) {
    let seen = identity.leader.now();
    // Kept before the welcome: nothing here waits for whoever takes connections.
    let place = || accepted.0.try_reserve_owned().ok();
    let handshake = handshake::welcome(stream.as_mut(), identity.identity, &seen, place);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(Visit::Asked)) => drop(tokio::time::timeout(LINGER, linger(stream)).await),
        Ok(Ok(Visit::TaskManager(place))) => {
            let link = link::over_stream(stream, peer.clone(), &runtime);
            place.send(Accepted { link, peer });
        }
        Ok(Err(error @ HandshakeError::Later(_))) => {
            // It comes again and again.
            tracing::debug!(peer, "RPC connection refused: {error}");
            let _ = tokio::time::timeout(LINGER, linger(stream)).await;
        }
        Ok(Err(HandshakeError::Io(error))) if error.kind() == io::ErrorKind::UnexpectedEof => {
            // Port scans and health checks connect and say nothing.
            tracing::debug!(peer, "an RPC connection was closed before its handshake");
        }
        Ok(Err(error)) => {
            tracing::warn!(peer, "RPC connection refused: {error}");
            let _ = tokio::time::timeout(LINGER, linger(stream)).await;
        }
        Err(_) => tracing::warn!(
            peer,
            "RPC connection closed: no handshake within {} s",
            HANDSHAKE_TIMEOUT.as_secs()
        ),
    }
}
