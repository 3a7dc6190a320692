//! From the start of a process, whose application runs in a local environment, to the first row
//! on its standard output.

use std::io::Read;

use thalweg::core::{Clock, SystemClock};

use crate::Outcome;
use crate::application::FIRST_RECORD;
use crate::measure::processes::Process;
use crate::table::{Goal, Row};

/// The median of so many starts.
pub(crate) fn run(repetitions: usize) -> Outcome<Vec<Row>> {
    let times = (0..repetitions.max(1)).map(|_| start());
    let mut times = times.collect::<Outcome<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    eprintln!("from {:.1} to {:.1} ms", times[0], times[times.len() - 1]);
    Ok(vec![Row {
        what: "process start to the first record out, median",
        figure: times[times.len() / 2],
        unit: "ms",
        goal: Goal::AtMost(100.0),
        flink: None,
    }])
}

fn start() -> Outcome<f64> {
    let clock = SystemClock::new();
    let mut process = Process::start(&["--", FIRST_RECORD])?;
    process.0.stdout.take().ok_or("no output")?.read_exact(&mut [0])?;
    Ok(clock.elapsed().as_secs_f64() * 1e3)
}
