//! `thalweg-operator`: the command line of the operator.
//!
//! `crd` prints the CustomResourceDefinition, for `kubectl apply -f -`; `run` reconciles.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use thalweg_core::clock::SystemClock;
use thalweg_operator::controller;
use thalweg_operator::resource::definition;
use thalweg_operator::server::{self, Metrics};
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
    /// Reconcile FlinkApplications, until SIGTERM. One process at a time
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
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Crd => print_definition(),
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

#[tokio::main]
async fn run(options: RunOptions) -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let client = kube::Client::try_default().await?;
    let metrics = Metrics::new()?;
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    let served = server::serve(listener, metrics.clone());
    let namespaces = options.namespace.into_iter().collect();
    let reconciled = controller::run(client, namespaces, Arc::new(SystemClock::new()), metrics);
    tokio::select! {
        outcome = served => outcome?,
        () = reconciled => tracing::info!("told to end"),
    }
    Ok(())
}
