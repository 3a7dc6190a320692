//! What an incremental checkpoint of large state to MinIO costs.

use clap::Args;

use crate::Outcome;
use crate::large_state::cluster::{Checkpoint, INTERVAL, LargeState, ROW_BYTES};
use crate::table::{Goal, Row};

/// How large the state is and how much of it changes.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Rows of 100 bytes
    #[arg(long, default_value_t = 10_000_000)]
    keys: u64,
    /// Of so many records one writes: so that about 1 % of the rows change between checkpoints
    #[arg(long, default_value_t = 1200)]
    write_every: u64,
    /// Checkpoints that are looked at
    #[arg(long, default_value_t = 20)]
    checkpoints: usize,
}

/// A quiet time begins so long after a checkpoint, and ends so long before the next one, in ms.
const DISTANCE: i64 = 500;

/// Checkpoints every 10 s of a job at parallelism 2 in one TaskManager.
pub(crate) fn run(flags: &Flags) -> Outcome<Vec<Row>> {
    let shape = (flags.keys, flags.write_every, 2);
    let settings = [("taskmanager.memory.process.size", "10 gb")];
    let large = LargeState::start("incremental", shape, &[2], &settings)?;
    let checkpoints = large.wait_for_checkpoints(flags.checkpoints + 1)?;
    let (mut durations, mut losses, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in checkpoints.windows(2) {
        let [before, checkpoint] = [pair[0], pair[1]];
        let changed = large.rows_written(before.triggered, checkpoint.triggered)?;
        if checkpoint.bytes * 2 > flags.keys * ROW_BYTES {
            eprintln!(
                "checkpoint {} writes new bases: {} ms, {:.0} MB",
                checkpoint.id,
                checkpoint.duration,
                checkpoint.bytes as f64 / 1e6
            );
            continue;
        }
        let Some(loss) = loss(&large, before, checkpoint)? else { continue };
        let ratio = checkpoint.bytes as f64 / (changed * ROW_BYTES as f64);
        eprintln!(
            "checkpoint {}: {} ms, {:.2} MB, {:.2} % of the rows changed, {:.2} times their \
             bytes, {:.1} % less throughput",
            checkpoint.id,
            checkpoint.duration,
            checkpoint.bytes as f64 / 1e6,
            changed * 100.0 / flags.keys as f64,
            ratio,
            loss * 100.0
        );
        durations.push(checkpoint.duration as f64);
        losses.push(loss);
        ratios.push(ratio);
    }
    let (first, last) = (checkpoints.first(), checkpoints.last());
    let (from, to) = first.zip(last).ok_or("no checkpoints")?;
    let throughput = large.throughput(from.triggered, to.triggered)? / 1e6;
    eprintln!("{throughput:.2} M records a second in all");
    let row = |what, figure, unit, goal| Row { what, figure, unit, goal, flink: None };
    Ok(vec![
        row("incremental checkpoint of 10 M rows, p99", p99(durations), "ms", Goal::AtMost(1000.0)),
        row("throughput lost while one runs", mean(&losses) * 100.0, "%", Goal::AtMost(10.0)),
        row("bytes written, of the changed rows'", mean(&ratios), "times", Goal::AtMost(2.0)),
        row("throughput", throughput, "M/s", Goal::None),
    ])
}

/// The part of the throughput that is missing while a checkpoint runs, of that between this one
/// and the one before it; none if that one, with new bases, took nearly until this one.
fn loss(large: &LargeState, before: Checkpoint, checkpoint: Checkpoint) -> Outcome<Option<f64>> {
    let end = checkpoint.triggered + checkpoint.duration;
    let (from, to) =
        (before.triggered + before.duration + DISTANCE, checkpoint.triggered - DISTANCE);
    if to - from < DISTANCE {
        return Ok(None);
    }
    let quiet = large.throughput(from, to)?;
    Ok(Some(1.0 - large.throughput(checkpoint.triggered, end)? / quiet))
}

/// That of few figures is the largest.
fn p99(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let place = (figures.len() as f64 * 0.99).ceil() as usize;
    figures.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

const _: () = assert!(INTERVAL.as_millis() as i64 > 4 * DISTANCE);
