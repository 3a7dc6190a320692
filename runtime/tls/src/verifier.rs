//! Whether a certificate is to be believed, for both sides of a connection: its chain, its time,
//! its identity. Not here: names of hosts, which say nothing about who somebody is.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme,
};
use webpki::{EndEntityCert, KeyUsage};

use crate::error::PeerError;
use crate::identity::{CertificateIdentity, Role};

/// Believes those of its own application in certain roles.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    pub(crate) own: CertificateIdentity,
    pub(crate) roles: &'static [Role],
    pub(crate) authorities: Arc<Vec<TrustAnchor<'static>>>,
    pub(crate) provider: Arc<CryptoProvider>,
}

/// Whether a certificate comes from one of these CAs and counts.
pub(crate) fn verify_chain(
    certificate: &EndEntityCert<'_>,
    between: &[CertificateDer<'_>],
    authorities: &[TrustAnchor<'_>],
    (algorithms, usage, time): (&[&dyn SignatureVerificationAlgorithm], KeyUsage, UnixTime),
) -> Result<(), PeerError> {
    let verified = certificate
        .verify_for_usage(algorithms, authorities, between, time, usage, None, None)
        .map(drop);
    verified.map_err(PeerError::from)
}

impl PeerVerifier {
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        usage: KeyUsage,
        time: UnixTime,
    ) -> Result<(), rustls::Error> {
        let trusted = || {
            let parsed = EndEntityCert::try_from(certificate)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            let how = (algorithms, usage, time);
            verify_chain(&parsed, between, &self.authorities, how)?;
            self.own.accepts(&CertificateIdentity::of(&parsed)?, self.roles)
        };
        trusted()
            .map_err(|error: PeerError| CertificateError::Other(OtherError(Arc::new(error))).into())
    }

    fn signed(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    /// Never asked: only TLS 1.3 is spoken.
    fn signed_before_tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(certificate, between, KeyUsage::server_auth(), now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed_before_tls13(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(certificate, between, KeyUsage::client_auth(), now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed_before_tls13(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
