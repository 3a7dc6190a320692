//! What a checkpoint each second to MinIO takes off the keyed count.

use clap::Args;
use thalweg::prelude::Duration;
use thalweg_integration_tests::S3;

use super::keyed_count;
use crate::Outcome;
use crate::measure::cluster::measure;
use crate::table::{Goal, Row};

/// How large the state is.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Keys: 10,000 and 1,000,000 have goals
    #[arg(long, default_value_t = 10_000)]
    keys: u64,
    /// Records of a run, in millions
    #[arg(long, default_value_t = 600)]
    millions: u64,
    /// Pairs of runs, one with and one without checkpoints
    #[arg(long, default_value_t = 5)]
    pairs: usize,
}

/// Runs with and without checkpoints take turns; the figure is the median of the pairs' ratios.
pub(crate) fn run(flags: &Flags) -> Outcome<Vec<Row>> {
    let s3 = S3::new("every-second");
    let records = flags.millions * 1_000_000;
    let mut losses = Vec::new();
    for pair in 0..flags.pairs {
        let interval = format!("{} ms", Duration::from_secs(1).as_millis());
        let mut settings: Vec<String> =
            s3.settings(None).iter().map(|(key, value)| format!("{key}={value}")).collect();
        settings.push(format!("execution.checkpointing.interval={interval}"));
        let place = s3.location(&format!("{pair}"));
        settings.push(format!("execution.checkpointing.dir={place}"));
        let count = |settings: &[String]| {
            measure(settings, 2, records, |env| {
                keyed_count::describe_keys(env, records, flags.keys);
            })
        };
        let (with, without) = (count(&settings)?, count(&[])?);
        with.explain("with a checkpoint each second");
        without.explain("without");
        losses.push(1.0 - with.millions_per_second() / without.millions_per_second());
    }
    losses.sort_by(f64::total_cmp);
    let figure = losses.get(losses.len() / 2).copied().unwrap_or(f64::NAN) * 100.0;
    let goal = Goal::AtMost(if flags.keys <= 10_000 { 5.0 } else { 20.0 });
    let what = "a checkpoint each second takes off the keyed count";
    Ok(vec![Row { what, figure, unit: "%", goal, flink: None }])
}
