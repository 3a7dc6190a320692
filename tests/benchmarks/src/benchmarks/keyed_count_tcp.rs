//! The keyed count between two TaskManager processes: half of the records go through loopback TCP
//! in each direction.

use std::io::Read;

use thalweg::prelude::Duration;

use crate::Outcome;
use crate::application::KEYED_COUNT;
use crate::measure::cluster::Throughput;
use crate::measure::processes::{Process, cpu_time, free_port};
use crate::table::{Goal, Row};

/// A JobManager and two TaskManagers with a slot each.
pub(crate) fn run(records: u64) -> Outcome<Vec<Row>> {
    let (port, cpu) = (free_port()?, cpu_time()?);
    let rpc = format!("-Djobmanager.rpc.port={port}");
    let (any_rest, any_metrics) = ("-Drest.port=0", "-Dmetrics.port=0");
    let number = records.to_string();
    let of_job_manager =
        ["jobmanager", &rpc, any_rest, any_metrics, "--", KEYED_COUNT, number.as_str()];
    let mut job_manager = Process::start(&of_job_manager)?;
    let of_task_manager = ["taskmanager", &rpc, any_metrics, "-Dtaskmanager.numberOfTaskSlots=1"];
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
    throughput.explain("between processes");
    Ok(vec![Row {
        what: "keyed count, 1 M keys, two processes over loopback TCP",
        figure: throughput.millions_per_second(),
        unit: "M/s",
        goal: Goal::AtLeast(8.0),
        flink: None,
    }])
}
