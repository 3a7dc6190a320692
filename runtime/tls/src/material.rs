//! A process's key, its certificate and the CAs that it believes: as files, and checked. Not here:
//! when they are read.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::error::TlsError;
use crate::identity::CertificateIdentity;
use crate::validity::Validity;
use crate::verifier::verify_chain;

/// The file with the certificate, as in Secrets of the type kubernetes.io/tls.
pub const CERTIFICATE_FILE: &str = "tls.crt";
/// The file with its key.
pub const KEY_FILE: &str = "tls.key";
/// The file with the CAs that are believed: one, or two while one takes the other's place.
pub const AUTHORITIES_FILE: &str = "ca.crt";

/// No file of these is longer.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// No process believes more CAs.
const AUTHORITIES_MAX: usize = 16;

/// The three files' contents.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The certificate, then those between it and a CA, if any.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// The CAs that are believed.
    pub authorities: Vec<u8>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key shows itself nowhere.
        f.debug_struct("Pem").finish_non_exhaustive()
    }
}

impl Pem {
    /// Reads the files of a folder.
    ///
    /// # Errors
    /// One of them can't be read.
    pub fn read(directory: &Path) -> Result<Self, TlsError> {
        let read = |name: &str| {
            let path = directory.join(name);
            let mut bytes = Vec::new();
            let taken = File::open(&path)
                .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
            taken.map_err(|source| TlsError::File { path, source })?;
            Ok::<_, TlsError>(bytes)
        };
        Ok(Self {
            certificate: read(CERTIFICATE_FILE)?,
            key: read(KEY_FILE)?,
            authorities: read(AUTHORITIES_FILE)?,
        })
    }
}

/// Key, certificate and CAs that fit each other.
#[derive(Debug)]
pub struct Material {
    identity: CertificateIdentity,
    validity: Validity,
    pub(crate) resolver: Arc<SingleCertAndKey>,
    pub(crate) authorities: Arc<Vec<TrustAnchor<'static>>>,
}

impl Material {
    /// Checks that the key is the certificate's, that the certificate counts at `now` (in seconds
    /// since 1970) by one of the CAs, and that it says whose it is.
    ///
    /// # Errors
    /// Which of it doesn't hold.
    pub fn check(pem: &Pem, now: i64) -> Result<Self, TlsError> {
        Self::check_by(pem, &ring::default_provider(), now)
    }

    pub(crate) fn check_by(
        pem: &Pem,
        provider: &CryptoProvider,
        now: i64,
    ) -> Result<Self, TlsError> {
        let chain = certificates(&pem.certificate, CERTIFICATE_FILE)?;
        let authorities = authorities(&pem.authorities)?;
        let key =
            PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| unusable(KEY_FILE, &error))?;
        let key = CertifiedKey::from_der(chain.clone(), key, provider)
            .map_err(|error| TlsError::KeyMismatch(error.to_string()))?;
        let (leaf, between) =
            chain.split_first().ok_or_else(|| unusable(CERTIFICATE_FILE, &"it is empty"))?;
        let parsed =
            EndEntityCert::try_from(leaf).map_err(|error| TlsError::NotTrusted(error.into()))?;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            u64::try_from(now).unwrap_or(0),
        ));
        let algorithms = provider.signature_verification_algorithms.all;
        // Every role connects to somebody, so all certificates are for clients.
        let usage = KeyUsage::client_auth();
        verify_chain(&parsed, between, &authorities, (algorithms, usage, time))
            .map_err(TlsError::NotTrusted)?;
        Ok(Self {
            identity: CertificateIdentity::of(&parsed).map_err(TlsError::NotTrusted)?,
            validity: Validity::of(leaf).map_err(TlsError::NotTrusted)?,
            resolver: Arc::new(SingleCertAndKey::from(key)),
            authorities: Arc::new(authorities),
        })
    }

    /// Whose it is.
    pub fn identity(&self) -> &CertificateIdentity {
        &self.identity
    }

    /// From when until when the certificate counts.
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

fn certificates(pem: &[u8], file: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let parsed = parsed.map_err(|error| unusable(file, &error))?;
    if parsed.is_empty() {
        return Err(unusable(file, &"there is no certificate in it"));
    }
    Ok(parsed)
}

fn authorities(pem: &[u8]) -> Result<Vec<TrustAnchor<'static>>, TlsError> {
    let parsed = certificates(pem, AUTHORITIES_FILE)?;
    if parsed.len() > AUTHORITIES_MAX {
        let problem = format!("it has more than {AUTHORITIES_MAX} certificates");
        return Err(unusable(AUTHORITIES_FILE, &problem));
    }
    let anchor = |certificate: &CertificateDer<'_>| {
        anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned())
    };
    let anchors: Result<Vec<_>, _> = parsed.iter().map(anchor).collect();
    anchors.map_err(|error| unusable(AUTHORITIES_FILE, &format!("{error:?}")))
}

fn unusable(file: &'static str, problem: &dyn fmt::Display) -> TlsError {
    TlsError::Unusable { file, problem: problem.to_string() }
}
