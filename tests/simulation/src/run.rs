//! One run of a seed and its verdict: safety all along, and, once everything is healed, progress
//! to the end within a bounded time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use thalweg_core::ids::CheckpointId;
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
/// Between two looks at what REST would show.
const LOOK: Duration = Duration::from_millis(50);
/// After the healing, the job must have ended within this.
const FINISH_WITHIN: Duration = Duration::from_secs(90);
/// After the job's end, its slots must be free within this.
const CLEAN_WITHIN: Duration = Duration::from_secs(15);
/// A JobManager that is started after the job's end must have found its result within this.
const RESULT_WITHIN: Duration = Duration::from_secs(30);

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
    /// Steps of TaskManagers in the store, and of JobManagers with high availability.
    pub steps: (u64, u64),
    /// With high availability: how often the cluster and the job were claimed, and how many
    /// leaders found that they were fenced.
    pub takeovers: (u64, u64, u64),
    /// Objects in the store that nothing refers to.
    pub orphans: usize,
    /// The object that vanished, if one was to.
    pub lost: Option<String>,
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
        let Some(job_manager) = world.leader() else { return Ok(()) };
        let cluster = job_manager.cluster();
        let Some(job) = cluster.jobs.first() else { return Ok(()) };
        self.restarts = self.restarts.max(job.restarts);
        let Some(checkpoints) = &job.checkpoints else { return Ok(()) };
        self.checkpoints = self.checkpoints.max(checkpoints.counts.completed);
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
        let failed = checkpoints.latest_failed.as_ref().map(|failed| CheckpointId(failed.id));
        if let Some(id) = failed.filter(|id| world.store.leader_has_published(*id)) {
            return Err(format!("checkpoint {id} is told to have failed although it is published"));
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
    let (steps, takeovers) = (store.steps(), store.takeovers());
    let (orphans, lost) = (store.orphans_and_missing().0.len(), store.lost());
    Report {
        trace_hash,
        events,
        took,
        restarts,
        checkpoints,
        steps,
        takeovers,
        orphans,
        lost,
        failure,
    }
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
    let world =
        World::new(plan.clone(), trace.clone(), store.clone(), code, ledger.obedience().clone());
    add_hosts(sim, &world);
    let schedule = Schedule::new(plan, trace.clone());
    let expected = oracle::expected(&rows, plan.parallelism);
    let mut run = Running { world, ledger, schedule, expected };
    let limit = plan.heal_at + time_alone(plan) + FINISH_WITHIN;
    while run.world.results.lock().is_empty() {
        run.step(sim, watch)?;
        if plan.mode == Mode::Safety && sim.elapsed() >= plan.heal_at {
            // It needn't have come to all lines.
            return run.check_output(true);
        }
        if sim.elapsed() > limit {
            return Err(format!("the job hasn't ended in time\n{}", situation(&run.world)));
        }
    }
    let result = run.world.results.lock().first().cloned();
    let result = result.unwrap_or_else(|| Err("no result".to_owned()))?;
    let cancelled = result.status == JobStatus::Canceled && plan.cancel_at.is_some();
    if result.status != JobStatus::Finished && !cancelled {
        return Err(format!("the job is {}: {:?}", result.status, result.error));
    }
    run.check_output(cancelled)?;
    let deadline = sim.elapsed().max(plan.heal_at) + CLEAN_WITHIN;
    let what = "tasks are left behind";
    run.wait(sim, watch, (deadline, what), |run| is_clean(&run.world))?;
    if plan.high_availability.is_some() {
        run.replace_job_managers(sim, watch)?;
    }
    let (orphans, missing) = store.orphans_and_missing();
    if !missing.is_empty() {
        return Err(format!("objects that a manifest refers to are missing: {missing:?}"));
    }
    if !orphans.is_empty() && plan.high_availability.is_some() {
        return Err(format!("nothing refers to these objects: {orphans:?}"));
    }
    // Whatever was still on its way has arrived now.
    run.check_output(cancelled)
}

/// A run under way.
struct Running {
    world: Arc<World>,
    ledger: Ledger,
    schedule: Schedule,
    expected: Vec<String>,
}

impl Running {
    fn step(&mut self, sim: &mut Sim<'_>, watch: &mut Watch) -> Result<(), String> {
        self.schedule.perform(sim, &self.world);
        sim.step().map_err(|error| format!("a host failed: {error}"))?;
        // Making the answer takes long, next to a step.
        if sim.elapsed().as_millis().is_multiple_of(LOOK.as_millis()) {
            watch.look(&self.world)?;
        }
        let mut violations = self.ledger.violations();
        violations.extend(self.world.store.violation());
        violations.extend(self.world.obedience.violation());
        violations.into_iter().next().map_or(Ok(()), Err)
    }

    /// Goes on until this is so.
    fn wait(
        &mut self,
        sim: &mut Sim<'_>,
        watch: &mut Watch,
        (deadline, what): (Duration, &str),
        until: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        while !until(self) {
            self.step(sim, watch)?;
            if sim.elapsed() > deadline {
                return Err(format!("{what}\n{}", situation(&self.world)));
            }
        }
        Ok(())
    }

    /// Once it is quiet, all JobManagers die and one is started: it runs nothing, finds the same
    /// result, and leaves what is referenced and the logs.
    fn replace_job_managers(&mut self, sim: &mut Sim<'_>, watch: &mut Watch) -> Result<(), String> {
        let core = self.world.plan.mode == Mode::Core;
        let healed_at = self.world.plan.heal_at;
        let deadline = sim.elapsed().max(healed_at) + CLEAN_WITHIN;
        while sim.elapsed() < healed_at {
            self.step(sim, watch)?;
        }
        let quiet = |run: &Self| core || run.world.store.is_quiet();
        self.wait(sim, watch, (deadline, "requests are left behind"), quiet)?;
        let before = self.world.results.lock().clone();
        self.schedule.replace_job_managers(sim, &self.world);
        let deadline = sim.elapsed() + RESULT_WITHIN;
        let another = |run: &Self| run.world.results.lock().len() > before.len();
        self.wait(sim, watch, (deadline, "the job's result isn't found"), another)?;
        let results = self.world.results.lock();
        match results.iter().find(|result| **result != results[0]) {
            Some(other) => Err(format!("the job's result is {:?} and {other:?}", results[0])),
            None => Ok(()),
        }
    }

    fn check_output(&self, cut_short: bool) -> Result<(), String> {
        check_output(&self.ledger, &self.expected, cut_short)
    }
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
    let Some(job_manager) = world.leader() else { return false };
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
    let Some(job_manager) = world.leader() else {
        return format!("nobody leads: {:?}", world.refusal());
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
