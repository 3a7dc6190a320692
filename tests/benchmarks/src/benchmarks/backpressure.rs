//! Resident memory while a sink is much slower than its sources.

use thalweg::core::{Clock, SystemClock};
use thalweg::prelude::Duration;

use crate::Outcome;
use crate::application::SLOW_SINK;
use crate::measure::processes::{Process, pause};
use crate::measure::slope::slope;
use crate::table::{Goal, Row};

/// Looks at this time.
const LOOKS: u32 = 200;
/// What counts as flat: less than a megabyte in ten minutes.
const FLAT_KB_PER_MINUTE: f64 = 100.0;

/// Watches for so long, after a tenth of it in which queues and state fill.
pub(crate) fn run(time: Duration) -> Outcome<Vec<Row>> {
    let process = Process::start(&["--", SLOW_SINK])?;
    pause(time / 10);
    let (clock, mut seen) = (SystemClock::new(), Vec::new());
    for _ in 0..LOOKS {
        let bytes = process.resident_bytes()? as f64;
        seen.push((clock.elapsed().as_secs_f64() / 60.0, bytes / 1000.0));
        pause(time / LOOKS);
    }
    let kilobytes = || seen.iter().map(|point| point.1);
    let (least, most) = (kilobytes().fold(f64::MAX, f64::min), kilobytes().fold(0.0, f64::max));
    eprintln!("resident: {:.1} to {:.1} MB", least / 1e3, most / 1e3);
    Ok(vec![
        Row {
            what: "memory under back pressure: slope",
            figure: slope(&seen),
            unit: "kB/min",
            goal: Goal::AtMost(FLAT_KB_PER_MINUTE),
            flink: None,
        },
        Row {
            what: "memory under back pressure: maximum",
            figure: most / 1e3,
            unit: "MB",
            goal: Goal::None,
            flink: None,
        },
    ])
}
