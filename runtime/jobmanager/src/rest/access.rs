//! Who may change something over REST, where the processes of an application know each other by
//! mutual TLS: whoever has shown a certificate that belongs there, and whoever is on this machine,
//! which in Kubernetes means in this pod (`kubectl port-forward` ends there). Everybody may read.
//! Without TLS there is no such rule: `rest.bind-host` says who can connect.
//!
//! The rule is applied where a request comes in, also by a JobManager that stands by, since the
//! leader knows such a request only as that JobManager's.

use std::fmt;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use thalweg_tls::{CertificateIdentity, Role};

use super::error::RestError;
use super::router::{add_headers, respond_error};

/// Who may connect by TLS: the operator gives commands, JobManagers that stand by pass them on.
pub(super) const TRUSTED: &[Role] = &[Role::Operator, Role::JobManager];

/// Who has sent a request, as far as its connection tells.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// Anybody at this address, in plain text.
    Plain(SocketAddr),
    /// The owner of this certificate, by TLS.
    Known(CertificateIdentity),
}

impl Caller {
    /// Whether it may send a request with this method. No path of ours changes anything by GET.
    pub(super) fn may(&self, method: &Method) -> bool {
        reads(method)
            || match self {
                Self::Plain(address) => address.ip().to_canonical().is_loopback(),
                Self::Known(identity) => TRUSTED.contains(&identity.role),
            }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => write!(f, "somebody at {address}"),
            Self::Known(identity) => identity.fmt(f),
        }
    }
}

/// All paths of `router`, known and unknown ones, with the rule before them.
pub(super) fn guarded(router: Router) -> Router {
    router.layer(from_fn(refuse_strangers))
}

/// Lets through what may come in, and says what would change something.
async fn refuse_strangers(
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let allowed = caller.may(&method);
    if !reads(&method) {
        let path: String = request.uri().path().chars().take(256).collect();
        let outcome = if allowed { "is let through" } else { "is refused" };
        tracing::info!("{method} {path} of {caller} {outcome}");
    }
    if allowed {
        return next.run(request).await;
    }
    add_headers(respond_error(RestError::Stranger { method: method.to_string() }))
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
