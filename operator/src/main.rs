//! `thalweg-operator`: the command line of the operator.
//!
//! `crd` prints the CustomResourceDefinition, for `kubectl apply -f -`; `run` reconciles; `probe`
//! asks one that runs how it is.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use kube::client::{ClientBuilder, DynBody};
use thalweg_core::clock::{Clock, SystemClock};
use thalweg_operator::controller;
use thalweg_operator::election::Campaign;
use thalweg_operator::resource::definition;
use thalweg_operator::server::{self, CountRequests, Health, Metrics};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
#[command(name = "thalweg-operator", version, about = "Runs Thalweg's applications in Kubernetes")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the CustomResourceDefinition of FlinkApplication as YAML
    Crd,
    /// Ask a process for its health or readiness, once: the end of `helm test`
    Probe {
        /// As http://thalweg-operator.NAMESPACE.svc:8080/readyz
        url: String,
    },
    /// Reconcile FlinkApplications, until SIGTERM
    Run(RunOptions),
}

#[derive(Debug, Args)]
struct RunOptions {
    /// Only this namespace's; may be given several times. Without it, all
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Vec<String>,
    /// Where metrics and health are served
    #[arg(long, value_name = "HOST:PORT", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Reconcile only while holding the Lease thalweg-operator: for two or more processes. Needs
    /// the pod's name in the environment variable POD_NAME
    #[arg(long)]
    leader_election: bool,
    /// The namespace of that Lease; else the pod's
    #[arg(long, value_name = "NAMESPACE", requires = "leader_election")]
    leader_election_namespace: Option<String>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Crd => print_definition(),
        Command::Probe { url } => probe(&url),
        Command::Run(options) => run(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("thalweg-operator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_definition() -> Result<(), Box<dyn std::error::Error>> {
    let yaml = definition::definition_yaml()?;
    Ok(std::io::stdout().write_all(yaml.as_bytes())?)
}

fn probe(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let answer = server::probe(url)?;
    Ok(std::io::stdout().write_all(answer.as_bytes())?)
}

#[tokio::main]
async fn run(options: RunOptions) -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (metrics, health) = (Metrics::new()?, Arc::new(Health::default()));
    let config = kube::Config::infer().await?;
    let own_namespace = config.default_namespace.clone();
    let client = ClientBuilder::try_from(config)?
        .with_layer(&CountRequests(metrics.clone()))
        .build::<Box<DynBody>>();
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    let (leads, leading) = watch::channel(!options.leader_election);
    let mut campaign = if options.leader_election {
        let identity = std::env::var("POD_NAME").map_err(
            |_| "--leader-election needs the pod's name in POD_NAME: set it from metadata.name",
        )?;
        let namespace = options.leader_election_namespace.unwrap_or(own_namespace);
        let clock = Arc::clone(&clock);
        Some(Campaign::new(client.clone(), &namespace, identity, clock, leads))
    } else {
        None
    };
    let (told, stop) = watch::channel(false);
    let reconciled = controller::run(
        client,
        controller::Options { namespaces: options.namespace, leading, stop },
        Arc::clone(&clock),
        metrics.clone(),
        Arc::clone(&health),
    );
    let served = server::serve(listener, metrics, health, clock);
    let ended = {
        let elected = async {
            match &mut campaign {
                Some(campaign) => campaign.run().await,
                None => std::future::pending().await,
            }
        };
        let signalled = async {
            terminated().await?;
            tracing::info!("told to end");
            told.send_replace(true);
            std::future::pending::<std::io::Result<()>>().await
        };
        tokio::select! {
            outcome = served => outcome.map_err(Into::into),
            // Nothing more may be written: what is under way is dropped.
            lost = elected => Err(lost.into()),
            outcome = signalled => outcome.map_err(Into::into),
            () = reconciled => Ok(()),
        }
    };
    if let (Ok(()), Some(campaign)) = (&ended, &mut campaign) {
        campaign.release().await;
    }
    ended
}

/// Waits for SIGTERM or SIGINT.
async fn terminated() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
