//! JobManagers' hosts. With high availability each process is what the product's is: it tries the
//! store, campaigns, runs the one program, and ends when another one leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::configuration::Configuration;
use thalweg_core::ids::OperatorId;
use thalweg_core::split::SourceSplit;
use thalweg_jobmanager::endpoint::{CheckpointStore, StoreOpener};
use thalweg_jobmanager::high_availability::{
    Campaign, LeaderElection, Loss, Records, RecordsOptions, StandaloneElection, StoreElection,
};
use thalweg_jobmanager::resource_manager::StandaloneDriver;
use thalweg_jobmanager::source_coordinator::SplitEnumeration;
use thalweg_jobmanager::{
    JobManager, JobManagerHandle, JobManagerOptions, JobResult, JobSubmission,
};
use thalweg_operators::code::JobCode;
use thalweg_rpc::{Identity, LeaderView, ListenerIdentity, accept_channel, listen};
use thalweg_storage::log::WriterId;
use tokio::runtime::Handle;

use super::{BUILD, Life, RPC_PORT, STORE, World, configuration};
use crate::capture::CLUSTER_ID;
use crate::dice::Dice;

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

/// An election in which the leader doesn't look whether it still leads before some moment.
#[derive(Debug)]
struct Blind {
    election: StoreElection,
    until: std::time::Duration,
}

impl LeaderElection for Blind {
    fn campaign(&mut self) -> Campaign<'_> {
        self.election.campaign()
    }

    fn hold(&mut self) -> std::pin::Pin<Box<dyn Future<Output = Loss> + Send + '_>> {
        Box::pin(async move {
            let now = turmoil::sim_elapsed().unwrap_or_default();
            tokio::time::sleep(self.until.saturating_sub(now)).await;
            self.election.hold().await
        })
    }

    fn release(&mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.election.release()
    }
}

/// Runs a JobManager there. It ends with its process: the host is started anew then.
pub(super) async fn run(world: Arc<World>, host: String) -> turmoil::Result {
    let start = world.start_number(&host);
    let result = match job_manager(&world, &host, start).await {
        Ok(job_manager) => run_program(&world, &job_manager, &host).await,
        Err(reason) => {
            *world.refusal.lock() = Some(reason.clone());
            Err(reason)
        }
    };
    if world.plan.high_availability.is_none() {
        world.results.lock().push(result);
        return std::future::pending().await;
    }
    match result {
        Ok(result) => {
            world.results.lock().push(Ok(result));
            // It stays as it is, to be looked at.
            std::future::pending().await
        }
        Err(reason) => {
            world.trace.event(&host, format_args!("JobManager {start} ends: {reason}"));
            // What it has begun may go on as long as its process does.
            let mut dice = Dice::new(world.plan.seed, &format!("end {host} {start}"));
            tokio::time::sleep(dice.millis(0..2_000)).await;
            world.exits.lock().insert(host);
            std::future::pending().await
        }
    }
}

/// Starts a JobManager; returns once it leads.
async fn job_manager(
    world: &Arc<World>,
    host: &str,
    start: u64,
) -> Result<JobManagerHandle, String> {
    let (sender, acceptor) = accept_channel();
    let transport = world.rpc(host, start);
    let address = format!("0.0.0.0:{RPC_PORT}");
    let identity = Identity { build_id: BUILD };
    let view = LeaderView::default();
    let listens = ListenerIdentity { identity, leader: view.clone() };
    let listening = listen(&transport, &address, listens, sender, &Handle::current()).await;
    listening.map_err(|error| error.to_string())?;
    let leaders = world.plan.high_availability.as_ref();
    let writer = leaders.map(|_| writer(world, host, start));
    let store = CheckpointStore {
        store: Arc::new(world.store.on(writer.map_or("", |_| host), writer)),
        name: STORE.to_owned(),
        blocking: false,
    };
    let (election, records) = match writer {
        Some(writer) => recorded(world, (host, view), writer, &store).await?,
        None => (Box::new(StandaloneElection) as Box<dyn LeaderElection>, None),
    };
    let options = JobManagerOptions {
        configuration: configuration(&world.plan)?,
        build_id: BUILD,
        seed: Dice::new(world.plan.seed, &format!("job manager {host} {start}")).throw(),
        acceptor,
        driver: Box::new(StandaloneDriver),
        election,
        preparation: None,
        records,
        store: Some(store.clone()),
        stores: Arc::new(OneStore(store)),
        clock: world.clock(host),
        runtime: Handle::current(),
        version: String::new(),
        commit: String::new(),
    };
    let handle = JobManager::start(options).await.map_err(|error| error.to_string())?;
    world.lives.lock().push(Life { host: host.to_owned(), writer, handle: handle.clone() });
    Ok(handle)
}

/// Never the same for two lives.
fn writer(world: &World, host: &str, start: u64) -> WriterId {
    let text = format!("{} {host} {start}", world.plan.seed);
    WriterId(xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

async fn recorded(
    world: &Arc<World>,
    (host, view): (&str, LeaderView),
    writer: WriterId,
    store: &CheckpointStore,
) -> Result<(Box<dyn LeaderElection>, Option<Records>), String> {
    let Some(leaders) = &world.plan.high_availability else { return Err("no log".to_owned()) };
    let address = format!("{host}:{RPC_PORT}");
    let options = RecordsOptions {
        store: store.clone(),
        checkpoints: store.clone(),
        cluster_id: CLUSTER_ID.to_owned(),
        application: "simulated".to_owned(),
        writer,
        address: address.clone(),
        owner: None,
    };
    let opened = Records::open(options, &Handle::current()).await;
    let records = opened.map_err(|error| error.to_string())?;
    let election = StoreElection::new(
        Arc::clone(&records.store().store),
        CLUSTER_ID.to_owned(),
        (address, host.to_owned()),
        writer,
        (leaders.lease, leaders.period),
        world.clock(host),
    )
    .answers_with(view);
    let until = if leaders.blind { world.plan.heal_at } else { std::time::Duration::ZERO };
    Ok((Box::new(Blind { election, until }), Some(records)))
}

/// What the application's `execute` does.
async fn run_program(
    world: &Arc<World>,
    job_manager: &JobManagerHandle,
    host: &str,
) -> Result<JobResult, String> {
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
        let at = at.saturating_sub(turmoil::sim_elapsed().unwrap_or_default());
        tokio::spawn(async move {
            tokio::time::sleep(at).await;
            // It may have ended already.
            let _ = handle.cancel(job).await;
        });
    }
    let stop = world.stops.get(host).ok_or("the host isn't known")?;
    let result = tokio::select! {
        biased;
        result = job_manager.submit(submission) => result,
        () = stop.notified() => {
            job_manager.suspend("SIGTERM").await;
            return Err("SIGTERM".to_owned());
        }
    };
    world.trace.event(host, "execute returns");
    match result {
        Ok(result) => Ok(result),
        Err(error) => {
            // As the process does at its program's end; where another one leads it has ended.
            job_manager.shutdown("the application has ended").await;
            let reason = job_manager.end_reason();
            Err(format!("{error}; {reason:?}"))
        }
    }
}
