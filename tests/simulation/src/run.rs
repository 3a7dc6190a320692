//! One run of a seed and its verdict: safety all along, and, once everything is healed, progress
//! to the end within a bounded time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use thalweg_core::status::JobStatus;
use thalweg_jobmanager::rest::RestGateway;
use turmoil::{Builder, Sim};

use crate::clock::BEGIN_MS;
use crate::cluster::{World, add_hosts};
use crate::faults::Schedule;
use crate::ledger::Ledger;
use crate::oracle;
use crate::plan::{Mode, Plan};
use crate::rows::Rows;
use crate::store::FaultyStore;
use crate::trace::Trace;
use crate::workload;

/// How coarse the simulation is: messages arrive at multiples of it.
const TICK: Duration = Duration::from_millis(10);
/// After the healing, the job must have ended within this.
const FINISH_WITHIN: Duration = Duration::from_secs(90);
/// After the job's end, its slots must be free within this.
const CLEAN_WITHIN: Duration = Duration::from_secs(15);

/// How a run went.
#[derive(Debug)]
pub struct Report {
    /// The hash of all that happened.
    pub trace_hash: u64,
    /// How many things happened.
    pub events: u64,
    /// Virtual time.
    pub took: Duration,
    /// How often the job was restarted.
    pub restarts: u64,
    /// Its completed checkpoints.
    pub checkpoints: u64,
    /// Steps of TaskManagers in the store.
    pub steps: u64,
    /// Objects in the store that no manifest refers to.
    pub orphans: usize,
    /// What went wrong, with the last lines of the trace; None: nothing.
    pub failure: Option<String>,
}

/// What was seen of the job while it ran.
#[derive(Default)]
struct Watch {
    completed: u64,
    restored: Option<(u64, i64)>,
    restarts: u64,
    checkpoints: u64,
}

impl Watch {
    /// Looks at what REST would show.
    fn look(&mut self, world: &World) -> Result<(), String> {
        let Some(job_manager) = world.job_manager.lock().clone() else { return Ok(()) };
        let cluster = job_manager.cluster();
        let Some(job) = cluster.jobs.first() else { return Ok(()) };
        self.restarts = job.restarts;
        let Some(checkpoints) = &job.checkpoints else { return Ok(()) };
        self.checkpoints = checkpoints.counts.completed;
        let restored = checkpoints.latest_restored.as_ref().map(|r| (r.id, r.restore_ms));
        if restored != self.restored {
            self.restored = restored;
            if let Some((id, _)) = restored.filter(|(id, _)| *id < self.completed) {
                return Err(format!(
                    "checkpoint {id} is restored although {} was complete",
                    self.completed
                ));
            }
        }
        let completed = checkpoints.latest_completed.as_ref().map_or(0, |latest| latest.id);
        self.completed = self.completed.max(completed);
        Ok(())
    }
}

/// Runs a seed. `print`: with each event on stderr.
pub fn run(seed: u64, print: bool) -> Report {
    run_plan(Plan::of(seed), print)
}

/// Runs a plan that needn't be any seed's.
pub fn run_plan(plan: Plan, print: bool) -> Report {
    let trace = Trace::new(print);
    let mut watch = Watch::default();
    let mut sim = simulation(&plan);
    let store = FaultyStore::new(&plan, trace.clone());
    let outcome = simulate(&plan, &trace, &store, &mut watch, &mut sim);
    let took = sim.elapsed();
    let failure = outcome.err().map(|what| {
        format!("{what}\nafter {:.3} s; the last events:\n{}", took.as_secs_f64(), trace.tail())
    });
    let Watch { restarts, checkpoints, .. } = watch;
    let (trace_hash, events) = (trace.hash(), trace.events());
    let (steps, orphans) = (store.steps(), store.orphans_and_missing().0.len());
    Report { trace_hash, events, took, restarts, checkpoints, steps, orphans, failure }
}

fn simulation<'a>(plan: &Plan) -> Sim<'a> {
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_millis(BEGIN_MS.unsigned_abs());
    Builder::new()
        .epoch(epoch)
        .simulation_duration(Duration::from_secs(3_600))
        .tick_duration(TICK)
        .min_message_latency(Duration::ZERO)
        .max_message_latency(Duration::from_millis(plan.latency_ms))
        .tcp_capacity(4096)
        .rng_seed(plan.seed)
        .enable_random_order()
        .build()
}

