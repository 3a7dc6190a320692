//! From a stream of bytes to a secure one, from either end. Not here: how long that may take, which
//! the callers bound.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, ServerConfig};
use thalweg_core::clock::Clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use webpki::EndEntityCert;

use crate::error::{PeerError, TlsError};
use crate::identity::{CertificateIdentity, Role};
use crate::material::Material;
use crate::reload::Tls;
use crate::stream::SecureStream;
use crate::verifier::PeerVerifier;

/// How long, and for how many bytes, a refused peer's connection is kept for it to read why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 64 << 10;

/// Of one who doesn't answer; one that expects plain text often doesn't.
const SILENT: &str = "the peer ended the connection instead of shaking hands: if it doesn't speak \
    TLS, security.ssl.internal.enabled must be the same for all processes of an application";

impl Tls {
    /// Connects over `stream` to somebody in one of these roles. That the other end refuses is
    /// known with the first read only.
    ///
    /// # Errors
    /// The peer isn't trusted, or the stream breaks: the text says which.
    pub async fn connect<S>(&self, stream: S, roles: &'static [Role]) -> io::Result<SecureStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let material = self.current().await;
        let config = self.client(&material, roles).map_err(io::Error::other)?;
        // Nobody looks at the name; it isn't sent either.
        let name = ServerName::try_from("thalweg").map_err(io::Error::other)?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream).into_fallible();
        match connecting.await {
            Ok(stream) => Ok(SecureStream::open(stream.into())),
            Err((error, stream)) => {
                linger(stream).await;
                Err(match error.kind() {
                    io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), SILENT),
                    _ => explained(error),
                })
            }
        }
    }

    /// Takes a connection of somebody in one of these roles, and says who it is.
    ///
    /// # Errors
    /// As of [`Self::connect`].
    pub async fn accept<S>(
        &self,
        stream: S,
        roles: &'static [Role],
    ) -> io::Result<(SecureStream<S>, CertificateIdentity)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let material = self.current().await;
        let config = self.server(&material, roles).map_err(io::Error::other)?;
        let accepting = TlsAcceptor::from(Arc::new(config)).accept(stream).into_fallible();
        match accepting.await {
            Ok(stream) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let peer = identity(certificates).map_err(io::Error::other)?;
                Ok((SecureStream::open(stream.into()), peer))
            }
            Err((error, stream)) => {
                linger(stream).await;
                Err(explained(error))
            }
        }
    }

    /// Takes a connection of somebody in one of these roles, when it is first used: whoever
    /// accepts connections doesn't wait for slow peers.
    pub fn accept_lazily<S>(&self, stream: S, roles: &'static [Role]) -> SecureStream<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let tls = self.clone();
        SecureStream::lazy(Box::pin(async move {
            let (stream, _) = tls.accept(stream, roles).await?;
            stream.into_open()
        }))
    }

    fn verifier(&self, material: &Material, roles: &'static [Role]) -> Arc<PeerVerifier> {
        Arc::new(PeerVerifier {
            own: material.identity().clone(),
            roles,
            authorities: Arc::clone(&material.authorities),
            provider: Arc::clone(self.provider()),
        })
    }

    fn time(&self) -> Arc<dyn TimeProvider> {
        Arc::new(ClockTime(Arc::clone(self.clock())))
    }

    fn client(
        &self,
        material: &Material,
        roles: &'static [Role],
    ) -> Result<ClientConfig, TlsError> {
        let provider = Arc::clone(self.provider());
        let mut config = ClientConfig::builder_with_details(provider, self.time())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(material, roles))
            .with_client_cert_resolver(material.resolver.clone());
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }

    fn server(
        &self,
        material: &Material,
        roles: &'static [Role],
    ) -> Result<ServerConfig, TlsError> {
        let provider = Arc::clone(self.provider());
        let mut config = ServerConfig::builder_with_details(provider, self.time())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(self.verifier(material, roles))
            .with_cert_resolver(material.resolver.clone());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// The clock that was passed in, as the library asks for it.
#[derive(Debug)]
struct ClockTime(Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.wall_ms()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

fn identity(certificates: Option<&[CertificateDer<'_>]>) -> Result<CertificateIdentity, PeerError> {
    let leaf = certificates.and_then(|chain| chain.first()).ok_or(PeerError::NoIdentity)?;
    CertificateIdentity::of(&EndEntityCert::try_from(leaf)?)
}

/// Ends our side and reads what the peer still sends, within bounds: closing with bytes unread
/// would reset the connection, and the peer might never see why it was refused.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let read = async {
        if stream.shutdown().await.is_ok() {
            // How it ends doesn't matter: it is closed then.
            let mut rest = stream.take(LINGER_BYTES_MAX);
            let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
        }
    };
    let _ = tokio::time::timeout(LINGER, read).await;
}

/// The library's errors in words that say what to do; others as they are.
pub(crate) fn explained(error: io::Error) -> io::Error {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return error;
    };
    let text = match cause {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            format!("the peer isn't trusted: {}", other.0)
        }
        Error::NoCertificatesPresented => "the peer has presented no certificate".to_owned(),
        Error::AlertReceived(alert) if is_distrust(*alert) => format!(
            "the peer doesn't trust this process's certificate ({alert:?}): its log says why"
        ),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => format!(
            "the peer doesn't speak TLS ({cause}): security.ssl.internal.enabled must be the same \
             for all processes of an application"
        ),
        other => format!("TLS: {other}"),
    };
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

fn is_distrust(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}
