//! One port for both: the first byte of a connection tells TLS from plain text. Who shakes hands
//! slowly keeps nobody else waiting. Not here: what a caller may do ([`crate::rest::access`]).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use thalweg_rpc::ByteStream;
use thalweg_tls::Tls;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::connection::{CONNECTIONS_MAX, Connection, LimitedListener, Place, SILENCE_MAX};
use crate::rest::access::{Caller, TRUSTED};

/// How a TLS connection begins, and no request in plain text does.
const HANDSHAKE: u8 = 0x16;
/// How long shaking hands may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

type Opened = (Connection<Box<dyn ByteStream>>, Caller);

/// Hands out connections with who is at their other end.
pub(super) struct SecuredListener {
    opened: mpsc::Receiver<Opened>,
    address: io::Result<SocketAddr>,
    accepting: AbortHandle,
}

impl SecuredListener {
    pub(super) fn new(listener: TcpListener, tls: Tls) -> Self {
        let address = listener.local_addr();
        let (sender, opened) = mpsc::channel(CONNECTIONS_MAX);
        let accepting = tokio::spawn(accept_all(LimitedListener::new(listener), tls, sender));
        Self { opened, address, accepting: accepting.abort_handle() }
    }
}

impl Drop for SecuredListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for SecuredListener {
    type Io = Connection<Box<dyn ByteStream>>;
    type Addr = Caller;

    async fn accept(&mut self) -> Opened {
        match self.opened.recv().await {
            Some(opened) => opened,
            // It ends with this listener only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        match &self.address {
            Ok(address) => Ok(Caller::Plain(*address)),
            Err(error) => Err(error.kind().into()),
        }
    }
}

impl Connected<IncomingStream<'_, SecuredListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, SecuredListener>) -> Self {
        stream.remote_addr().clone()
    }
}

async fn accept_all(mut listener: LimitedListener, tls: Tls, opened: mpsc::Sender<Opened>) {
    let mut opening = JoinSet::new();
    loop {
        let (stream, address, place) = listener.next().await;
        while opening.try_join_next().is_some() {}
        opening.spawn(open(stream, address, place, tls.clone(), opened.clone()));
    }
}

async fn open(
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
    tls: Tls,
    opened: mpsc::Sender<Opened>,
) {
    let mut first = [0];
    // Probes connect and say nothing.
    let Ok(Ok(1)) = timeout(SILENCE_MAX, stream.peek(&mut first)).await else { return };
    let (stream, caller) = if first == [HANDSHAKE] {
        match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream, TRUSTED)).await {
            Ok(Ok((stream, peer))) => {
                (Box::new(stream) as Box<dyn ByteStream>, Caller::Known(peer))
            }
            Ok(Err(error)) => {
                tracing::warn!(peer = %address, "REST connection refused: {error}");
                return;
            }
            Err(_) => {
                tracing::warn!(peer = %address, "REST connection closed: no TLS handshake in time");
                return;
            }
        }
    } else {
        (Box::new(stream) as Box<dyn ByteStream>, Caller::Plain(address))
    };
    // Nobody wants it any more when the server ends.
    let _ = opened.send((Connection::new(stream, place), caller)).await;
}
