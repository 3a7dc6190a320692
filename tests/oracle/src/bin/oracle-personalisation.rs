//! Writes what `personalisation` must output, sorted, with the application's own flags.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use thalweg_oracle::{OracleError, personalisation, write_lines};

/// Writes what personalisation must output, sorted.
#[derive(Parser)]
struct Arguments {
    /// A CSV file or a folder of them
    #[arg(long)]
    views: PathBuf,
    /// A CSV file or a folder of them
    #[arg(long)]
    purchases: PathBuf,
    /// The file for the sessions; standard output if not given
    #[arg(long)]
    sessions: Option<PathBuf>,
    /// The file for the recommendations; standard output if not given
    #[arg(long)]
    recommendations: Option<PathBuf>,
}

fn run(arguments: &Arguments) -> Result<(), OracleError> {
    let output = personalisation::run(&arguments.views, &arguments.purchases)?;
    write_lines(arguments.sessions.as_deref(), &output.sessions)?;
    write_lines(arguments.recommendations.as_deref(), &output.recommendations)?;
    eprintln!(
        "{} views, {} late; {} purchases, {} late; {} sessions, {} recommendations",
        output.views,
        output.late_views,
        output.purchases,
        output.late_purchases,
        output.sessions.len(),
        output.recommendations.len()
    );
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oracle-personalisation: {error}");
            ExitCode::FAILURE
        }
    }
}
