//! With what a process reaches the others of its application: plain TCP, or mutual TLS on it. On
//! where `security.ssl.internal.enabled` is set. Not here: what TLS checks (`thalweg-tls`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::clock::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::security;
use thalweg_network::remote as network;
use thalweg_rpc as rpc;
use thalweg_tls::{Role, Tls};

use super::settings::ProcessError;

/// The process's certificate, if it has to have one; None: it talks in plain text.
///
/// # Errors
/// It can't be used, or is for another role.
pub(super) fn tls(
    configuration: &Configuration,
    role: Role,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Tls>, ProcessError> {
    let directory = configuration.get(&security::INTERNAL_DIRECTORY);
    // Without a folder a configuration that is on isn't valid.
    let Some(directory) = directory.filter(|_| configuration.get(&security::INTERNAL_ENABLED))
    else {
        return Ok(None);
    };
    let tls = Tls::open(Path::new(&directory), role, Arc::clone(clock)).map_err(|source| {
        let source = Box::new(source);
        ProcessError::Certificate { directory: PathBuf::from(&directory), source }
    })?;
    tracing::info!("this process is {}, and talks to the others by mutual TLS", tls.identity());
    Ok(Some(tls))
}

/// Between JobManager and TaskManagers.
pub(super) fn rpc_transport(tls: Option<&Tls>) -> Arc<dyn rpc::Transport> {
    let plain = Arc::new(rpc::TcpTransport);
    match tls {
        None => plain,
        Some(tls) => Arc::new(rpc::TlsTransport::new(plain, tls.clone())),
    }
}

/// Between TaskManagers. A connection on which nothing was heard for `silence` breaks.
pub(super) fn data_transport(tls: Option<&Tls>, silence: Duration) -> Arc<dyn network::Transport> {
    let plain = Arc::new(network::TcpTransport { silence_max: Some(silence) });
    match tls {
        None => plain,
        Some(tls) => Arc::new(network::TlsTransport::new(plain, tls.clone())),
    }
}
