//! The JobManager of a cluster of processes. It runs the application: one application, one
//! cluster, and everything ends with its last job.

use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_core::clock::{Clock, SystemClock};
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{jobmanager, parallelism, rest};
use thalweg_datastream::StreamExecutionEnvironment;
use thalweg_jobmanager::endpoint::Preparation;
use thalweg_jobmanager::rest::{KnownLeader, PassingTimes, PortRule, RestServer, StandbyRest};
use thalweg_jobmanager::{JobManager, JobManagerHandle, JobManagerOptions};
use thalweg_rpc::{Identity, LeaderView, ListenerIdentity, accept_channel, listen};
use thalweg_tls::{Role, Tls};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::LAST_QUESTIONS;
use super::build_id::build_id;
use super::executor::{ClusterExecutor, exit_code, process_seed};
use super::high_availability::{self, JobManagerRecords, Place};
use super::kubernetes;
use super::savepoint_stores::SavepointStores;
use super::security;
use super::settings::{ProcessError, Terminations, configuration, termination};
use super::start_over::start_over;
use super::stores::Stores;
use crate::application::Application;
use crate::command_line::ClusterOptions;
use crate::metrics::Reporter;

/// Runs the application as the JobManager of a cluster.
///
/// # Errors
/// The process can't be started. What becomes of the application is the exit code.
pub fn run_job_manager(
    name: &str,
    application: &Application,
    options: &ClusterOptions,
) -> Result<ExitCode, ProcessError> {
    let configuration = configuration(options)?;
    crate::logging::start(&configuration);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("thalweg-io")
        .enable_all()
        .build()
        .map_err(ProcessError::Runtime)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let stores = Stores::new(&configuration, process_seed(clock.as_ref()));
    // Before anything else: no signal is lost, whatever this process is doing when it comes.
    let signals = Terminations::from_outside_of(&runtime);
    let waiting = end_on_signal_while_waiting(&runtime);
    let (job_manager, state_elsewhere) =
        start(&configuration, name, (&runtime, clock.clone()), &stores)?;
    waiting.abort();
    let term = Term::begins(&job_manager, &clock, &configuration);
    let reporter = Reporter::new(Some(job_manager.clone()), Arc::default(), stores, clock);
    reporter.serve(&configuration, runtime.handle(), false)?;
    end_on_signal(&runtime, signals, term.clone());
    exit_when_another_leads(&runtime, term.clone());

    let executor = ClusterExecutor {
        cluster_id: high_availability::cluster_id(&configuration, name),
        configuration: configuration.clone(),
        arguments: options.arguments.clone(),
        job_manager: job_manager.clone(),
        runtime: runtime.handle().clone(),
        codes: None,
        verify: None,
        results: RefCell::default(),
        once_values: RefCell::default(),
        executing: Cell::new(false),
    };
    let env = StreamExecutionEnvironment::new(Rc::new(executor));
    let outcome = match state_elsewhere {
        None => application(&env, &options.arguments),
        Some(cluster_id) => {
            tracing::info!(
                "an earlier resource of this name has left its state under {cluster_id:?}; \
                 nothing is run here, and this process waits to be ended"
            );
            Ok(())
        }
    };
    drop(env);
    runtime.block_on(job_manager.outcomes_read(LAST_QUESTIONS));
    if term.is_deployed {
        tracing::info!("the application has ended; this process waits to be ended");
        runtime.block_on(async {
            job_manager.no_more_jobs().await;
            job_manager.ended().await;
        });
    }
    runtime.block_on(job_manager.shutdown("the application has ended"));
    runtime.block_on(term.start_over_if_due());
    runtime.shutdown_timeout(Duration::from_secs(1));
    match high_availability::exit_of(job_manager.end_reason()) {
        Some((message, code)) => {
            eprintln!("{message}");
            Ok(ExitCode::from(code))
        }
        None => Ok(exit_code(outcome)),
    }
}

fn start(
    configuration: &Configuration,
    name: &str,
    (runtime, clock): (&Runtime, Arc<dyn Clock>),
    stores: &Stores,
) -> Result<(JobManagerHandle, Option<String>), ProcessError> {
    let (sender, acceptor) = accept_channel();
    let host = configuration.get(&jobmanager::BIND_HOST);
    let address = format!("{host}:{}", configuration.get(&jobmanager::RPC_PORT));
    let identity = Identity { build_id: build_id() };
    let tls = security::tls(configuration, Role::JobManager, &clock)?;
    let transport = security::rpc_transport(tls.as_ref());
    let view = LeaderView::default();
    let listens = ListenerIdentity { identity, leader: view.clone() };
    let listening = listen(transport.as_ref(), &address, listens, sender, runtime.handle());
    let bound = runtime
        .block_on(listening)
        .map_err(|source| ProcessError::RpcPort { address: address.clone(), source })?;
    tracing::info!("TaskManagers are expected at {bound}");
    let rpc = format!("{}:{}", configuration.get(&jobmanager::RPC_ADDRESS), bound.port());
    let seen = watch::Sender::new(None);
    let (rest, rest_address) = serve_rest(configuration, runtime, (seen.subscribe(), tls))?;
    let edge = (&clock, runtime);
    let workers = kubernetes::workers(configuration, &rpc, edge)?;
    let place = Place { rpc, rest: rest_address, seen, view };
    let recorded = JobManagerRecords::open(configuration, stores, (name, place), edge)?;
    // As many as the application's parallelism: its graph isn't known before it runs.
    let slots = configuration.get(&parallelism::DEFAULT);
    let preparation = recorded.preparing.map(|asked| Preparation { asked, slots });
    let options = JobManagerOptions {
        configuration: configuration.clone(),
        build_id: identity.build_id,
        seed: process_seed(clock.as_ref()),
        acceptor,
        driver: workers.driver,
        stores: Arc::new(SavepointStores(stores.clone())),
        election: recorded.election,
        preparation,
        store: recorded.checkpoints,
        records: recorded.records,
        clock: Arc::clone(&clock),
        runtime: runtime.handle().clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: String::new(),
    };
    let job_manager = runtime.block_on(JobManager::start(options))?;
    rest.lead(Arc::new(job_manager.clone()));
    let Some(lineage) = kubernetes::enter_lineage(configuration, &job_manager, runtime)? else {
        return Ok((job_manager, None));
    };
    let elsewhere = lineage.elsewhere.clone();
    kubernetes::report_status(configuration, &job_manager, (workers.pods, lineage), edge)?;
    Ok((job_manager, elsewhere))
}

