//! Mutual TLS between the processes of one application, and its operator.
//!
//! Whom to trust is a question of identity, not of addresses: each process has a certificate of its
//! application's own CA with its namespace, application and role ([`CertificateIdentity`]), both
//! sides of a connection present theirs, and each demands the role that belongs at the other end.
//! Host names aren't looked at.
//!
//! - [`identity`]: who somebody is, as a URI in the certificate.
//! - [`Pem`] and [`Material`]: a key, its certificate and the CAs, as files and checked.
//! - [`Tls`]: makes connections of streams, with files that are read again when they change.
//! - [`SecureStream`]: such a connection.
//! - [`validity`]: from when until when a certificate counts.
//! - `issue` (a feature): makes CAs and certificates.
//!
//! TLS 1.3 only, without resumption: each connection is checked in full. Not here: which
//! connections there are and who may make them (`rpc`, `network`, `jobmanager`), and when
//! certificates are renewed (the operator).

mod error;
mod handshake;
pub mod identity;
#[cfg(any(feature = "issue", test))]
pub mod issue;
mod material;
mod reload;
mod stream;
#[cfg(test)]
mod tests;
pub mod validity;
mod verifier;

pub use error::{PeerError, TlsError};
pub use identity::{CertificateIdentity, Role};
pub use material::{AUTHORITIES_FILE, CERTIFICATE_FILE, KEY_FILE, Material, Pem};
pub use reload::Tls;
pub use stream::SecureStream;
pub use validity::Validity;
