//! One connection as messages: a bounded sender and a receiver. Between processes two small tasks
//! move frames between the stream and the queues; within one process the queues are all there is.
//! Not here: what to do when a message doesn't get through; the messages' rules make that safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use crate::frame::{self, MESSAGE_BYTES_MAX};
use crate::transport::ByteStream;

/// How many messages wait in one direction of a link at most.
pub const QUEUE_MESSAGES_MAX: usize = 1024;
/// How many bytes of messages wait to be written at most.
pub const QUEUE_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// Why a message wasn't taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The peer doesn't keep up; the message is lost unless it is sent again.
    #[error("the peer doesn't keep up: its queue is full")]
    Full,
    /// The connection is gone.
    #[error("the connection is closed")]
    Closed,
    /// It can never be sent.
    #[error("{0}")]
    TooLarge(String),
}

/// Why no more messages come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer closed the connection, or reset it: its process has ended, or wanted another one.
    #[error("the peer closed the connection")]
    Closed,
    /// The connection broke, and nothing is known of the peer.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// What came isn't a message; the connection was closed.
    #[error("what came isn't a message of this protocol: {0}")]
    Garbage(String),
}

/// Both directions of a connection: `O` is sent, `I` is received.
#[derive(Debug)]
pub struct Link<O, I> {
    /// Sends.
    pub sender: LinkSender<O>,
    /// Receives.
    pub receiver: LinkReceiver<I>,
}

/// The sending side. Clones share the queue; the connection closes after the last is dropped.
#[derive(Debug)]
pub struct LinkSender<O> {
    queue: Queue<O>,
}

#[derive(Debug)]
enum Queue<O> {
    InProcess(mpsc::Sender<O>),
    Stream { frames: mpsc::Sender<Bytes>, queued_bytes: Arc<AtomicUsize> },
}

impl<O> Clone for LinkSender<O> {
    fn clone(&self) -> Self {
        let queue = match &self.queue {
            Queue::InProcess(sender) => Queue::InProcess(sender.clone()),
            Queue::Stream { frames, queued_bytes } => {
                Queue::Stream { frames: frames.clone(), queued_bytes: Arc::clone(queued_bytes) }
            }
        };
        Self { queue }
    }
}

impl<O: Serialize> LinkSender<O> {
    /// Queues a message without waiting.
    pub fn try_send(&self, message: O) -> Result<(), SendError> {
        match &self.queue {
            Queue::InProcess(sender) => sender.try_send(message).map_err(|e| match e {
                TrySendError::Full(_) => SendError::Full,
                TrySendError::Closed(_) => SendError::Closed,
            }),
            Queue::Stream { frames, queued_bytes } => {
                let bytes =
                    frame::encode(&message).map_err(|e| SendError::TooLarge(e.to_string()))?;
                let length = bytes.len();
                if queued_bytes.load(Ordering::Relaxed) + length > QUEUE_BYTES_MAX {
                    return Err(SendError::Full);
                }
                queued_bytes.fetch_add(length, Ordering::Relaxed);
                frames.try_send(bytes).map_err(|e| {
                    queued_bytes.fetch_sub(length, Ordering::Relaxed);
                    match e {
                        TrySendError::Full(_) => SendError::Full,
                        TrySendError::Closed(_) => SendError::Closed,
                    }
                })
            }
        }
    }

    /// Whether the connection is known to be gone.
    pub fn is_closed(&self) -> bool {
        match &self.queue {
            Queue::InProcess(sender) => sender.is_closed(),
            Queue::Stream { frames, .. } => frames.is_closed(),
        }
    }
}

/// The receiving side.
#[derive(Debug)]
pub struct LinkReceiver<I> {
    queue: mpsc::Receiver<Result<I, LinkError>>,
    in_process: Option<mpsc::Receiver<I>>,
}

impl<I> LinkReceiver<I> {
    /// The next message. After an error there are no more. Safe to cancel.
    pub async fn receive(&mut self) -> Result<I, LinkError> {
        match &mut self.in_process {
            Some(queue) => queue.recv().await.ok_or(LinkError::Closed),
            None => self.queue.recv().await.unwrap_or(Err(LinkError::Closed)),
        }
    }
}

