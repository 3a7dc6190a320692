//! What can be wrong with certificates: one's own, and those that others present.

use std::io;
use std::path::PathBuf;

use crate::identity::{CertificateIdentity, Role};
use crate::validity::shown;

/// A process can't use its certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{path} can't be read: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something in the files can't be understood.
    #[error("{file} can't be used: {problem}")]
    Unusable {
        /// Which one.
        file: &'static str,
        /// Why.
        problem: String,
    },
    /// Key and certificate aren't of each other.
    #[error("tls.key isn't the key of the certificate in tls.crt: {0}")]
    KeyMismatch(String),
    /// Others wouldn't believe the certificate.
    #[error("the certificate in tls.crt isn't valid by ca.crt: {0}")]
    NotTrusted(#[source] PeerError),
    /// The certificate is another process's.
    #[error("the certificate is for {actual}, and this process is to be {expected}")]
    OtherRole {
        /// What it is for.
        actual: CertificateIdentity,
        /// What this process is.
        expected: Role,
    },
    /// The new certificate is for somebody else than the old one.
    #[error("the new certificate is for {new}, the one before was for {old}")]
    OtherIdentity {
        /// What it is for.
        new: CertificateIdentity,
        /// What it should be for.
        old: CertificateIdentity,
    },
    /// The library doesn't work as it is set.
    #[error("TLS can't be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Why somebody isn't trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Nothing says who it is.
    #[error("its certificate has no identity (a URI thalweg://NAMESPACE/UID/ROLE)")]
    NoIdentity,
    /// It says so more than once.
    #[error("its certificate has several identities")]
    SeveralIdentities,
    /// It says so in a way that isn't understood.
    #[error("its certificate has the identity {uri:?}, which isn't thalweg://NAMESPACE/UID/ROLE")]
    BadIdentity {
        /// What it says.
        uri: String,
    },
    /// Another application's, or an earlier one's of the same name.
    #[error("it belongs to another application: it is {peer}, this process {own}")]
    OtherApplication {
        /// Who it is.
        peer: CertificateIdentity,
        /// Who this process is.
        own: CertificateIdentity,
    },
    /// Not in the right role for this connection.
    #[error("its role is {peer}, and only {roles} belongs at the other end of this connection")]
    WrongRole {
        /// What it is.
        peer: Role,
        /// What it should be.
        roles: String,
    },
    /// None of the known CAs has issued the certificate.
    #[error("its certificate wasn't issued by a CA in ca.crt")]
    UnknownAuthority,
    /// Too late.
    #[error("its certificate has expired at {}", shown(*.not_after))]
    Expired {
        /// Until when it counted, in seconds since 1970.
        not_after: i64,
    },
    /// Too early.
    #[error("its certificate is valid from {} only; see the clocks", shown(*.not_before))]
    NotYetValid {
        /// From when it counts, in seconds since 1970.
        not_before: i64,
    },
    /// Something else, in the library's words.
    #[error("its certificate isn't valid: {0}")]
    Invalid(String),
}

impl From<webpki::Error> for PeerError {
    fn from(error: webpki::Error) -> Self {
        use webpki::Error;
        let seconds =
            |time: rustls::pki_types::UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        match error {
            Error::CertExpired { not_after, .. } => Self::Expired { not_after: seconds(not_after) },
            Error::CertNotValidYet { not_before, .. } => {
                Self::NotYetValid { not_before: seconds(not_before) }
            }
            // The second: a CA of the same name with another key.
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => Self::UnknownAuthority,
            other => Self::Invalid(format!("{other:?}")),
        }
    }
}
