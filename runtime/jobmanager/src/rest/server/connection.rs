//! Bounds on connections: so many at a time, and none that stays silent for long. Without them a
//! slow or forgetful client could take the JobManager's last file descriptor.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// How many connections are open at a time; further ones wait in the system's queue.
pub(super) const CONNECTIONS_MAX: usize = 256;
/// How long a connection may wait for its client, within a request or between two.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A listener that hands out a bounded number of connections.
pub(super) struct LimitedListener {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl LimitedListener {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }

    /// The next connection and its place, once there is one.
    pub(super) async fn next(&mut self) -> (TcpStream, SocketAddr, Place) {
        // The semaphore is never closed, so there is always a permit in the end.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        // axum's own accept: it waits and goes on when the system is out of descriptors.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Fails only for a connection that is gone already; the first read will tell.
        let _ = stream.set_nodelay(true);
        (stream, address, permit)
    }
}

/// One of the connections that may be open at a time.
pub(super) type Place = Option<OwnedSemaphorePermit>;

impl Listener for LimitedListener {
    type Io = Connection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection<TcpStream>, SocketAddr) {
        let (stream, address, place) = self.next().await;
        (Connection::new(stream, place), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that holds its place and ends when nothing moves on it.
pub(super) struct Connection<S> {
    stream: S,
    silence: Pin<Box<Sleep>>,
    _place: Place,
}

impl<S> Connection<S> {
    pub(super) fn new(stream: S, place: Place) -> Self {
        Self { stream, silence: Box::pin(sleep(SILENCE_MAX)), _place: place }
    }

    /// Something moved, or the silence has lasted too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        moved: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
            return moved;
        }
        ready!(self.silence.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, moved)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, moved)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.watch(context, moved)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
