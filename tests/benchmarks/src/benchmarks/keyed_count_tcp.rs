//! The keyed count between two TaskManager processes: half of the records go through loopback TCP
//! in each direction.

use std::io::Read;

use thalweg::prelude::Duration;

use crate::Outcome;
use crate::application::KEYED_COUNT;
use crate::measure::checkpoints::Checkpoints;
use crate::measure::cluster::Throughput;
use crate::measure::processes::{Process, cpu_time, free_port};
use crate::table::{Goal, Row};

/// A JobManager and two TaskManagers with a slot each, full checkpoints at this interval.
pub(crate) fn run(records: u64, interval: Duration) -> Outcome<Vec<Row>> {
    let (port, cpu) = (free_port()?, cpu_time()?);
    let rpc = format!("-Djobmanager.rpc.port={port}");
    let (any_rest, any_metrics) = ("-Drest.port=0", "-Dmetrics.port=0");
    let number = records.to_string();
    let checkpoints = Checkpoints::every(interval)?;
    let settings = checkpoints.settings().map(|setting| format!("-D{setting}"));
    let settings = settings.each_ref().map(String::as_str);
    let mut of_job_manager = vec!["jobmanager", &rpc, any_rest, any_metrics];
    of_job_manager.extend(settings);
    of_job_manager.extend(["--", KEYED_COUNT, &number]);
    let mut job_manager = Process::start(&of_job_manager)?;
    let mut of_task_manager = vec!["taskmanager", &rpc, any_metrics];
    of_task_manager.push("-Dtaskmanager.numberOfTaskSlots=1");
    of_task_manager.extend(settings);
    let mut task_managers = [Process::start(&of_task_manager)?, Process::start(&of_task_manager)?];
    let mut printed = String::new();
    job_manager.0.stdout.take().ok_or("no output")?.read_to_string(&mut printed)?;
    let ended = job_manager.0.wait()?;
    if !ended.success() {
        return Err(format!("the JobManager has ended with {ended}").into());
    }
    for task_manager in &mut task_managers {
        task_manager.0.wait()?;
    }
    let wall = Duration::try_from_secs_f64(printed.trim().parse()?)?;
    let throughput = Throughput { records, wall, cpu: cpu_time()? - cpu };
    throughput.explain(&format!("between processes, with {}", checkpoints.published()?));
    Ok(vec![Row {
        what: "keyed count, 1 M keys, two processes over loopback TCP, full checkpoints",
        figure: throughput.millions_per_second(),
        unit: "M/s",
        goal: Goal::AtLeast(8.0),
        flink: None,
    }])
}
