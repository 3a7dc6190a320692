//! A secure connection as a stream of bytes. One that was accepted may still have to shake hands,
//! which it does when it is first used.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::handshake::explained;

type Opening<S> = Pin<Box<dyn Future<Output = io::Result<TlsStream<S>>> + Send>>;

/// Bytes that nobody else reads, to and from somebody who is known.
pub struct SecureStream<S> {
    state: State<S>,
}

enum State<S> {
    Opening(Opening<S>),
    Open(Box<TlsStream<S>>),
    /// As it failed; it is told to each further use.
    Failed(io::ErrorKind, String),
}

impl<S> std::fmt::Debug for SecureStream<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.state {
            State::Opening(_) => "opening",
            State::Open(_) => "open",
            State::Failed(..) => "failed",
        };
        f.debug_tuple("SecureStream").field(&state).finish()
    }
}

impl<S> SecureStream<S> {
    pub(crate) fn open(stream: TlsStream<S>) -> Self {
        Self { state: State::Open(Box::new(stream)) }
    }

    pub(crate) fn lazy(opening: Opening<S>) -> Self {
        Self { state: State::Opening(opening) }
    }

    pub(crate) fn into_open(self) -> io::Result<TlsStream<S>> {
        match self.state {
            State::Open(stream) => Ok(*stream),
            State::Opening(_) => Err(io::ErrorKind::NotConnected.into()),
            State::Failed(kind, text) => Err(io::Error::new(kind, text)),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> SecureStream<S> {
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut TlsStream<S>>>> {
        if let State::Opening(opening) = &mut self.state {
            self.state = match ready!(opening.as_mut().poll(context)) {
                Ok(stream) => State::Open(Box::new(stream)),
                Err(error) => State::Failed(error.kind(), error.to_string()),
            };
        }
        Poll::Ready(match &mut self.state {
            State::Open(stream) => Ok(Pin::new(stream.as_mut())),
            State::Failed(kind, text) => Err(io::Error::new(*kind, text.clone())),
            State::Opening(_) => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for SecureStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = ready!(self.poll_open(context))?;
        stream.poll_read(context, buffer).map_err(explained)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for SecureStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = ready!(self.poll_open(context))?;
        stream.poll_write(context, bytes).map_err(explained)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = ready!(self.poll_open(context))?;
        stream.poll_write_vectored(context, buffers).map_err(explained)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?.poll_flush(context).map_err(explained)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?.poll_shutdown(context).map_err(explained)
    }
}
