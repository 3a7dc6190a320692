//! The data plane between hosts: connections that break in the middle, and bits that flip. What
//! TCP promises (order, no loss) holds here: what breaks it breaks the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_network::remote::{BoxFuture, Connection, Listener, Transport};
use tokio::io::AsyncWrite;
use turmoil::net::tcp::OwnedWriteHalf;
use turmoil::net::{TcpListener, TcpStream};

use super::one_way::{OneWay, Way, host_of};
use crate::dice::Dice;
use crate::plan::Plan;
use crate::trace::Trace;

/// Bytes at the beginning that stay whole, so that it isn't the handshake that fails.
const GREETING_BYTES: u64 = 512;

#[derive(Clone)]
struct Conditions {
    host: String,
    cut_one_in: u64,
    flip: u64,
    heal_at: Duration,
    one_way: OneWay,
    dice: Arc<Mutex<Dice>>,
    trace: Trace,
}

/// The network as records see it from one host.
#[derive(Clone)]
pub struct DataTransport(Conditions);

impl DataTransport {
    /// The network from `host`: one of `cut_one_in` connections breaks, and of its writes `flip`
    /// per mille have a wrong bit.
    pub fn new(host: &str, plan: &Plan, one_way: OneWay, dice: Dice, trace: Trace) -> Self {
        let (cut_one_in, flip, heal_at) = (plan.data_cut_one_in, plan.data_flip, plan.heal_at);
        let dice = Arc::new(Mutex::new(dice));
        Self(Conditions { host: host.to_owned(), cut_one_in, flip, heal_at, one_way, dice, trace })
    }
}

impl Conditions {
    fn wrap(&self, stream: TcpStream, peer: String) -> Connection {
        let cut_after = {
            let mut dice = self.dice.lock();
            let cut = self.cut_one_in > 0 && dice.within(0..self.cut_one_in) == 0;
            let bytes = dice.within(0..20_000);
            cut.then_some(bytes)
        };
        self.trace.event(&self.host, format_args!("data connection with {peer}: {cut_after:?}"));
        let (reader, inner) = stream.into_split();
        let way = self.one_way.way(&self.host, &host_of(&peer));
        let writer = FaultyWriter { inner, written: 0, cut_after, way, conditions: self.clone() };
        Connection { reader: Box::new(reader), writer: Box::new(writer), peer }
    }
}

impl Transport for DataTransport {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            Ok(self.0.wrap(stream, address.to_owned()))
        })
    }

    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            let port = listener.local_addr()?.port();
            let conditions = self.0.clone();
            Ok(Box::new(DataListener { listener, port, conditions }) as Box<dyn Listener>)
        })
    }
}

struct DataListener {
    listener: TcpListener,
    port: u16,
    conditions: Conditions,
}

impl Listener for DataListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            Ok(self.conditions.wrap(stream, peer.to_string()))
        })
    }

    fn port(&self) -> u16 {
        self.port
    }
}

struct FaultyWriter {
    inner: OwnedWriteHalf,
    written: u64,
    cut_after: Option<u64>,
    way: Way,
    conditions: Conditions,
}

impl FaultyWriter {
    /// The bytes with one bit changed, if this is their fate.
    fn damaged(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut dice = self.conditions.dice.lock();
        if self.written < GREETING_BYTES || bytes.is_empty() || !dice.chance(self.conditions.flip) {
            return None;
        }
        let mut bytes = bytes.to_vec();
        let at = dice.within(0..bytes.len() as u64) as usize;
        bytes[at] ^= 1 << dice.within(0..8);
        Some(bytes)
    }
}

impl AsyncWrite for FaultyWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.way.poll_open(context).is_pending() {
            return Poll::Pending;
        }
        let ill = turmoil::sim_elapsed().unwrap_or_default() < self.conditions.heal_at;
        if ill && self.cut_after.is_some_and(|after| self.written >= after) {
            self.conditions.trace.event(&self.conditions.host, "a data connection breaks");
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let damaged = if ill { self.damaged(bytes) } else { None };
        let polled =
            Pin::new(&mut self.inner).poll_write(context, damaged.as_deref().unwrap_or(bytes));
        if let Poll::Ready(Ok(count)) = polled {
            self.written += count as u64;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
