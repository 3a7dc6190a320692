//! Channels between processes.
//!
//! From each TaskManager to each other one that it sends to there is one connection; all channels
//! from here to there share it. Frames with data go one way, credit comes back the other: a
//! channel's sender may have as many bytes under way as the receiving queue grants, so that a
//! slow consumer stops its own channel and no other, and nothing grows on either side.
//!
//! - `frame`: the layout. `hello`: what both ends say first. `transport`: where byte streams
//!   come from.
//! - `client` and `server`: the two ends of a connection; `link` and `frame_reader` the two
//!   directions of it.
//! - `output`: the sending end of a channel, on the producer's thread; batches are encoded there
//!   and decoded by the consumer's gate. Tokio's threads only move bytes and check them.
//!
//! A connection that ends takes its channels with it: their tasks fail and their region restarts.

mod client;
mod flow;
mod frame;
mod frame_reader;
mod hello;
mod inbound;
mod link;
mod output;
mod server;
mod tls_transport;
mod transport;

#[cfg(test)]
mod tests;

pub use client::{ClientOptions, DataClient};
pub use hello::ProcessIdentity;
pub use server::{DataServer, ServerOptions};
pub use tls_transport::TlsTransport;
pub use transport::{BoxFuture, Connection, Listener, TcpTransport, Transport};

pub(crate) use link::{CreditReturn, Rejection};
pub(crate) use output::{EncodedBatch, ROWS_BYTES, RemoteOutput};

/// The largest payload of a frame, unless set: 32 MiB.
pub const DEFAULT_FRAME_BYTES: usize = 32 * 1024 * 1024;
