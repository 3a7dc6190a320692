//! Makes input for the example applications: `generate-example-data APPLICATION OPTIONS`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thalweg_oracle::OracleError;
use thalweg_oracle::generator::{FraudDetectionData, PersonalisationData};

/// Makes input for the example applications; the same options give the same bytes.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    application: Application,
}

#[derive(Subcommand)]
enum Application {
    /// Card payments for fraud-detection
    FraudDetection {
        /// The number of rows, in all files together
        #[arg(long)]
        rows: u64,
        /// The number of accounts
        #[arg(long, default_value_t = 1_000)]
        accounts: u64,
        /// Another seed gives other data
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// With more than one file, OUT becomes a folder
        #[arg(long, default_value_t = 1)]
        files: usize,
        /// The file or folder to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Views and purchases for personalisation
    Personalisation {
        /// The number of rows, in all files of both inputs together
        #[arg(long)]
        rows: u64,
        /// The number of users
        #[arg(long, default_value_t = 100)]
        users: u64,
        /// Another seed gives other data
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// With more than one file for each input, the outs become folders
        #[arg(long, default_value_t = 1)]
        files: usize,
        /// The file or folder to write views to
        #[arg(long)]
        views: PathBuf,
        /// The file or folder to write purchases to
        #[arg(long)]
        purchases: PathBuf,
    },
}

fn generate(application: Application) -> Result<(), OracleError> {
    match application {
        Application::FraudDetection { rows, accounts, seed, files, out } => {
            FraudDetectionData { rows, accounts, seed }.write_to(out, files)
        }
        Application::Personalisation { rows, users, seed, files, views, purchases } => {
            PersonalisationData { rows, users, seed }.write_to(views, purchases, files)
        }
    }
}

fn main() -> ExitCode {
    match generate(Arguments::parse().application) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate-example-data: {error}");
            ExitCode::FAILURE
        }
    }
}