/// Serves REST from the beginning: who stands by passes requests on. Gives the address at which
/// others reach it, too.
fn serve_rest(
    configuration: &Configuration,
    runtime: &Runtime,
    (leader, tls): (watch::Receiver<Option<KnownLeader>>, Option<Tls>),
) -> Result<(StandbyRest, String), ProcessError> {
    let host = configuration.get(&rest::BIND_HOST);
    let rule = PortRule::Exactly(configuration.get(&rest::PORT));
    let server = runtime.block_on(RestServer::bind(&host, &rule))?.secured(tls.clone());
    tracing::info!("REST is served at http://{}", server.local_address());
    let host = configuration.get(&rest::ADDRESS);
    let host = host.unwrap_or_else(|| configuration.get(&jobmanager::RPC_ADDRESS));
    let address = format!("{host}:{}", server.local_address().port());
    let standby = StandbyRest::new(&address, leader, PassingTimes::default()).secured(tls);
    runtime.spawn(server.serve_standby(standby.clone(), std::future::pending()));
    Ok((standby, address))
}

/// One that waits for its turn has nothing to leave to others. The signal has to be asked for all
/// the same: the first process of a container isn't ended by one that it ignores.
fn end_on_signal_while_waiting(runtime: &Runtime) -> JoinHandle<()> {
    runtime.spawn(async move {
        let signal = termination().await;
        eprintln!("{signal}: this JobManager stood by; nothing is left behind");
        #[expect(clippy::disallowed_methods, reason = "the main thread waits for its turn")]
        std::process::exit(0);
    })
}

/// A signal ends the JobManager, and with it the TaskManagers and the application; with high
/// availability the next JobManager goes on with them.
fn end_on_signal(runtime: &Runtime, mut signals: Terminations, term: Term) {
    runtime.spawn(async move {
        let signal = signals.next().await;
        term.is_to_end.store(true, Ordering::Relaxed);
        let job_manager = term.job_manager;
        if job_manager.records().is_some() {
            return job_manager.suspend(signal).await;
        }
        tracing::warn!("{signal}: the JobManager ends, and its job and TaskManagers with it");
        job_manager.shutdown(signal).await;
    });
}

/// How long the application has to return after its JobManager has ended.
const RETURN_TIMEOUT: Duration = Duration::from_secs(2);

/// The time in which this process leads.
#[derive(Clone)]
struct Term {
    job_manager: JobManagerHandle,
    since: Duration,
    clock: Arc<dyn Clock>,
    is_deployed: bool,
    /// Whether a signal came.
    is_to_end: Arc<AtomicBool>,
}

impl Term {
    fn begins(
        job_manager: &JobManagerHandle,
        clock: &Arc<dyn Clock>,
        configuration: &Configuration,
    ) -> Self {
        let (job_manager, clock) = (job_manager.clone(), Arc::clone(clock));
        let (since, is_deployed) = (clock.elapsed(), kubernetes::is_deployed(configuration));
        Self { job_manager, since, clock, is_deployed, is_to_end: Arc::default() }
    }

    /// Starts over in this place, if the term has ended so that this is due. Who takes the turn
    /// away often ends the pod, too: the signal comes a moment later, and only once.
    async fn start_over_if_due(&self) {
        let end = self.job_manager.end_reason();
        let led = self.clock.elapsed().saturating_sub(self.since);
        if !high_availability::starts_over(self.is_deployed, end.as_ref(), led) {
            return;
        }
        tokio::time::sleep(RETURN_TIMEOUT).await;
        if !self.is_to_end.load(Ordering::Relaxed) {
            eprintln!("this process starts over, as its JobManager's turn to lead is over");
            eprintln!("error: it can't start over, and exits: {}", start_over());
        }
    }
}

/// A JobManager that doesn't lead ends its process, whatever the application is doing.
fn exit_when_another_leads(runtime: &Runtime, term: Term) {
    runtime.spawn(async move {
        term.job_manager.ended().await;
        term.start_over_if_due().await;
        if let Some((message, code)) = high_availability::exit_of(term.job_manager.end_reason()) {
            tokio::time::sleep(RETURN_TIMEOUT).await;
            eprintln!("{message}");
            #[expect(clippy::disallowed_methods, reason = "the application may never return")]
            std::process::exit(i32::from(code));
        }
    });
}
