//! How the processes of a cluster talk: the messages between a JobManager and its TaskManagers,
//! and the connections that carry them.
//!
//! - [`message`]: what is said, and the rules that make loss and delay harmless.
//! - [`fence`]: whom to obey ([`EpochGuard`]) and what to repeat ([`Outbox`]); pure.
//! - [`link`]: one connection as a bounded sender and a receiver of messages, over any byte
//!   stream or within one process.
//! - [`transport`]: byte streams: TCP here, a simulated network in tests.
//! - [`listener`] and [`connector`]: how links come about, with the handshake.
//! - [`leader`] and [`service_locator`]: JobManagers are asked who leads; [`RevisionLocator`]:
//!   whose leaders are followed.
//!
//! Not here: decisions (`jobmanager`), tasks (`taskmanager`), and records, which travel on
//! connections of their own (`network`).

pub mod connector;
pub mod fence;
mod frame;
mod handshake;
mod jitter;
pub mod leader;
pub mod link;
pub mod listener;
pub mod message;
mod revision_locator;
pub mod service_locator;
mod tls_transport;
pub mod transport;

pub use connector::{
    ConnectError, Connector, LeaderLocator, Locating, Reconnect, ReconnectDecision,
};
pub use fence::{Admission, EpochGuard, Outbox};
pub use frame::MESSAGE_BYTES_MAX;
pub use handshake::{Identity, PROTOCOL_VERSION};
pub use leader::{LeaderAddress, LeaderAnswer, LeaderView, SeenLeader};
pub use link::{Link, LinkError, LinkReceiver, LinkSender, SendError};
pub use listener::{Accepted, Acceptor, AcceptorSender, ListenerIdentity, accept_channel, listen};
pub use revision_locator::RevisionLocator;
pub use service_locator::{Resolver, ServiceLocator, SystemResolver};
pub use tls_transport::TlsTransport;
pub use transport::{ByteStream, Listener, TcpTransport, Transport};

#[cfg(test)]
mod simulated_tests;
#[cfg(test)]
mod tests;
