//! How long a job with large state doesn't process when a TaskManager is killed, and when it is
//! brought to another parallelism.

use clap::Args;
use thalweg::core::{Clock, SystemClock};
use thalweg_integration_tests::Process;

use crate::Outcome;
use crate::large_state::cluster::{LargeState, ROW_BYTES};
use crate::table::{Goal, Row};

/// How large the state is.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// MB of state: 100 and 1000 have goals
    #[arg(long, default_value_t = 100)]
    megabytes: u64,
    /// How often it is done
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// TaskManagers keep local copies of what they write
    #[arg(long)]
    local_copies: bool,
}

/// One of so many records writes.
const WRITE_EVERY: u64 = 800;

fn start(flags: &Flags, task_managers: usize) -> Outcome<(LargeState, tempfile::TempDir)> {
    let local = tempfile::tempdir()?;
    let shape = (flags.megabytes * 1_000_000 / ROW_BYTES, WRITE_EVERY, 2);
    let place = local.path().to_str().ok_or("a path that isn't UTF-8")?;
    let copies = [("execution.checkpointing.local-backup.dirs", place)];
    let settings = if flags.local_copies { &copies[..] } else { &[] };
    let large = LargeState::start("recovery", shape, &vec![1; task_managers], settings)?;
    Ok((large, local))
}

/// One of two TaskManagers is killed, a third one has a free slot.
pub(crate) fn killed(flags: &Flags) -> Outcome<Vec<Row>> {
    let (mut large, _local) = start(flags, 3)?;
    let (clock, mut times) = (SystemClock::new(), Vec::new());
    for _ in 0..flags.repetitions {
        large.wait_for_checkpoints(1)?;
        let (victim, known) = (busy(&large)?, large.beats.starts()?);
        let killed = clock.wall_ms();
        large.cluster.task_managers.remove(victim).kill();
        let time = large.processing_again(&known, 2, killed)?;
        eprintln!("killed: {time} ms without all of it processing");
        times.push(time as f64);
        large.cluster.start_task_manager(1);
        large.cluster.rest.wait_for_task_managers(3);
    }
    let goal = if flags.megabytes <= 100 { 2000.0 } else { 10_000.0 };
    Ok(vec![worst("a TaskManager killed: until all of it processes again", times, goal)])
}

/// From parallelism 2 to 3.
pub(crate) fn rescaled(flags: &Flags) -> Outcome<Vec<Row>> {
    let mut times = Vec::new();
    for _ in 0..flags.repetitions {
        let (large, _local) = start(flags, 3)?;
        let known = large.beats.starts()?;
        let target = large.cluster.rest.address().to_owned();
        let job = &large.job;
        let words = ["rescale", "--target", &target, "--parallelism", "3", job];
        Process::run("rescale", &std::env::current_exe()?, &words).succeeded();
        let began = large.processing_again(&known, 3, 0)?;
        let stopped = large.beats.last_of(&known)?.ok_or("nothing was processed")?;
        eprintln!("rescaled: {} ms without all of it processing", began - stopped);
        times.push((began - stopped) as f64);
    }
    Ok(vec![worst("rescale 2 to 3: time without processing", times, 5000.0)])
}

/// The place of a TaskManager that the job has a slot of.
fn busy(large: &LargeState) -> Outcome<usize> {
    let registered = large.cluster.rest.task_managers();
    let is_busy = |process: &Process| {
        registered.iter().any(|task_manager| {
            let own = task_manager["id"].as_str().unwrap_or_default();
            own.contains(&format!("-{}-", process.id())) && task_manager["freeSlots"] == 0
        })
    };
    let place = large.cluster.task_managers.iter().position(is_busy);
    Ok(place.ok_or("no TaskManager is busy")?)
}

fn worst(what: &'static str, times: Vec<f64>, goal: f64) -> Row {
    let figure = times.into_iter().fold(f64::NAN, f64::max);
    Row { what, figure, unit: "ms", goal: Goal::AtMost(goal), flink: None }
}