/// The two ends of a connection within one process.
pub fn in_process<A, B>() -> (Link<A, B>, Link<B, A>) {
    let (to_b, from_a) = mpsc::channel(QUEUE_MESSAGES_MAX);
    let (to_a, from_b) = mpsc::channel(QUEUE_MESSAGES_MAX);
    (local_link(to_b, from_b), local_link(to_a, from_a))
}

fn local_link<O, I>(sender: mpsc::Sender<O>, receiver: mpsc::Receiver<I>) -> Link<O, I> {
    let (_, unused) = mpsc::channel(1);
    Link {
        sender: LinkSender { queue: Queue::InProcess(sender) },
        receiver: LinkReceiver { queue: unused, in_process: Some(receiver) },
    }
}

/// A link over a stream on which the handshake has succeeded.
pub(crate) fn over_stream<O, I>(
    stream: Box<dyn ByteStream>,
    peer: String,
    runtime: &Handle,
) -> Link<O, I>
where
    O: Serialize,
    I: DeserializeOwned + Send + 'static,
{
    let (read, write) = tokio::io::split(stream);
    let (frames, outgoing) = mpsc::channel(QUEUE_MESSAGES_MAX);
    let (incoming, queue) = mpsc::channel(QUEUE_MESSAGES_MAX);
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    runtime.spawn(write_frames(write, outgoing, Arc::clone(&queued_bytes)));
    runtime.spawn(read_frames(read, incoming, peer));
    Link {
        sender: LinkSender { queue: Queue::Stream { frames, queued_bytes } },
        receiver: LinkReceiver { queue, in_process: None },
    }
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(MESSAGE_BYTES_MAX).new_codec()
}

async fn write_frames(
    write: WriteHalf<Box<dyn ByteStream>>,
    mut outgoing: mpsc::Receiver<Bytes>,
    queued_bytes: Arc<AtomicUsize>,
) {
    let mut sink = FramedWrite::new(write, codec());
    while let Some(frame) = outgoing.recv().await {
        let length = frame.len();
        if sink.send(frame).await.is_err() {
            return;
        }
        queued_bytes.fetch_sub(length, Ordering::Relaxed);
    }
    // The peer reads the end of the stream; an error here means that it already has.
    let _ = sink.into_inner().shutdown().await;
}

async fn read_frames<I: DeserializeOwned>(
    read: ReadHalf<Box<dyn ByteStream>>,
    incoming: mpsc::Sender<Result<I, LinkError>>,
    peer: String,
) {
    let mut stream = FramedRead::new(read, codec());
    loop {
        let next = tokio::select! {
            biased;
            next = stream.next() => next,
            () = incoming.closed() => return,
        };
        let error = match next {
            None => LinkError::Closed,
            Some(Err(e)) if e.kind() == std::io::ErrorKind::InvalidData => {
                LinkError::Garbage(format!("a frame is over {MESSAGE_BYTES_MAX} bytes"))
            }
            Some(Err(e)) if is_by_peer(&e) => LinkError::Closed,
            Some(Err(e)) => LinkError::Broken(e.to_string()),
            Some(Ok(frame)) => match frame::decode(&frame) {
                Ok(message) => {
                    if incoming.send(Ok(message)).await.is_err() {
                        return;
                    }
                    continue;
                }
                Err(e) => LinkError::Garbage(e.to_string()),
            },
        };
        if let LinkError::Garbage(_) = &error {
            tracing::warn!(peer, "RPC connection closed: {error}");
        }
        // Nobody waits for it any more if this fails.
        let _ = incoming.send(Err(error)).await;
        return;
    }
}

/// Whether the peer's machine has said that the connection is over. A process that is killed with
/// bytes unread resets its connections; one that is killed while it writes ends within a frame,
/// which the codec reports as an error of no system call.
fn is_by_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, Other, UnexpectedEof,
    };
    match error.kind() {
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => true,
        Other => error.raw_os_error().is_none(),
        _ => false,
    }
}
