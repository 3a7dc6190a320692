//! RPC between hosts: whole messages are lost, repeated, late, damaged, or the last one before the
//! connection breaks. Not here: how a stream does that (`faulty_stream`).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use thalweg_rpc::{ByteStream, Listener, Transport};
use turmoil::net::{TcpListener, TcpStream};

use super::faulty_stream::{FaultyStream, Side};
use super::one_way::OneWay;
use crate::dice::Dice;
use crate::plan::MessageFaults;
use crate::trace::Trace;

/// What a stream's messages meet.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    pub(super) host: String,
    pub(super) faults: MessageFaults,
    pub(super) heal_at: Duration,
    pub(super) one_way: OneWay,
    pub(super) dice: Arc<Mutex<Dice>>,
    pub(super) trace: Trace,
}

/// The network as RPC sees it from one host.
#[derive(Debug, Clone)]
pub struct RpcTransport(Conditions);

impl RpcTransport {
    /// The network from `host`; `dice` decide about what it sends.
    pub fn new(
        host: &str,
        faults: MessageFaults,
        heal_at: Duration,
        one_way: OneWay,
        dice: Dice,
        trace: Trace,
    ) -> Self {
        let dice = Arc::new(Mutex::new(dice));
        Self(Conditions { host: host.to_owned(), faults, heal_at, one_way, dice, trace })
    }
}

impl Transport for RpcTransport {
    fn connect(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let conditions = self.0.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address.as_str()).await;
            conditions.trace.event(
                &conditions.host,
                format_args!("rpc connects: {:?}", stream.as_ref().err().map(io::Error::kind)),
            );
            let stream = FaultyStream::new(stream?, Side::Connecting, &address, conditions);
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }

    fn bind(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let conditions = self.0.clone();
        Box::pin(async move {
            let listener = TcpListener::bind(address.as_str()).await?;
            Ok(Box::new(RpcListener { listener, conditions }) as Box<dyn Listener>)
        })
    }
}

struct RpcListener {
    listener: TcpListener,
    conditions: Conditions,
}

impl Listener for RpcListener {
    fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn ByteStream>, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            let peer = peer.to_string();
            let conditions = self.conditions.clone();
            let stream = FaultyStream::new(stream, Side::Accepting, &peer, conditions);
            Ok((Box::new(stream) as Box<dyn ByteStream>, peer))
        })
    }
}
