//! The listening socket: which port, how many connections, how it ends. HTTP's content is
//! `router`'s.

mod connection;
mod secured;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use thalweg_tls::Tls;
use tokio::net::TcpListener;

use self::connection::LimitedListener;
use self::secured::SecuredListener;
use super::access::{Caller, guarded};
use super::gateway::RestGateway;
use super::router::router;
use super::standby::StandbyRest;

/// How long open requests may go on once the server was told to end.
const GRACE: Duration = Duration::from_secs(3);

/// Which port to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortRule {
    /// This one, as the user wrote it: if it is taken, that is an error. 0 is any free one.
    Exactly(u16),
    /// The first free one: what a local environment does, since several may run at once.
    FirstFreeOf(RangeInclusive<u16>),
}

/// Why REST can't be served.
#[derive(Debug, thiserror::Error)]
pub enum RestServerError {
    /// The host names no address of this machine.
    #[error(
        "REST can't listen on {host:?}: {source}. Set rest.bind-host to an address of this machine \
         (127.0.0.1 for this machine only, 0.0.0.0 for all of its addresses)"
    )]
    Host {
        /// What was given.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The port was named and somebody has it.
    #[error(
        "REST can't listen on {address}: the port is in use. Set rest.port to a free port (0 for \
         any), or end the process that has this one"
    )]
    PortInUse {
        /// The address that is taken.
        address: SocketAddr,
    },
    /// Every port of the range is taken.
    #[error(
        "REST found no free port from {first} to {last} on {host}. Set rest.port to a free port \
         (0 for any)"
    )]
    NoFreePort {
        /// The address.
        host: IpAddr,
        /// The range's first port.
        first: u16,
        /// The range's last port.
        last: u16,
    },
    /// The system refused the port, e.g. one below 1024.
    #[error("REST can't listen on {address}: {source}. Set rest.port to another port (0 for any)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound socket that doesn't answer yet: whoever starts the JobManager knows the port first.
#[derive(Debug)]
pub struct RestServer {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

impl RestServer {
    /// Listens on `host` (a name or an address) at the port that `rule` gives.
    ///
    /// # Errors
    ///
    /// See [`RestServerError`]; each names the configuration key to change.
    pub async fn bind(host: &str, rule: &PortRule) -> Result<Self, RestServerError> {
        let host = resolve(host).await?;
        match rule {
            PortRule::Exactly(port) => Self::bind_to(SocketAddr::new(host, *port)).await,
            PortRule::FirstFreeOf(ports) => {
                for port in ports.clone() {
                    match Self::bind_to(SocketAddr::new(host, port)).await {
                        Err(RestServerError::PortInUse { .. }) => {}
                        other => return other,
                    }
                }
                let (first, last) = (*ports.start(), *ports.end());
                Err(RestServerError::NoFreePort { host, first, last })
            }
        }
    }

    async fn bind_to(address: SocketAddr) -> Result<Self, RestServerError> {
        let bind = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address, tls: None })
        };
        bind.await.map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => RestServerError::PortInUse { address },
            _ => RestServerError::Bind { address, source },
        })
    }

    /// With `tls`, the port takes connections in plain text and by mutual TLS, and who may change
    /// something is looked at; without, as it was.
    #[must_use]
    pub fn secured(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// The address, with the port that was found.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` is ready; then accepts no more and gives open requests 3 seconds.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn serve(
        self,
        gateway: Arc<dyn RestGateway>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        self.serve_router(router(gateway), shutdown).await
    }

    /// The same for a JobManager that may have to stand by first.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn serve_standby(
        self,
        rest: StandbyRest,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        self.serve_router(rest.router(), shutdown).await
    }

    async fn serve_router(
        self,
        router: Router,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let (ending, ended) = tokio::sync::oneshot::channel();
        let signal = async move {
            shutdown.await;
            // Nobody listens any more if serving has failed; there is nothing left to end then.
            let _ = ending.send(());
        };
        let deadline = async {
            match ended.await {
                Ok(()) => tokio::time::sleep(GRACE).await,
                Err(_) => std::future::pending().await,
            }
        };
        let serve = async move {
            let Some(tls) = self.tls else {
                let serve = axum::serve(LimitedListener::new(self.listener), router);
                return serve.with_graceful_shutdown(signal).await;
            };
            let service = guarded(router).into_make_service_with_connect_info::<Caller>();
            let serve = axum::serve(SecuredListener::new(self.listener, tls), service);
            serve.with_graceful_shutdown(signal).await
        };
        tokio::select! {
            result = serve => result,
            () = deadline => Ok(()),
        }
    }
}

async fn resolve(host: &str) -> Result<IpAddr, RestServerError> {
    let failed = |source| RestServerError::Host { host: host.to_owned(), source };
    let mut addresses = tokio::net::lookup_host((host, 0)).await.map_err(failed)?;
    let none = || failed(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    addresses.next().map(|address| address.ip()).ok_or_else(none)
}
