//! The benchmark table: one subcommand a figure, each prints a row of a markdown table.
//!
//! ```text
//! cargo run --release -p thalweg-benchmarks -- all
//! ```
//!
//! The same binary is the application of those figures that need processes of their own
//! ([`application`]): then its first argument is a role, or `--`. Not here: the goals' reasons
//! and the measured figures, which are in `docs/benchmarks.md`.

mod application;
mod benchmarks;
mod command;
mod large_state;
mod measure;
mod table;

use std::process::ExitCode;

use clap::Parser;
use command::Command;

/// What a benchmark may fail with.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures the engine and prints a table.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    if first
        .is_some_and(|word| ["--", "jobmanager", "taskmanager", "rescale"].contains(&word.as_str()))
    {
        return thalweg::run("benchmarks", application::run);
    }
    match command::run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
