//! TaskManagers' hosts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use thalweg_core::ids::TaskManagerId;
use thalweg_jobmanager::high_availability::HintLocator;
use thalweg_operators::code::JobCode;
use thalweg_rpc::message::JobInformation;
use thalweg_rpc::{Connector, Identity, LeaderLocator, Resolver, ServiceLocator, Transport};
use thalweg_storage::{BlobError, BlobStore};
use thalweg_taskmanager::driver::{CooperativeDriver, Pace};
use thalweg_taskmanager::task::Step;
use thalweg_taskmanager::{
    CodeError, CodeProvider, DataPlane, ExitReason, Hardware, TaskManager, TaskManagerHandle,
    TaskManagerOptions,
};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::{BUILD, RPC_PORT, START_AGAIN, STORE, World, configuration};
use crate::capture::CLUSTER_ID;
use crate::dice::Dice;
use crate::network::data::DataTransport;
use crate::obedience::Obedience;
use crate::plan::Plan;
use crate::trace::Trace;

struct Code(Arc<JobCode>);

impl CodeProvider for Code {
    fn load(&self, _job: &JobInformation) -> Result<Arc<JobCode>, CodeError> {
        Ok(Arc::clone(&self.0))
    }
}

/// Runs TaskManagers there, one after the other.
pub(super) async fn run(world: Arc<World>, host: String) -> turmoil::Result {
    loop {
        let start = world.start_number(&host);
        let mut worker = TaskManager::start(options(&world, &host, start)?).await?;
        let stop = world.stops.get(&host).ok_or("the host isn't known")?;
        let stopped = tokio::select! {
            biased;
            exit = worker.ended() => Some(exit),
            () = stop.notified() => None,
        };
        let exit = match stopped {
            Some(exit) => exit,
            None => end(&mut worker, stop).await,
        };
        world.trace.event(&host, format_args!("TaskManager {start} ends: {exit}"));
        tokio::time::sleep(START_AGAIN).await;
    }
}

/// The first signal lets it work on until its tasks are elsewhere; another one ends it.
async fn end(worker: &mut TaskManagerHandle, again: &Notify) -> ExitReason {
    worker.leave("SIGTERM");
    tokio::select! {
        biased;
        exit = worker.ended() => return exit,
        () = again.notified() => worker.stop("SIGTERM again"),
    }
    worker.ended().await
}

fn options(world: &Arc<World>, host: &str, start: u64) -> Result<TaskManagerOptions, String> {
    let clock = world.clock(host);
    let pace = Arc::new(SeededPace::new(world, host, start));
    let seed = Dice::new(world.plan.seed, &format!("driver {host} {start}")).throw();
    let driver = CooperativeDriver::paced(clock.clone(), seed, &Handle::current(), pace);
    let dice = Dice::new(world.plan.seed, &format!("data {host} {start}"));
    let store = world.store.on(host, None);
    let open =
        move |_: &str| -> Result<Arc<dyn BlobStore>, BlobError> { Ok(Arc::new(store.clone())) };
    let one_way = world.one_way.clone();
    let transport = DataTransport::new(host, &world.plan, one_way, dice, world.trace.clone());
    Ok(TaskManagerOptions {
        id: TaskManagerId(format!("{host}-{start}")),
        configuration: configuration(&world.plan)?,
        build_id: BUILD,
        connector: connector(world, host, start),
        data_plane: DataPlane::Network {
            transport: Arc::new(transport),
            cluster: CLUSTER_ID.to_owned(),
            host: host.to_owned(),
        },
        clock,
        codes: Arc::new(Code(Arc::clone(&world.code))),
        stores: Arc::new(open),
        driver: Arc::new(driver),
        hardware: Hardware::default(),
    })
}

/// How the leader is found: as a seed says, by the hint in the store or by asking all JobManagers.
fn locator(
    world: &Arc<World>,
    host: &str,
    (transport, identity): (Arc<dyn Transport>, Identity),
) -> Arc<dyn LeaderLocator> {
    if Dice::new(world.plan.seed, "locator").chance(500) {
        let hosts = JobManagers(world.plan.job_manager_hosts().collect());
        let at = ("job-managers".to_owned(), RPC_PORT);
        return Arc::new(ServiceLocator::new(Arc::new(hosts), transport, at, identity));
    }
    let store = Arc::new(world.store.on(host, None));
    Arc::new(HintLocator::new(store, STORE.to_owned(), CLUSTER_ID.to_owned()))
}

/// The hosts behind the name of all JobManagers.
#[derive(Debug)]
struct JobManagers(Vec<String>);

impl Resolver for JobManagers {
    fn resolve(&self, _: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let addresses = self.0.iter().map(|host| (turmoil::lookup(host.as_str()), port).into());
        Box::pin(std::future::ready(Ok(addresses.collect())))
    }
}

/// The way to the JobManager: the only one, or the one that leads.
fn connector(world: &Arc<World>, host: &str, start: u64) -> Connector {
    let transport: Arc<dyn Transport> = Arc::new(world.rpc(host, start));
    let identity = Identity { build_id: BUILD };
    match &world.plan.high_availability {
        None => {
            let job_manager = world.plan.job_manager_hosts().next().unwrap_or_default();
            let address = format!("{job_manager}:{RPC_PORT}");
            Connector::Remote { transport, address, identity }
        }
        Some(leaders) => {
            let locator = locator(world, host, (Arc::clone(&transport), identity));
            let seed = Dice::new(world.plan.seed, &format!("looks {host} {start}")).throw();
            Connector::Located { transport, locator, identity, period: leaders.period, seed }
        }
    }
}

/// How long steps take: mostly no time at all, sometimes some, and long for a slow task.
struct SeededPace {
    host: String,
    start: u64,
    obedience: Obedience,
    dice: Mutex<Dice>,
    slow_task: Option<&'static str>,
    slow_step: Duration,
    trace: Trace,
}

impl SeededPace {
    fn new(world: &World, host: &str, start: u64) -> Self {
        let Plan { seed, slow_task, slow_step, .. } = world.plan;
        let dice = Mutex::new(Dice::new(seed, &format!("pace {host} {start}")));
        let (obedience, trace) = (world.obedience.clone(), world.trace.clone());
        Self { host: host.to_owned(), start, obedience, dice, slow_task, slow_step, trace }
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
        self.obedience.stepped(&self.host, self.start);
        if self.slow_task.is_some_and(|slow| task.contains(slow)) && step == Step::Ready {
            return self.slow_step;
        }
        let mut dice = self.dice.lock();
        if dice.chance(100) { dice.millis(1..4) } else { Duration::ZERO }
    }
}
