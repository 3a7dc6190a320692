//! The subcommands and their flags; `all` runs each of the others in a process of its own, so
//! that none measures what another one left behind.

use clap::{Args, Subcommand};
use thalweg::prelude::Duration;

use crate::Outcome;
use crate::benchmarks::{
    backpressure, chained, every_second, incremental, keyed_count, keyed_count_tcp, latency,
    memory, recovery, sliding, startup,
};
use crate::measure::processes;
use crate::table;

/// A benchmark.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// source -> map -> filter -> blackhole in one task: records per second
    Chained(Records),
    /// key_by -> count in value state, 1 M keys, parallelism 2, with and without checkpoints
    KeyedCount(Checkpointed),
    /// The same between two TaskManager processes over loopback TCP
    KeyedCountTcp(Checkpointed),
    /// Sliding window 10 s / 1 s, sum, 10 K keys, parallelism 2
    Sliding(Checkpointed),
    /// source -> keyed process -> sink at a fixed rate: p50, p99, max
    Latency(latency::Flags),
    /// Resident memory of an idle JobManager and an idle TaskManager
    Memory(Settling),
    /// Resident memory over time with a sink that is too slow
    Backpressure(Minutes),
    /// Start of a local environment to the first record out
    Startup(Repetitions),
    /// Incremental checkpoints of 10 M rows to MinIO: p99, throughput lost, bytes
    Incremental(incremental::Flags),
    /// A checkpoint each second to MinIO: what it takes off the keyed count
    EverySecond(every_second::Flags),
    /// A TaskManager killed, with large state in MinIO: until all of the job processes again
    Recovery(recovery::Flags),
    /// Parallelism 2 to 3 with large state in MinIO: the time without processing
    #[command(name = "rescaling")]
    Rescale(recovery::Flags),
    /// All of them, apart from those with MinIO
    All(Quick),
}

/// How much is read.
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// Records that all sources together make; enough for some tens of seconds unless given
    #[arg(long)]
    records: Option<u64>,
}

impl Records {
    fn or_millions(&self, millions: u64) -> u64 {
        self.records.unwrap_or(millions * 1_000_000)
    }
}

/// A job with checkpoints.
#[derive(Debug, Args)]
pub(crate) struct Checkpointed {
    #[command(flatten)]
    pub(crate) records: Records,
    /// Time between two checkpoints, in ms
    #[arg(long, default_value_t = 10_000)]
    pub(crate) interval_ms: u64,
}

impl Checkpointed {
    fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}

/// How long a process is left alone before it is looked at.
#[derive(Debug, Args)]
pub(crate) struct Settling {
    /// Seconds
    #[arg(long, default_value_t = 10.0)]
    pub(crate) settle: f64,
}

/// How long the memory is watched.
#[derive(Debug, Args)]
pub(crate) struct Minutes {
    /// Minutes
    #[arg(long, default_value_t = 10.0)]
    pub(crate) minutes: f64,
}

/// How often a short measurement is repeated.
#[derive(Debug, Args)]
pub(crate) struct Repetitions {
    /// Processes that are started, one after another
    #[arg(long, default_value_t = 11)]
    pub(crate) repetitions: usize,
}

/// How thorough `all` is.
#[derive(Debug, Args)]
pub(crate) struct Quick {
    /// Short runs that show that everything works; the figures mean nothing
    #[arg(long)]
    pub(crate) quick: bool,
}

const FULL: [&str; 8] = [
    "chained",
    "keyed-count",
    "keyed-count-tcp",
    "sliding",
    "latency",
    "memory",
    "backpressure",
    "startup",
];

const QUICK: [&str; 8] = [
    "chained --records 2000000",
    "keyed-count --records 400000 --interval-ms 50",
    "keyed-count-tcp --records 200000 --interval-ms 50",
    "sliding --records 400000 --interval-ms 50",
    "latency --rate 2000 --warm-up 0.3 --seconds 1",
    "memory --settle 1",
    "backpressure --minutes 0.1",
    "startup --repetitions 1",
];

/// Runs a benchmark and prints its rows.
pub(crate) fn run(command: &Command) -> Outcome {
    let rows = match command {
        Command::Chained(flags) => chained::run(flags.or_millions(4_000))?,
        Command::KeyedCount(flags) => {
            keyed_count::run(flags.records.or_millions(1_500), flags.interval())?
        }
        Command::KeyedCountTcp(flags) => {
            keyed_count_tcp::run(flags.records.or_millions(1_000), flags.interval())?
        }
        Command::Sliding(flags) => sliding::run(flags.records.or_millions(800), flags.interval())?,
        Command::Latency(flags) => latency::run(flags)?,
        Command::Memory(flags) => memory::run(Duration::try_from_secs_f64(flags.settle)?)?,
        Command::Backpressure(flags) => {
            backpressure::run(Duration::try_from_secs_f64(flags.minutes * 60.0)?)?
        }
        Command::Startup(flags) => startup::run(flags.repetitions)?,
        Command::Incremental(flags) => incremental::run(flags)?,
        Command::EverySecond(flags) => every_second::run(flags)?,
        Command::Recovery(flags) => recovery::killed(flags)?,
        Command::Rescale(flags) => recovery::rescaled(flags)?,
        Command::All(flags) => return all(flags.quick),
    };
    let words: Vec<String> = std::env::args().skip(1).collect();
    table::print(&rows, &words.join(" "));
    Ok(())
}

fn all(quick: bool) -> Outcome {
    table::print_head();
    for line in if quick { QUICK } else { FULL } {
        let output = processes::own_binary()?
            .args(line.split(' '))
            .stderr(std::process::Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("`{line}` ended with {}", output.status).into());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        for row in text.lines().filter(|row| table::is_row(row)) {
            println!("{row}");
        }
    }
    Ok(())
}
