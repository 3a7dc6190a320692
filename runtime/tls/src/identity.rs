//! Who a process is: `thalweg://<namespace>/<application uid>/<role>`, the only URI of that scheme
//! in its certificate's subject alternative names. Not here: whether the certificate is to be
//! believed.

use std::fmt;
use std::str::FromStr;

use webpki::EndEntityCert;

use crate::error::PeerError;

/// What a process does for its application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Decides.
    JobManager,
    /// Works.
    TaskManager,
    /// Gives commands from outside.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::JobManager, Self::TaskManager, Self::Operator];

    /// As it stands in certificates.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JobManager => "jobmanager",
            Self::TaskManager => "taskmanager",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The scheme of identities.
const SCHEME: &str = "thalweg://";
/// A part of an identity is no longer: as a name in Kubernetes.
const PART_BYTES_MAX: usize = 253;

/// Who a certificate says that its owner is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateIdentity {
    /// The application's namespace.
    pub namespace: String,
    /// What tells the application from an earlier one of its name.
    pub application_uid: String,
    /// What it does there.
    pub role: Role,
}

impl CertificateIdentity {
    /// The identity in a certificate.
    ///
    /// # Errors
    /// It can't be parsed, or has none, several, or one that isn't of this form.
    pub fn of(certificate: &EndEntityCert<'_>) -> Result<Self, PeerError> {
        let mut uris = certificate.valid_uri_names().filter(|uri| uri.starts_with(SCHEME));
        let uri = uris.next().ok_or(PeerError::NoIdentity)?;
        if uris.next().is_some() {
            return Err(PeerError::SeveralIdentities);
        }
        uri.parse()
    }

    /// The same application in another role.
    pub fn with_role(&self, role: Role) -> Self {
        Self { role, ..self.clone() }
    }

    /// Whether somebody may be at the other end of a connection where `roles` belong.
    ///
    /// # Errors
    /// Another application's, or in another role: which.
    pub fn accepts(&self, peer: &Self, roles: &[Role]) -> Result<(), PeerError> {
        if (&peer.namespace, &peer.application_uid) != (&self.namespace, &self.application_uid) {
            let (peer, own) = (peer.clone(), self.clone());
            return Err(PeerError::OtherApplication { peer, own });
        }
        if !roles.contains(&peer.role) {
            let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
            return Err(PeerError::WrongRole { peer: peer.role, roles: names.join(" or ") });
        }
        Ok(())
    }
}

impl fmt::Display for CertificateIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}", self.namespace, self.application_uid, self.role)
    }
}

impl FromStr for CertificateIdentity {
    type Err = PeerError;

    fn from_str(uri: &str) -> Result<Self, PeerError> {
        let bad = || PeerError::BadIdentity { uri: uri.chars().take(300).collect() };
        let rest = uri.strip_prefix(SCHEME).ok_or_else(bad)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [namespace, application_uid, role] = parts[..] else { return Err(bad()) };
        let role = Role::ALL.into_iter().find(|each| each.as_str() == role).ok_or_else(bad)?;
        if !is_name(namespace) || !is_name(application_uid) {
            return Err(bad());
        }
        let (namespace, application_uid) = (namespace.to_owned(), application_uid.to_owned());
        Ok(Self { namespace, application_uid, role })
    }
}

fn is_name(text: &str) -> bool {
    let fits = (1..=PART_BYTES_MAX).contains(&text.len());
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}
