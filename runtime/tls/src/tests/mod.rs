//! Certificates, made and used: over pairs of streams, at moments that the tests choose.

mod identities;
mod materials;
mod refusals;
mod rotation;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use thalweg_core::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::issue::{Authority, Issued};
use crate::{CertificateIdentity, Pem, Role, SecureStream, Tls, Validity};

/// The moment of all tests: 2026-01-01.
const NOW: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

/// A clock that stands still until it is set.
#[derive(Debug)]
struct Stopped(AtomicI64);

impl Stopped {
    fn at(seconds: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(seconds)))
    }

    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for Stopped {
    fn wall_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed) * 1000
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

fn identity(role: Role) -> CertificateIdentity {
    CertificateIdentity { namespace: "shop".to_owned(), application_uid: "0f7a".to_owned(), role }
}

const fn days(from: i64, to: i64) -> Validity {
    Validity { not_before: NOW + from * DAY, not_after: NOW + to * DAY }
}

fn authority() -> Authority {
    Authority::generate(&identity(Role::Operator), days(-1, 365)).unwrap()
}

/// What a process has that believes `authorities`.
fn pem(issued: &Issued, authorities: &[&Authority]) -> Pem {
    let bundle: String = authorities.iter().map(|authority| authority.certificate()).collect();
    Pem {
        certificate: issued.certificate.clone().into_bytes(),
        key: issued.key.clone().into_bytes(),
        authorities: bundle.into_bytes(),
    }
}

/// A process of the application in this role, with a certificate for 90 days.
fn process(authority: &Authority, role: Role) -> Tls {
    let issued = authority.issue(&identity(role), days(-1, 89)).unwrap();
    Tls::from_pem(pem(&issued, &[authority]), role, Stopped::at(NOW)).unwrap()
}

type Secure = SecureStream<DuplexStream>;

/// Both ends of a connection, or what both say.
async fn connected(
    (client, server_roles): (&Tls, &'static [Role]),
    (server, client_roles): (&Tls, &'static [Role]),
) -> Result<(Secure, Secure, CertificateIdentity), (String, String)> {
    let (near, far) = tokio::io::duplex(64 << 10);
    let connecting = async {
        let mut stream = client.connect(near, server_roles).await?;
        // Only now it is known whether the other end wants us.
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        Ok::<_, std::io::Error>(stream)
    };
    let accepting = async {
        let (mut stream, peer) = server.accept(far, client_roles).await?;
        stream.write_all(&[7]).await?;
        stream.flush().await?;
        Ok::<_, std::io::Error>((stream, peer))
    };
    match tokio::join!(connecting, accepting) {
        (Ok(near), Ok((far, peer))) => Ok((near, far, peer)),
        (near, far) => {
            let said = |error: Option<std::io::Error>| {
                error.map_or_else(|| "nothing".to_owned(), |error| error.to_string())
            };
            Err((said(near.err()), said(far.err())))
        }
    }
}

/// Whether bytes get through in both directions.
async fn works(near: &mut Secure, far: &mut Secure) {
    for forth in [true, false] {
        let (from, to) = if forth { (&mut *near, &mut *far) } else { (&mut *far, &mut *near) };
        from.write_all(b"a record").await.unwrap();
        from.flush().await.unwrap();
        let mut read = [0; 8];
        to.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"a record");
    }
}

/// For a client that looks at nothing.
fn believes_all() -> Arc<dyn rustls::client::danger::ServerCertVerifier> {
    use rustls::client::danger::{HandshakeSignatureValid as Valid, ServerCertVerified};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct as Signed, Error, SignatureScheme};

    #[derive(Debug)]
    struct All;

    impl rustls::client::danger::ServerCertVerifier for All {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &Signed,
        ) -> Result<Valid, Error> {
            Ok(Valid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &Signed,
        ) -> Result<Valid, Error> {
            Ok(Valid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let provider = rustls::crypto::ring::default_provider();
            provider.signature_verification_algorithms.supported_schemes()
        }
    }
    Arc::new(All)
}
