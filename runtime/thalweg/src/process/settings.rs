//! What a process is configured with, and what can go wrong before it runs.

use std::path::PathBuf;

use thalweg_core::configuration::{Configuration, ConfigurationError};
use thalweg_jobmanager::high_availability::{ElectionError, HighAvailabilityError};
use thalweg_jobmanager::rest::RestServerError;
use thalweg_storage::BlobError;
use thalweg_taskmanager::StartError;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::command_line::ClusterOptions;

/// A process can't do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The configuration can't be read.
    #[error("the configuration {path} can't be read: {source}", path = path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The configuration can't be used.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The threads that serve the network can't be started.
    #[error("the process can't start its threads: {0}")]
    Runtime(#[source] std::io::Error),
    /// REST can't be served.
    #[error(transparent)]
    Rest(#[from] RestServerError),
    /// Metrics can't be served.
    #[error(
        "metrics can't be served on {host}: no port of {key} ({ports}) is free: {source}",
        key = "metrics.port"
    )]
    Metrics {
        /// The address.
        host: String,
        /// The ports that were tried.
        ports: String,
        /// What the system says of the last one.
        source: std::io::Error,
    },
    /// The port for TaskManagers can't be had.
    #[error(
        "the JobManager can't listen for TaskManagers at {address}: {source}; choose another \
         jobmanager.rpc.port or jobmanager.bind-host, or end the process that has this one"
    )]
    RpcPort {
        /// Where it should.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The process can't show who it is.
    #[error(
        "the certificate in {directory} (security.ssl.internal.directory) can't be used: {source}",
        directory = directory.display()
    )]
    Certificate {
        /// The folder.
        directory: PathBuf,
        /// What is wrong.
        source: Box<thalweg_tls::TlsError>,
    },
    /// The API server can't be found.
    #[error(
        "the API server of Kubernetes isn't known: {0}; run the JobManager in a pod with a service \
         account, or unset the keys kubernetes.* and high-availability.type"
    )]
    ApiServer(#[source] Box<kube::Error>),
    /// This process doesn't know its pod.
    #[error("{key} isn't set; a candidate for a Lease has to know it")]
    PodUnknown {
        /// What is missing.
        key: &'static str,
    },
    /// What TaskManagers' pods look like isn't known.
    #[error(transparent)]
    PodTemplate(#[from] thalweg_kubernetes::task_manager_pods::TemplateError),
    /// This JobManager can't lead.
    #[error(transparent)]
    Election(#[from] ElectionError),
    /// The place where jobs are recorded can't be used.
    #[error(transparent)]
    HighAvailability(#[from] HighAvailabilityError),
    /// The checkpoints' place can't be used.
    #[error(transparent)]
    Store(#[from] BlobError),
    /// The TaskManager can't start.
    #[error(transparent)]
    TaskManager(#[from] StartError),
    /// The TaskManager ended without being told to.
    #[error("{0}")]
    Ended(String),
}

/// The configuration of a process of a cluster: the file, then the definitions.
///
/// # Errors
/// The file can't be read, or a key or value can't be used.
pub fn configuration(options: &ClusterOptions) -> Result<Configuration, ProcessError> {
    let mut configuration = match &options.config {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ProcessError::ConfigFile { path: path.clone(), source })?;
            Configuration::from_yaml(&text, &path.display().to_string())?
        }
        None => Configuration::new(),
    };
    for definition in &options.definitions {
        configuration.set_definition(definition)?;
    }
    configuration.validate()?;
    Ok(configuration)
}

/// Waits for SIGTERM or SIGINT and names it.
pub(super) async fn termination() -> &'static str {
    Terminations::new().next().await
}

/// SIGTERM and SIGINT, as they come. One that comes while nobody waits isn't lost.
pub(super) struct Terminations(Option<(Signal, Signal)>);

impl Terminations {
    /// From now on.
    pub(super) fn new() -> Self {
        let terminate = signal(SignalKind::terminate());
        // Without handlers the signals end the process at once, which is their default.
        Self(terminate.and_then(|term| Ok((term, signal(SignalKind::interrupt())?))).ok())
    }

    /// From now on, for who isn't in the runtime.
    pub(super) fn from_outside_of(runtime: &Runtime) -> Self {
        let _entered = runtime.enter();
        Self::new()
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> &'static str {
        let Some((terminate, interrupt)) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }
}
