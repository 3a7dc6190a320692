//! The connecting end: one connection to each TaskManager that tasks of this one send to.
//!
//! A connection is made when the first channel needs it and stays. Frames wait until it is there;
//! how many is bounded by the channels' credit, of which there is none before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::DEFAULT_FRAME_BYTES;
use super::flow::Flow;
use super::frame::{Frame, FrameError, FrameKind, credit_of, decode};
use super::frame_reader::FrameReader;
use super::hello::{self, HelloError, ProcessIdentity};
use super::link::Link;
use super::output::RemoteOutput;
use super::transport::{Connection, Transport};
use crate::channel::{ChannelId, WriterSignal};
use crate::error::NetworkError;

/// How connections are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// How long connecting and its hello may take, all attempts together.
    pub connect_timeout: Duration,
    /// Between two attempts.
    pub retry_delay: Duration,
    /// The largest payload of a frame in bytes.
    pub frame_bytes: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            retry_delay: Duration::from_millis(100),
            frame_bytes: DEFAULT_FRAME_BYTES,
        }
    }
}

/// Opens channels to other TaskManagers. Dropping it ends all its connections.
pub struct DataClient {
    transport: Arc<dyn Transport>,
    runtime: Handle,
    identity: ProcessIdentity,
    options: ClientOptions,
    links: Mutex<BTreeMap<String, (Arc<ClientLink>, AbortHandle)>>,
}

impl DataClient {
    /// A client whose connections are driven by `runtime`.
    pub fn new(
        transport: Arc<dyn Transport>,
        runtime: Handle,
        identity: ProcessIdentity,
        options: ClientOptions,
    ) -> Self {
        Self { transport, runtime, identity, options, links: Mutex::default() }
    }

    /// Ends the connection to a TaskManager that is known to be lost; its channels fail.
    pub fn disconnect(&self, address: &str) {
        if let Some((_, task)) = self.links.lock().remove(address) {
            task.abort();
        }
    }

    /// The sending end of a channel to the TaskManager at `address`. Doesn't wait: what goes wrong
    /// is told through `signal`.
    pub(crate) fn open(
        &self,
        address: &str,
        id: ChannelId,
        signal: Arc<WriterSignal>,
    ) -> RemoteOutput {
        let flow = Arc::new(Flow::new(id, signal));
        let mut links = self.links.lock();
        let existing = links.get(address).and_then(|(link, _)| link.open(id, &flow));
        let (link, number) = existing.unwrap_or_else(|| {
            let (link, number) = ClientLink::first(id, &flow);
            let task = self.runtime.spawn(drive(
                Guard { link: Arc::clone(&link), peer: address.to_owned() },
                Arc::clone(&self.transport),
                self.identity.clone(),
                self.options.clone(),
            ));
            links.insert(address.to_owned(), (Arc::clone(&link), task.abort_handle()));
            (link, number)
        });
        RemoteOutput::new(id, number, link, flow, self.options.frame_bytes)
    }
}

impl Drop for DataClient {
    fn drop(&mut self) {
        for (_, task) in self.links.get_mut().values() {
            task.abort();
        }
    }
}

impl std::fmt::Debug for DataClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataClient").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The channels of one connection.
pub(super) struct ClientLink {
    link: Arc<Link>,
    channels: Mutex<Channels>,
}

struct Channels {
    open: BTreeMap<u32, Arc<Flow>>,
    next: u32,
    ended: bool,
}

impl ClientLink {
    /// A link with one channel.
    fn first(id: ChannelId, flow: &Arc<Flow>) -> (Arc<Self>, u32) {
        let open = BTreeMap::from([(0, Arc::clone(flow))]);
        let channels = Mutex::new(Channels { open, next: 1, ended: false });
        let link = Arc::new(Self { link: Link::new(), channels });
        link.link.send(Frame::open(0, &id));
        (link, 0)
    }

    /// One more channel; none when the connection has ended or has no number left.
    fn open(self: &Arc<Self>, id: ChannelId, flow: &Arc<Flow>) -> Option<(Arc<Self>, u32)> {
        let mut channels = self.channels.lock();
        let number = channels.next;
        if channels.ended || number == u32::MAX {
            return None;
        }
        channels.next += 1;
        channels.open.insert(number, Arc::clone(flow));
        self.link.send(Frame::open(number, &id));
        Some((Arc::clone(self), number))
    }

    pub(super) fn send(&self, frame: Frame) {
        self.link.send(frame);
    }

