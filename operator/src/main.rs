//! `thalweg-operator`: the command line of the operator.
//!
//! `crd` prints the CustomResourceDefinition, for `kubectl apply -f -`.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thalweg_operator::resource::definition;

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
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Crd => print_definition(),
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
