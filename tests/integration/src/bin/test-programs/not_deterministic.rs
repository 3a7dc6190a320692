//! A program that describes another job each time it is run.

use std::sync::atomic::{AtomicU32, Ordering};

use thalweg::prelude::*;

static RUNS: AtomicU32 = AtomicU32::new(0);

/// Names an operator after the process and the run.
pub(crate) fn run(env: &StreamExecutionEnvironment, _args: &[String]) -> thalweg::Result {
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let numbers = DataGenerator::new(|number| number).with_count(10);
    env.from_source(numbers, no_watermarks(), "numbers")
        .map(|number| number + 1)
        .name(&format!("run {run} of process {}", std::process::id()))
        .sink_to(BlackholeSink::new());
    env.execute("not deterministic")?;
    Ok(())
}
