//! The JobManager of a cluster of processes. It runs the application: one application, one
//! cluster, and everything ends with its last job.

use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_core::clock::{Clock, SystemClock};
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{high_availability, jobmanager, rest};
use thalweg_datastream::StreamExecutionEnvironment;
use thalweg_jobmanager::high_availability::StandaloneElection;
use thalweg_jobmanager::resource_manager::StandaloneDriver;
use thalweg_jobmanager::rest::{PortRule, RestServer};
use thalweg_jobmanager::{JobManager, JobManagerHandle, JobManagerOptions};
use thalweg_rpc::{Identity, TcpTransport, accept_channel, listen};
use tokio::runtime::Runtime;

use super::build_id::build_id;
use super::executor::{ClusterExecutor, exit_code, process_seed};
use super::settings::{ProcessError, configuration};
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
    let job_manager = start(&configuration, &runtime, clock.clone(), &stores)?;
    serve_rest(&configuration, &runtime, &job_manager)?;
    let reporter = Reporter::new(Some(job_manager.clone()), Arc::default(), stores, clock);
    reporter.serve(&configuration, runtime.handle(), false)?;
    end_on_signal(&runtime, job_manager.clone());

    let cluster_id = configuration.get(&high_availability::CLUSTER_ID);
    let executor = ClusterExecutor {
        cluster_id: cluster_id.unwrap_or_else(|| name.to_owned()),
        configuration,
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
    let outcome = application(&env, &options.arguments);
    drop(env);
    runtime.block_on(job_manager.shutdown("the application has ended"));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(exit_code(outcome))
}

fn start(
    configuration: &Configuration,
    runtime: &Runtime,
    clock: Arc<dyn Clock>,
    stores: &Stores,
) -> Result<JobManagerHandle, ProcessError> {
    let (sender, acceptor) = accept_channel();
    let host = configuration.get(&jobmanager::BIND_HOST);
    let address = format!("{host}:{}", configuration.get(&jobmanager::RPC_PORT));
    let identity = Identity { build_id: build_id() };
    let listening = listen(&TcpTransport, &address, identity, sender, runtime.handle());
    let bound = runtime
        .block_on(listening)
        .map_err(|source| ProcessError::RpcPort { address: address.clone(), source })?;
    tracing::info!("TaskManagers are expected at {bound}");
    let options = JobManagerOptions {
        configuration: configuration.clone(),
        build_id: identity.build_id,
        seed: process_seed(clock.as_ref()),
        acceptor,
        driver: Box::new(StandaloneDriver),
        election: Box::new(StandaloneElection),
        store: stores.checkpoints(configuration)?,
        clock,
        runtime: runtime.handle().clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: String::new(),
    };
    Ok(runtime.block_on(JobManager::start(options))?)
}

fn serve_rest(
    configuration: &Configuration,
    runtime: &Runtime,
    job_manager: &JobManagerHandle,
) -> Result<(), ProcessError> {
    let host = configuration.get(&rest::BIND_HOST);
    let rule = PortRule::Exactly(configuration.get(&rest::PORT));
    let server = runtime.block_on(RestServer::bind(&host, &rule))?;
    tracing::info!("REST is served at http://{}", server.local_address());
    runtime.spawn(server.serve(Arc::new(job_manager.clone()), std::future::pending()));
    Ok(())
}

/// A signal ends the JobManager, and with it the TaskManagers and the application.
fn end_on_signal(runtime: &Runtime, job_manager: JobManagerHandle) {
    runtime.spawn(async move {
        let signal = super::settings::termination().await;
        tracing::warn!("{signal}: the JobManager ends, and its job and TaskManagers with it");
        job_manager.shutdown(signal).await;
    });
}
