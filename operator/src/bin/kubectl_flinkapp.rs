//! `kubectl-flinkapp`: in the PATH, it is `kubectl flinkapp`.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::config::{Config, KubeConfigOptions};
use thalweg_core::clock::{Clock, SystemClock};
use thalweg_operator::plugin::Wish;
use thalweg_operator::plugin::commands::Target;

#[derive(Debug, Parser)]
#[command(name = "kubectl flinkapp", version, about = "Looks after Thalweg's applications")]
struct Arguments {
    /// The application's namespace; else that of the context
    #[arg(long, short, global = true)]
    namespace: Option<String>,
    /// The context of the kubeconfig; else the current one
    #[arg(long, global = true)]
    context: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what belongs to an application, how it is, and why
    Status {
        /// The application
        name: String,
    },
    /// Take a savepoint; with --wait, print its path
    Savepoint(Asked),
    /// Take a final checkpoint and let all pods go
    Suspend(Asked),
    /// Let a suspended application go on from where it was
    Resume(Asked),
}

#[derive(Debug, Args)]
struct Asked {
    /// The application
    name: String,
    /// Wait until it has come about
    #[arg(long)]
    wait: bool,
    /// How long, as 90s or 10m
    #[arg(long, value_name = "TIME", default_value = "10m", requires = "wait")]
    timeout: SignedDuration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(told) => match writeln!(std::io::stdout(), "{}", told.trim_end()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("kubectl flinkapp: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<String, Box<dyn std::error::Error>> {
    let config = match arguments.context {
        Some(context) => {
            let options = KubeConfigOptions { context: Some(context), ..Default::default() };
            Config::from_kubeconfig(&options).await?
        }
        None => Config::infer().await?,
    };
    let namespace = arguments.namespace.unwrap_or_else(|| config.default_namespace.clone());
    let client = kube::Client::try_from(config)?;
    let target = |name: String| Target { client, namespace, name };
    let now_ms = SystemClock::new().wall_ms();
    let (asked, wish) = match arguments.command {
        Command::Status { name } => {
            let now = Time(Timestamp::from_millisecond(now_ms)?);
            return Ok(target(name).status(&now).await?);
        }
        // Another one each time: a token that was there already asks for nothing.
        Command::Savepoint(asked) => {
            (asked, Wish::Savepoint { token: format!("kubectl-{now_ms}") })
        }
        Command::Suspend(asked) => (asked, Wish::Suspended),
        Command::Resume(asked) => (asked, Wish::Running { beyond: None }),
    };
    let time = Duration::try_from(asked.timeout)?;
    let wait = asked.wait.then_some(time);
    Ok(target(asked.name).ask(&wish, wait).await?)
}