    pub(super) fn close_channel(&self, number: u32) {
        self.channels.lock().open.remove(&number);
        self.link.send(Frame::close(number));
    }

    fn end(&self, error: &NetworkError) {
        self.link.close();
        let open = {
            let mut channels = self.channels.lock();
            channels.ended = true;
            std::mem::take(&mut channels.open)
        };
        for flow in open.into_values() {
            flow.fail(error.clone());
        }
    }

    fn received(&self, kind: FrameKind, channel: u32, payload: &[u8]) -> Result<(), FrameError> {
        // A channel that isn't open was closed by the task; the peer didn't know yet.
        let flow = self.channels.lock().open.get(&channel).cloned();
        match kind {
            FrameKind::Credit => {
                let bytes = credit_of(payload)?;
                if let Some(flow) = flow {
                    flow.granted(usize::try_from(bytes).unwrap_or(usize::MAX));
                }
            }
            FrameKind::Reject => {
                let why = decode(kind, payload)?;
                if let Some(flow) = flow {
                    flow.rejected(why);
                }
            }
            _ => return Err(FrameError::Unexpected(kind)),
        }
        Ok(())
    }
}

/// Fails the channels of a connection when its task is aborted.
struct Guard {
    link: Arc<ClientLink>,
    peer: String,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let reason = "it was ended here".into();
        self.link.end(&NetworkError::PartitionConnectionLost { peer: self.peer.clone(), reason });
    }
}

async fn drive(
    guard: Guard,
    transport: Arc<dyn Transport>,
    identity: ProcessIdentity,
    options: ClientOptions,
) {
    let peer = &guard.peer;
    let error = match connect(transport.as_ref(), peer, &identity, &options).await {
        Err(error) => error,
        Ok(connection) => {
            let reason = exchange(&guard.link, connection, options.frame_bytes).await;
            NetworkError::PartitionConnectionLost { peer: peer.clone(), reason: reason.into() }
        }
    };
    if guard.link.channels.lock().open.is_empty() {
        tracing::debug!(%peer, %error, "data connection ended without channels");
    } else {
        tracing::warn!(%peer, %error, "data connection ended");
    }
    guard.link.end(&error);
}

/// Tries until it works, the time is over, or the peer turns out to be the wrong one.
async fn connect(
    transport: &dyn Transport,
    peer: &str,
    identity: &ProcessIdentity,
    options: &ClientOptions,
) -> Result<Connection, NetworkError> {
    let last = Mutex::new(String::from("no answer"));
    let attempts = async {
        loop {
            match attempt(transport, peer, identity).await {
                Ok(connection) => return Ok(connection),
                Err(HelloError::Io(error)) => *last.lock() = error.to_string(),
                Err(HelloError::Silent) => *last.lock() = HelloError::Silent.to_string(),
                Err(error) => {
                    let (peer, reason) = (peer.to_owned(), error.to_string().into());
                    return Err(NetworkError::Refused { peer, reason });
                }
            }
            tokio::time::sleep(options.retry_delay).await;
        }
    };
    let within = options.connect_timeout;
    tokio::time::timeout(within, attempts).await.unwrap_or_else(|_| {
        let reason = last.lock().as_str().into();
        Err(NetworkError::ConnectFailed { peer: peer.to_owned(), within, reason })
    })
}

async fn attempt(
    transport: &dyn Transport,
    peer: &str,
    identity: &ProcessIdentity,
) -> Result<Connection, HelloError> {
    let mut connection = transport.connect(peer).await?;
    hello::write(&mut connection.writer, identity).await?;
    let theirs = hello::read(&mut connection.reader).await?;
    hello::check(&theirs, identity)?;
    Ok(connection)
}

/// Moves frames until the connection ends; gives the reason.
async fn exchange(link: &ClientLink, connection: Connection, frame_bytes: usize) -> String {
    let mut frames = FrameReader::new(connection.reader, frame_bytes);
    let read = async {
        loop {
            match frames.next().await {
                Ok(None) => return String::from("the peer closed it"),
                Err(error) => return error.to_string(),
                Ok(Some((header, payload))) => {
                    if let Err(error) = link.received(header.kind, header.channel, &payload) {
                        return error.to_string();
                    }
                }
            }
        }
    };
    let write = link.link.drive(connection.writer);
    tokio::select! {
        biased;
        reason = read => reason,
        Err(error) = write => error.to_string(),
    }
}
