//! The hosts: JobManagers (`job_manager`) and TaskManagers (`task_manager`), which are started
//! anew whenever they end, each time as others. Not here: what happens to them (`faults`).

mod job_manager;
mod task_manager;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_jobmanager::{JobManagerHandle, JobResult};
use thalweg_operators::code::JobCode;
use thalweg_storage::log::WriterId;
use tokio::sync::Notify;
use turmoil::Sim;

use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::network::one_way::OneWay;
use crate::network::rpc::RpcTransport;
use crate::obedience::Obedience;
use crate::plan::Plan;
use crate::store::FaultyStore;
use crate::trace::Trace;

const RPC_PORT: u16 = 6123;
const STORE: &str = "memory://simulation";
const BUILD: u64 = 7;
/// Between a process's end and its successor's start.
pub const START_AGAIN: Duration = Duration::from_millis(300);

/// A JobManager that runs.
#[derive(Debug, Clone)]
struct Life {
    host: String,
    writer: Option<WriterId>,
    handle: JobManagerHandle,
}

/// What a run is made of, and what comes out of it.
pub struct World {
    /// The seed's meaning.
    pub plan: Plan,
    /// What happens.
    pub trace: Trace,
    /// The durable store.
    pub store: FaultyStore,
    /// The job.
    pub code: Arc<JobCode>,
    /// What became of the job, as each JobManager that learned of it says.
    pub results: Mutex<Vec<Result<JobResult, String>>>,
    /// Whose tasks are begun.
    pub obedience: Obedience,
    /// Which links are open in one direction only.
    pub one_way: OneWay,
    lives: Mutex<Vec<Life>>,
    /// Hosts whose process has ended by itself.
    exits: Mutex<BTreeSet<String>>,
    /// Why a JobManager refused to begin, the last time.
    refusal: Mutex<Option<String>>,
    /// Who waits on a host for being told to end.
    stops: BTreeMap<String, Notify>,
    starts: Mutex<BTreeMap<String, u64>>,
}

impl World {
    /// Nothing has started.
    pub fn new(
        plan: Plan,
        trace: Trace,
        store: FaultyStore,
        code: Arc<JobCode>,
        obedience: Obedience,
    ) -> Arc<Self> {
        let hosts = plan.job_manager_hosts().chain(plan.task_manager_hosts());
        let stops = hosts.map(|host| (host, Notify::new())).collect();
        Arc::new(Self {
            stops,
            plan,
            trace,
            store,
            code,
            obedience,
            results: Mutex::default(),
            one_way: OneWay::default(),
            lives: Mutex::default(),
            exits: Mutex::default(),
            refusal: Mutex::default(),
            starts: Mutex::default(),
        })
    }

    /// Tells the process on this host to end, if one runs there.
    pub fn stop(&self, host: &str) {
        if let Some(stop) = self.stops.get(host) {
            stop.notify_waiters();
        }
    }

    /// The JobManager whose tasks count now; None: nobody leads, or it isn't there any more.
    pub fn leader(&self) -> Option<JobManagerHandle> {
        let lives = self.lives.lock();
        let writer = self.store.leader();
        let leads = |life: &&Life| life.writer.is_none() || life.writer == writer;
        lives.iter().find(leads).map(|life| life.handle.clone())
    }

    /// The hosts whose process has ended by itself.
    pub fn take_exits(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.exits.lock())
    }

    /// Nothing runs on this host any more.
    pub fn forget(&self, host: &str) {
        self.lives.lock().retain(|life| life.host != host);
    }

    /// Why a JobManager refused to begin, the last time.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.lock().clone()
    }

    /// How often the host was started before.
    fn start_number(&self, host: &str) -> u64 {
        let mut starts = self.starts.lock();
        let number = starts.entry(host.to_owned()).or_insert(0);
        *number += 1;
        *number - 1
    }

    fn clock(&self, host: &str) -> Arc<dyn Clock> {
        let mut dice = Dice::new(self.plan.seed, &format!("clock {host}"));
        let mut upto = |most: u64| dice.within(0..2 * most + 1) as i64 - most as i64;
        let (skew, jump) = (upto(self.plan.clock_skew_ms), upto(self.plan.clock_jump_ms));
        let jump_at = dice.millis(0..6_000);
        Arc::new(SimulatedClock::new(skew, (jump_at, jump)))
    }

    fn rpc(&self, host: &str, start: u64) -> RpcTransport {
        let dice = Dice::new(self.plan.seed, &format!("rpc {host} {start}"));
        let Plan { messages, heal_at, .. } = self.plan;
        let one_way = self.one_way.clone();
        RpcTransport::new(host, messages, heal_at, one_way, dice, self.trace.clone())
    }
}

/// Adds all hosts to the simulation.
pub fn add_hosts(sim: &mut Sim<'_>, world: &Arc<World>) {
    for host in world.plan.job_manager_hosts() {
        let this = Arc::clone(world);
        sim.host(host.clone(), move || job_manager::run(Arc::clone(&this), host.clone()));
    }
    for host in world.plan.task_manager_hosts() {
        let this = Arc::clone(world);
        sim.host(host.clone(), move || task_manager::run(Arc::clone(&this), host.clone()));
    }
}

fn configuration(plan: &Plan) -> Result<Configuration, String> {
    let mut configuration = Configuration::new();
    let ms = |time: Duration| format!("{} ms", time.as_millis());
    let retained = plan.high_availability.as_ref().map_or(1, |leaders| leaders.retained);
    let values = [
        ("heartbeat.interval", "200 ms".to_owned()),
        ("heartbeat.timeout", "1500 ms".to_owned()),
        ("taskmanager.numberOfTaskSlots", plan.slots.to_string()),
        ("taskmanager.bind-host", "0.0.0.0".to_owned()),
        ("taskmanager.network.batch-rows", plan.batch_rows.to_string()),
        ("taskmanager.network.memory.per-channel", format!("{} b", plan.channel_bytes)),
        ("execution.checkpointing.interval", ms(plan.checkpoint_interval)),
        ("execution.checkpointing.timeout", ms(plan.checkpoint_timeout)),
        ("execution.checkpointing.tolerable-failed-checkpoints", "1000".to_owned()),
        ("execution.checkpointing.num-retained", retained.to_string()),
        ("execution.checkpointing.dir", STORE.to_owned()),
        ("restart-strategy.type", "exponential-delay".to_owned()),
        ("restart-strategy.exponential-delay.initial-backoff", "50 ms".to_owned()),
        ("restart-strategy.exponential-delay.max-backoff", "1 s".to_owned()),
        ("slot.request.timeout", "10 min".to_owned()),
        ("taskmanager.termination-grace-period", "12 s".to_owned()),
    ];
    for (key, value) in values {
        configuration.set_str(key, &value).map_err(|error| error.to_string())?;
    }
    Ok(configuration)
}
