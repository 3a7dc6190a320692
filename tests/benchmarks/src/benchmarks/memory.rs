//! Resident memory of processes that have nothing to do.

use thalweg::prelude::Duration;

use crate::Outcome;
use crate::application::IDLE;
use crate::measure::processes::{Process, free_port, pause};
use crate::table::{Goal, Row};

/// A JobManager and a TaskManager that is registered with it, after this time.
pub(crate) fn run(settle: Duration) -> Outcome<Vec<Row>> {
    let rpc = format!("-Djobmanager.rpc.port={}", free_port()?);
    let (any_rest, any_metrics) = ("-Drest.port=0", "-Dmetrics.port=0");
    let job_manager = Process::start(&["jobmanager", &rpc, any_rest, any_metrics, "--", IDLE])?;
    let task_manager = Process::start(&["taskmanager", &rpc, any_metrics])?;
    pause(settle);
    let row = |what, bytes: u64| Row {
        what,
        figure: bytes as f64 / 1e6,
        unit: "MB",
        goal: Goal::AtMost(30.0),
        flink: None,
    };
    Ok(vec![
        row("memory of an idle JobManager", job_manager.resident_bytes()?),
        row("memory of an idle TaskManager", task_manager.resident_bytes()?),
    ])
}