fn simulate(
    plan: &Plan,
    trace: &Trace,
    store: &FaultyStore,
    watch: &mut Watch,
    sim: &mut Sim<'_>,
) -> Result<(), String> {
    let rows = Arc::new(Rows::of(plan));
    let ledger = Ledger::new(plan, store.clone(), trace.clone());
    let code = Arc::new(workload::job(plan, &rows, &ledger)?);
    let world = World::new(plan.clone(), trace.clone(), store.clone(), code);
    add_hosts(sim, &world);
    let mut schedule = Schedule::new(plan, trace.clone());
    let mut step = |sim: &mut Sim<'_>, watch: &mut Watch| -> Result<(), String> {
        schedule.perform(sim, &world);
        sim.step().map_err(|error| format!("a host failed: {error}"))?;
        watch.look(&world)?;
        let mut violations = ledger.violations();
        violations.extend(world.store.violations());
        violations.into_iter().next().map_or(Ok(()), Err)
    };
    let expected = oracle::expected(&rows, plan.parallelism);
    let limit = plan.heal_at + time_alone(plan) + FINISH_WITHIN;
    while world.result.lock().is_none() {
        step(sim, watch)?;
        if plan.mode == Mode::Safety && sim.elapsed() >= plan.heal_at {
            // It needn't have come to all lines.
            return check_output(&ledger, &expected, true);
        }
        if sim.elapsed() > limit {
            return Err(format!("the job hasn't ended in time\n{}", situation(&world)));
        }
    }
    let result = world.result.lock().clone().unwrap_or_else(|| Err("no result".to_owned()))?;
    let cancelled = result.status == JobStatus::Canceled && plan.cancel_at.is_some();
    if result.status != JobStatus::Finished && !cancelled {
        return Err(format!("the job is {}: {:?}", result.status, result.error));
    }
    check_output(&ledger, &expected, cancelled)?;
    let deadline = sim.elapsed().max(plan.heal_at) + CLEAN_WITHIN;
    while !is_clean(&world) {
        step(sim, watch)?;
        if sim.elapsed() > deadline {
            return Err(format!("tasks are left behind\n{}", situation(&world)));
        }
    }
    let (_, missing) = world.store.orphans_and_missing();
    if !missing.is_empty() {
        return Err(format!("objects that a manifest refers to are missing: {missing:?}"));
    }
    // Whatever was still on its way has arrived now.
    check_output(&ledger, &expected, cancelled)
}

/// A job that was cancelled, or that nobody healed, may not have come to all lines, but each counts
/// once.
fn check_output(ledger: &Ledger, expected: &[String], cut_short: bool) -> Result<(), String> {
    let (surplus, missing) = difference(&ledger.committed(), expected);
    if surplus.is_empty() && (missing.is_empty() || cut_short) {
        return Ok(());
    }
    let some = |lines: &[String]| {
        let lines = lines.iter().take(8).map(|line| format!("    {line}\n"));
        lines.collect::<String>()
    };
    Err(format!(
        "the output is wrong: {} lines too many\n{}{} lines missing\n{}",
        surplus.len(),
        some(&surplus),
        missing.len(),
        some(&missing)
    ))
}

/// How long the sources need by their rate, and the slow task for its steps, at the worst.
fn time_alone(plan: &Plan) -> Duration {
    let rows = plan.rows as f64;
    let slow = plan.slow_task.map_or(Duration::ZERO, |_| plan.slow_step * 4 * plan.rows as u32);
    Duration::from_secs_f64(2.0 * rows / plan.rate) + slow
}

fn is_clean(world: &World) -> bool {
    let Some(job_manager) = world.job_manager.lock().clone() else { return false };
    let cluster = job_manager.cluster();
    let (plan, registered) = (&world.plan, cluster.task_managers.len());
    let enough = match plan.mode {
        Mode::Core => registered >= plan.core(),
        Mode::Heal | Mode::Safety => registered == plan.task_managers,
    };
    enough && cluster.task_managers.iter().all(|tm| tm.free_slots() == u64::from(tm.slots))
}

/// What the cluster looks like, for the one who looks for the cause.
fn situation(world: &World) -> String {
    let Some(job_manager) = world.job_manager.lock().clone() else {
        return "no JobManager".to_owned();
    };
    let cluster = job_manager.cluster();
    let mut text = String::new();
    for tm in &cluster.task_managers {
        text +=
            &format!("  TaskManager {}: {} of {} slots free\n", tm.id, tm.free_slots(), tm.slots);
    }
    for job in &cluster.jobs {
        text += &format!("  job is {}, {} restarts\n", job.state, job.restarts);
        for vertex in &job.vertices {
            let states: Vec<String> =
                vertex.subtasks.iter().map(|subtask| subtask.state.to_string()).collect();
            text += &format!("  {}: {}\n", vertex.name, states.join(" "));
        }
        for failure in job.exceptions.iter().rev().take(3) {
            text += &format!("  failed: {failure:?}\n");
        }
    }
    text
}

/// What is in the first and not in the second, and the other way round; both ascend.
fn difference(found: &[String], expected: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut surplus, mut missing) = (Vec::new(), Vec::new());
    let (mut f, mut e) = (found.iter().peekable(), expected.iter().peekable());
    loop {
        match (f.peek(), e.peek()) {
            (None, None) => return (surplus, missing),
            (Some(a), Some(b)) if a == b => {
                f.next();
                e.next();
            }
            (Some(a), b) if b.is_none_or(|b| a < b) => surplus.extend(f.next().cloned()),
            _ => missing.extend(e.next().cloned()),
        }
    }
}
