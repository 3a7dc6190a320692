//! Runs a job in this process and tells how long it took.

use thalweg::StreamExecutionEnvironment;
use thalweg::core::configuration::Configuration;
use thalweg::core::{Clock, SystemClock};
use thalweg::prelude::Duration;
use thalweg::process::LocalCluster;

use super::processes::cpu_time;
use crate::Outcome;

/// How long a job of so many records took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Throughput {
    pub(crate) records: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Throughput {
    /// Millions of records per second.
    pub(crate) fn millions_per_second(&self) -> f64 {
        self.records as f64 / self.wall.as_secs_f64() / 1e6
    }

    /// Says on standard error what isn't in the table.
    pub(crate) fn explain(&self, what: &str) {
        let per_record = self.cpu.as_secs_f64() * 1e9 / self.records as f64;
        eprintln!(
            "{what}: {} records in {:.2} s, {:.2} M/s, {per_record:.2} ns of processor time a \
             record",
            self.records,
            self.wall.as_secs_f64(),
            self.millions_per_second(),
        );
    }
}

/// Describes a job, runs it in a cluster of this process, and measures it from the submission to
/// its end. `settings` are `key=value`.
pub(crate) fn measure(
    settings: &[String],
    parallelism: u32,
    records: u64,
    describe: impl FnOnce(&StreamExecutionEnvironment),
) -> Outcome<Throughput> {
    let mut configuration = Configuration::new();
    for setting in settings {
        configuration.set_definition(setting)?;
    }
    let cluster = LocalCluster::start(configuration)?;
    let env = cluster.environment("benchmark", Vec::new(), None);
    env.set_parallelism(parallelism);
    describe(&env);
    let (clock, cpu) = (SystemClock::new(), cpu_time()?);
    env.execute("benchmark")?;
    let throughput = Throughput { records, wall: clock.elapsed(), cpu: cpu_time()? - cpu };
    drop(env);
    cluster.shut_down();
    Ok(throughput)
}
