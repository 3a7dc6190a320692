//! The hosts: one JobManager, and TaskManagers that are started anew whenever they end, each time
//! as another one. Not here: what happens to them (`faults`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_core::ids::{OperatorId, TaskManagerId};
use thalweg_core::split::SourceSplit;
use thalweg_jobmanager::endpoint::{CheckpointStore, StoreOpener};
use thalweg_jobmanager::high_availability::StandaloneElection;
use thalweg_jobmanager::resource_manager::StandaloneDriver;
use thalweg_jobmanager::source_coordinator::SplitEnumeration;
use thalweg_jobmanager::{
    JobManager, JobManagerHandle, JobManagerOptions, JobResult, JobSubmission,
};
use thalweg_operators::code::JobCode;
use thalweg_rpc::message::JobInformation;
use thalweg_rpc::{Connector, Identity, accept_channel, listen};
use thalweg_storage::{BlobError, BlobStore};
use thalweg_taskmanager::driver::{CooperativeDriver, Pace};
use thalweg_taskmanager::task::Step;
use thalweg_taskmanager::{
    CodeError, CodeProvider, DataPlane, Hardware, TaskManager, TaskManagerOptions,
};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use turmoil::Sim;

use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::network::data::DataTransport;
use crate::network::one_way::OneWay;
use crate::network::rpc::RpcTransport;
use crate::plan::Plan;
use crate::store::FaultyStore;
use crate::trace::Trace;

/// The JobManager's host.
pub const JOB_MANAGER: &str = "jm";
const RPC_PORT: u16 = 6123;
const STORE: &str = "memory://simulation";
const BUILD: u64 = 7;
/// Between a TaskManager's end and its successor's start.
const START_AGAIN: Duration = Duration::from_millis(300);

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
    /// The JobManager, once it runs.
    pub job_manager: Mutex<Option<JobManagerHandle>>,
    /// What became of the job.
    pub result: Mutex<Option<Result<JobResult, String>>>,
    /// Which links are open in one direction only.
    pub one_way: OneWay,
    /// TaskManagers' hosts and who waits there for being told to end.
    stops: Vec<Notify>,
    starts: Mutex<BTreeMap<String, u64>>,
}

impl World {
    /// Nothing has started.
    pub fn new(plan: Plan, trace: Trace, store: FaultyStore, code: Arc<JobCode>) -> Arc<Self> {
        let stops = (0..plan.task_managers).map(|_| Notify::new()).collect();
        Arc::new(Self {
            stops,
            plan,
            trace,
            store,
            code,
            job_manager: Mutex::default(),
            result: Mutex::default(),
            one_way: OneWay::default(),
            starts: Mutex::default(),
        })
    }

    /// Tells the TaskManager on this host to end, if one runs there.
    pub fn stop_task_manager(&self, index: usize) {
        self.stops[index].notify_waiters();
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

/// The name of a TaskManager's host.
pub fn task_manager(index: usize) -> String {
    format!("tm{index}")
}

/// Adds all hosts to the simulation.
pub fn add_hosts(sim: &mut Sim<'_>, world: &Arc<World>) {
    let this = Arc::clone(world);
    sim.host(JOB_MANAGER, move || run_job_manager(Arc::clone(&this)));
    for index in 0..world.plan.task_managers {
        let this = Arc::clone(world);
        sim.host(task_manager(index), move || run_task_managers(Arc::clone(&this), index));
    }
}

fn configuration(plan: &Plan) -> Result<Configuration, String> {
    let mut configuration = Configuration::new();
    let ms = |time: Duration| format!("{} ms", time.as_millis());
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
        ("execution.checkpointing.dir", STORE.to_owned()),
        ("restart-strategy.type", "exponential-delay".to_owned()),
        ("restart-strategy.exponential-delay.initial-backoff", "50 ms".to_owned()),
        ("restart-strategy.exponential-delay.max-backoff", "1 s".to_owned()),
        ("slot.request.timeout", "10 min".to_owned()),
    ];
    for (key, value) in values {
        configuration.set_str(key, &value).map_err(|error| error.to_string())?;
    }
    Ok(configuration)
}

struct Splits(Arc<JobCode>);

impl SplitEnumeration for Splits {
    fn enumerate(
        &self,
        operator: OperatorId,
        parallelism: u32,
    ) -> Result<Vec<SourceSplit>, String> {
        let source = self.0.sources.get(&operator).ok_or("the source has no code")?;
        source.enumerate(parallelism).map_err(|error| error.to_string())
    }
}

struct Code(Arc<JobCode>);

impl CodeProvider for Code {
    fn load(&self, _job: &JobInformation) -> Result<Arc<JobCode>, CodeError> {
        Ok(Arc::clone(&self.0))
    }
}

/// There is one store, whatever it is called.
#[derive(Debug)]
struct OneStore(CheckpointStore);

impl StoreOpener for OneStore {
    fn open(&self, _location: &str) -> Result<CheckpointStore, String> {
        Ok(self.0.clone())
    }

