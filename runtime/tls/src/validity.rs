//! From when until when a certificate counts. Not here: who has issued it.

use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use webpki::{EndEntityCert, KeyUsage};

use crate::error::PeerError;

/// A span of time in seconds since 1970, ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when it counts.
    pub not_before: i64,
    /// Until when it counts.
    pub not_after: i64,
}

impl Validity {
    /// That of a certificate, also of a CA's.
    ///
    /// # Errors
    /// It can't be parsed.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, PeerError> {
        let parsed = EndEntityCert::try_from(certificate)?;
        // The library tells the two moments only when it refuses a certificate for them, which it
        // does before it looks at anything else.
        let refused_at = |seconds: u64| {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            let usage = KeyUsage::client_auth();
            parsed.verify_for_usage(&[], &[], &[], time, usage, None, None).err()
        };
        let (Some(late), Some(early)) = (refused_at(u64::MAX), refused_at(0)) else {
            return Err(PeerError::Invalid("it counts for ever".to_owned()));
        };
        match (PeerError::from(early), PeerError::from(late)) {
            (PeerError::NotYetValid { not_before }, PeerError::Expired { not_after }) => {
                Ok(Self { not_before, not_after })
            }
            (_, other) => Err(other),
        }
    }

    /// That of the first certificate in PEM.
    ///
    /// # Errors
    /// There is none, or it can't be parsed.
    pub fn of_pem(pem: &[u8]) -> Result<Self, PeerError> {
        let parsed = CertificateDer::from_pem_slice(pem);
        Self::of(&parsed.map_err(|error| PeerError::Invalid(error.to_string()))?)
    }

    /// Whether it counts at this moment.
    pub fn contains(&self, seconds: i64) -> bool {
        (self.not_before..=self.not_after).contains(&seconds)
    }
}

/// A moment, for people.
pub(crate) fn shown(seconds: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = moment.and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{seconds} s since 1970"))
}
