//! The accepting end: the data port of a TaskManager.
//!
//! Whatever is sent to it, the worst that happens is that its own connection is closed with one
//! line in the log.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use super::DEFAULT_FRAME_BYTES;
use super::frame_reader::FrameReader;
use super::hello::{self, HelloError, ProcessIdentity};
use super::inbound::{Inbound, InboundLimits};
use super::link::Link;
use super::transport::{Connection, Listener, Transport};
use crate::registry::PartitionRegistry;

/// Bounds on what comes to the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// How long a peer may take to say who it is.
    pub handshake_timeout: Duration,
    /// The most connections at a time.
    pub connections_max: usize,
    /// The most channels of a connection.
    pub channels_max: usize,
    /// The largest payload of a frame in bytes.
    pub frame_bytes: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(5),
            connections_max: 4096,
            channels_max: 65_536,
            frame_bytes: DEFAULT_FRAME_BYTES,
        }
    }
}

/// After an accept that failed (too many open files, say), before the next one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening data port. Dropping it closes the port and all its connections.
#[derive(Debug)]
pub struct DataServer {
    port: u16,
    accept: AbortHandle,
}

impl DataServer {
    /// Listens at `address` (`host:port`, port 0 for any) and brings what comes in to the channels
    /// of `registry`. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// The port can't be had.
    pub async fn start(
        transport: &dyn Transport,
        address: &str,
        registry: Arc<PartitionRegistry>,
        identity: ProcessIdentity,
        options: ServerOptions,
    ) -> io::Result<Self> {
        let listener = transport.listen(address).await?;
        let port = listener.port();
        let accept = tokio::spawn(accept(listener, registry, identity, options)).abort_handle();
        Ok(Self { port, accept })
    }

    /// The port that it listens at.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for DataServer {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept(
    mut listener: Box<dyn Listener>,
    registry: Arc<PartitionRegistry>,
    identity: ProcessIdentity,
    options: ServerOptions,
) {
    let mut connections = JoinSet::new();
    loop {
        let connection = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "the data port cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if connections.len() >= options.connections_max {
            let (peer, limit) = (&connection.peer, options.connections_max);
            tracing::warn!(%peer, limit, "data connection refused: there are too many");
            continue;
        }
        connections.spawn(serve(
            connection,
            Arc::clone(&registry),
            identity.clone(),
            options.clone(),
        ));
    }
}

async fn serve(
    mut connection: Connection,
    registry: Arc<PartitionRegistry>,
    identity: ProcessIdentity,
    options: ServerOptions,
) {
    let peer = connection.peer.clone();
    let handshake = handshake(&mut connection, &identity);
    match tokio::time::timeout(options.handshake_timeout, handshake).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%peer, %error, "data connection refused");
            return;
        }
        Err(_) => {
            tracing::warn!(%peer, "data connection refused: it did not say in time who it is");
            return;
        }
    }
    let link = Link::new();
    let limits = InboundLimits { channels: options.channels_max, frame_bytes: options.frame_bytes };
    let mut inbound = Inbound::new(peer.clone(), registry, Arc::clone(&link), limits);
    let reason = {
        let read = read(connection.reader, &mut inbound, options.frame_bytes);
        let write = link.drive(connection.writer);
        tokio::select! {
            biased;
            reason = read => reason,
            Err(error) = write => error.to_string(),
        }
    };
    if inbound.has_channels() {
        tracing::warn!(%peer, %reason, "data connection ended");
    } else {
        tracing::debug!(%peer, %reason, "data connection ended without channels");
    }
    inbound.ended(&reason);
}

/// Hears the peer first, so that what isn't a peer hears nothing.
async fn handshake(
    connection: &mut Connection,
    identity: &ProcessIdentity,
) -> Result<(), HelloError> {
    let theirs = hello::read(&mut connection.reader).await?;
    hello::write(&mut connection.writer, identity).await?;
    hello::check(&theirs, identity)
}

/// Takes frames until the connection ends; gives the reason.
async fn read(
    reader: impl tokio::io::AsyncRead + Unpin,
    inbound: &mut Inbound,
    frame_bytes: usize,
) -> String {
    let mut frames = FrameReader::new(reader, frame_bytes);
    loop {
        match frames.next().await {
            Ok(None) => return String::from("the peer closed it"),
            Err(error) => return error.to_string(),
            Ok(Some((header, payload))) => {
                if let Err(error) = inbound.received(&header, payload) {
                    return error.to_string();
                }
            }
        }
    }
}