    fn open_existing(&self, _location: &str) -> Result<CheckpointStore, String> {
        Ok(self.0.clone())
    }
}

async fn run_job_manager(world: Arc<World>) -> turmoil::Result {
    let (sender, acceptor) = accept_channel();
    let transport = world.rpc(JOB_MANAGER, world.start_number(JOB_MANAGER));
    let address = format!("0.0.0.0:{RPC_PORT}");
    let identity = Identity { build_id: BUILD };
    listen(&transport, &address, identity, sender, &Handle::current()).await?;
    let store = CheckpointStore {
        store: Arc::new(world.store.clone()),
        name: STORE.to_owned(),
        blocking: false,
    };
    let options = JobManagerOptions {
        configuration: configuration(&world.plan)?,
        build_id: BUILD,
        seed: world.plan.seed,
        acceptor,
        driver: Box::new(StandaloneDriver),
        election: Box::new(StandaloneElection),
        records: None,
        store: Some(store.clone()),
        stores: Arc::new(OneStore(store)),
        clock: world.clock(JOB_MANAGER),
        runtime: Handle::current(),
        version: String::new(),
        commit: String::new(),
    };
    let job_manager = JobManager::start(options).await?;
    *world.job_manager.lock() = Some(job_manager.clone());
    let submission = JobSubmission {
        graph: Arc::clone(&world.code.graph),
        arguments: Vec::new(),
        execute_ordinal: 0,
        earlier_results: Vec::new(),
        once_values: BTreeMap::new(),
        configuration: Configuration::new(),
        splits: Arc::new(Splits(Arc::clone(&world.code))),
    };
    if let Some(at) = world.plan.cancel_at {
        let (job, handle) = (world.code.graph.job_id, job_manager.clone());
        tokio::spawn(async move {
            tokio::time::sleep(at).await;
            // It may have ended already.
            let _ = handle.cancel(job).await;
        });
    }
    let result = job_manager.submit(submission).await.map_err(|error| error.to_string());
    world.trace.event(JOB_MANAGER, "the job has ended");
    *world.result.lock() = Some(result);
    job_manager.ended().await;
    Ok(())
}

async fn run_task_managers(world: Arc<World>, index: usize) -> turmoil::Result {
    let host = task_manager(index);
    loop {
        let start = world.start_number(&host);
        let clock = world.clock(&host);
        let pace = Arc::new(SeededPace::new(&world, &host, start));
        let seed = Dice::new(world.plan.seed, &format!("driver {host} {start}")).throw();
        let driver = CooperativeDriver::paced(clock.clone(), seed, &Handle::current(), pace);
        let dice = Dice::new(world.plan.seed, &format!("data {host} {start}"));
        let store = world.store.on(&host);
        let open =
            move |_: &str| -> Result<Arc<dyn BlobStore>, BlobError> { Ok(Arc::new(store.clone())) };
        let options = TaskManagerOptions {
            id: TaskManagerId(format!("{host}-{start}")),
            configuration: configuration(&world.plan)?,
            build_id: BUILD,
            connector: Connector::Remote {
                transport: Arc::new(world.rpc(&host, start)),
                address: format!("{JOB_MANAGER}:{RPC_PORT}"),
                identity: Identity { build_id: BUILD },
            },
            data_plane: DataPlane::Network {
                transport: Arc::new(DataTransport::new(
                    &host,
                    &world.plan,
                    world.one_way.clone(),
                    dice,
                    world.trace.clone(),
                )),
                cluster: "simulation".to_owned(),
                host: host.clone(),
            },
            clock,
            codes: Arc::new(Code(Arc::clone(&world.code))),
            stores: Arc::new(open),
            driver: Arc::new(driver),
            hardware: Hardware::default(),
        };
        let mut worker = TaskManager::start(options).await?;
        let stopped = tokio::select! {
            biased;
            exit = worker.ended() => Some(exit),
            () = world.stops[index].notified() => None,
        };
        let exit = match stopped {
            Some(exit) => exit,
            None => {
                worker.stop("SIGTERM");
                worker.ended().await
            }
        };
        world.trace.event(&host, format_args!("TaskManager {start} ends: {exit}"));
        tokio::time::sleep(START_AGAIN).await;
    }
}

/// How long steps take: mostly no time at all, sometimes some, and long for a slow task.
struct SeededPace {
    host: String,
    dice: Mutex<Dice>,
    slow_task: Option<&'static str>,
    slow_step: Duration,
    trace: Trace,
}

impl SeededPace {
    fn new(world: &World, host: &str, start: u64) -> Self {
        let Plan { seed, slow_task, slow_step, .. } = world.plan;
        let dice = Mutex::new(Dice::new(seed, &format!("pace {host} {start}")));
        Self { host: host.to_owned(), dice, slow_task, slow_step, trace: world.trace.clone() }
    }
}

impl Pace for SeededPace {
    fn stepped(&self, task: &str, step: Step) -> Duration {
        let number = match step {
            Step::Ready => 1,
            Step::Blocked { until: None } => 2,
            Step::Blocked { until: Some(until) } => 3 + until.as_nanos() as u64,
            Step::Finished => 0,
        };
        self.trace.detail(&self.host, task, &step, number);
        if self.slow_task.is_some_and(|slow| task.contains(slow)) && step == Step::Ready {
            return self.slow_step;
        }
        let mut dice = self.dice.lock();
        if dice.chance(100) { dice.millis(1..4) } else { Duration::ZERO }
    }
}
