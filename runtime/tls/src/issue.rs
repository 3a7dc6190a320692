//! Makes CAs and certificates: P-256 keys from the system's randomness. Not here: when, and where
//! they are kept.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use crate::identity::{CertificateIdentity, Role};
use crate::validity::Validity;

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The library refuses.
    #[error("a certificate can't be made: {0}")]
    Library(#[from] rcgen::Error),
    /// Something is wrong with the CA.
    #[error("the CA can't be used: {0}")]
    Authority(String),
    /// A moment that can't be written.
    #[error("{0} s since 1970 isn't a moment that a certificate can name")]
    Moment(i64),
}

/// A CA of one application.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    validity: Validity,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one, of the application that `of` belongs to.
    ///
    /// # Errors
    /// The library's, or a moment is out of range.
    pub fn generate(of: &CertificateIdentity, validity: Validity) -> Result<Self, IssueError> {
        let key = KeyPair::generate()?;
        let params = authority_params(of, Some(validity))?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, validity, issuer: Issuer::new(params, key) })
    }

    /// One that was made before, from its certificate and key as PEM.
    ///
    /// # Errors
    /// They can't be read, or aren't of each other.
    pub fn from_pem(
        of: &CertificateIdentity,
        certificate: &str,
        key: &str,
    ) -> Result<Self, IssueError> {
        let bad = |error: &dyn std::fmt::Display| IssueError::Authority(error.to_string());
        let parsed = CertificateDer::from_pem_slice(certificate.as_bytes());
        let parsed = parsed.map_err(|error| bad(&error))?;
        let validity = Validity::of(&parsed).map_err(|error| bad(&error))?;
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| bad(&error))?;
        CertifiedKey::from_der(vec![parsed], private, &ring::default_provider())
            .map_err(|error| bad(&error))?;
        // What is signed names its CA by its subject, which is the application's.
        let issuer = Issuer::new(authority_params(of, None)?, KeyPair::from_pem(key)?);
        Ok(Self { certificate: certificate.to_owned(), validity, issuer })
    }

    /// A certificate with a key of its own.
    ///
    /// # Errors
    /// The library's, or a moment is out of range.
    pub fn issue(
        &self,
        to: &CertificateIdentity,
        validity: Validity,
    ) -> Result<Issued, IssueError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&to.namespace, to.role.as_str());
        let uri = to.to_string();
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if to.role != Role::Operator {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = moments(validity)?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem() })
    }

    /// The CA's own certificate, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The CA's key, as PEM.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// From when until when it counts.
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

fn authority_params(
    of: &CertificateIdentity,
    validity: Option<Validity>,
) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&of.namespace, &of.application_uid);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    if let Some(validity) = validity {
        (params.not_before, params.not_after) = moments(validity)?;
    }
    Ok(params)
}

fn name(organization: &str, common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organization);
    name.push(DnType::CommonName, common);
    name
}

fn moments(validity: Validity) -> Result<(OffsetDateTime, OffsetDateTime), IssueError> {
    let moment = |seconds| {
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| IssueError::Moment(seconds))
    };
    Ok((moment(validity.not_before)?, moment(validity.not_after)?))
}
