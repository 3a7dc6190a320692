//! Writes what `fraud-detection` must output, sorted, with the application's own flags.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use thalweg_oracle::{OracleError, fraud_detection, write_lines};

/// Writes what fraud-detection must output, sorted.
#[derive(Parser)]
struct Arguments {
    /// A CSV file or a folder of them
    #[arg(long)]
    transactions: PathBuf,
    /// The file for the alerts; standard output if not given
    #[arg(long)]
    alerts: Option<PathBuf>,
    /// The file for the late rows; standard output if not given
    #[arg(long)]
    late: Option<PathBuf>,
}

fn run(arguments: &Arguments) -> Result<(), OracleError> {
    let output = fraud_detection::run(&arguments.transactions)?;
    write_lines(arguments.alerts.as_deref(), &output.alerts)?;
    write_lines(arguments.late.as_deref(), &output.late)?;
    let counts = output.counts;
    eprintln!(
        "{} rows, {} late; alerts: {} small_then_large, {} impossible_travel, {} burst",
        output.rows,
        output.late.len(),
        counts.small_then_large,
        counts.impossible_travel,
        counts.burst
    );
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oracle-fraud-detection: {error}");
            ExitCode::FAILURE
        }
    }
}
