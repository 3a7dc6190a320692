//! A TaskManager of a cluster of processes. It runs the application too, but only to find its
//! code: the arguments come with the tasks.

use std::process::ExitCode;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::clock::{Clock, SystemClock};
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{heartbeat, jobmanager, taskmanager};
use thalweg_core::ids::TaskManagerId;
use thalweg_rpc::{Connector, Identity};
use thalweg_taskmanager::driver::ThreadDriver;
use thalweg_taskmanager::{
    DataPlane, ExitReason, TaskManager, TaskManagerHandle, TaskManagerOptions,
};
use thalweg_tls::Role;

use super::build_id::build_id;
use super::codes::CapturedCodes;
use super::executor::process_seed;
use super::settings::{ProcessError, Terminations, configuration};
use super::stores::Stores;
use super::{high_availability, machine, security};
use crate::application::Application;
use crate::command_line::ClusterOptions;
use crate::metrics::Reporter;

/// Runs a TaskManager until its JobManager ends it.
///
/// # Errors
/// The process can't be started, or its JobManager can't be found or doesn't want it.
pub fn run_task_manager(
    name: &str,
    application: &Application,
    options: &ClusterOptions,
) -> Result<ExitCode, ProcessError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("thalweg-io")
        .enable_all()
        .build()
        .map_err(ProcessError::Runtime)?;
    // Before anything that takes time: to a container's first process a signal without a handler
    // is lost, and it would be killed when its grace is over.
    let signals = runtime.block_on(async { Terminations::new() });
    let configuration = configuration(options)?;
    crate::logging::start(&configuration);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let stores = Stores::new(&configuration, process_seed(clock.as_ref()));
    let around = Surroundings { clock: &clock, stores: &stores, runtime: runtime.handle() };
    let options = task_manager_options(name, application, &configuration, &around)?;
    let mut worker = runtime.block_on(TaskManager::start(options))?;
    tracing::info!("TaskManager {}, data port {}", worker.id(), worker.data_address());
    let registries = Arc::new(Mutex::new(vec![(worker.id().clone(), worker.metrics_registry())]));
    Reporter::new(None, registries, stores, clock).serve(
        &configuration,
        runtime.handle(),
        false,
    )?;
    let exit = runtime.block_on(until_ended(&mut worker, signals));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match exit {
        ExitReason::ShutDown { .. } | ExitReason::Stopped { .. } => {
            tracing::info!("{exit}");
            Ok(ExitCode::SUCCESS)
        }
        ExitReason::Refused { .. } | ExitReason::RegistrationTimedOut { .. } => {
            Err(ProcessError::Ended(exit.to_string()))
        }
    }
}

/// The first signal lets it work on until its tasks are elsewhere; the second one ends it.
async fn until_ended(worker: &mut TaskManagerHandle, mut signals: Terminations) -> ExitReason {
    tokio::select! {
        exit = worker.ended() => return exit,
        signal = signals.next() => worker.leave(signal),
    }
    tokio::select! {
        exit = worker.ended() => return exit,
        signal = signals.next() => worker.stop(signal),
    }
    worker.ended().await
}

/// What the process has for its TaskManager.
struct Surroundings<'a> {
    clock: &'a Arc<dyn Clock>,
    stores: &'a Stores,
    runtime: &'a tokio::runtime::Handle,
}

fn task_manager_options(
    name: &str,
    application: &Application,
    configuration: &Configuration,
    around: &Surroundings<'_>,
) -> Result<TaskManagerOptions, ProcessError> {
    let Surroundings { clock, stores, runtime } = *around;
    let host = configuration.get(&jobmanager::RPC_ADDRESS);
    let address = format!("{host}:{}", configuration.get(&jobmanager::RPC_PORT));
    let build_id = build_id();
    let identity = Identity { build_id };
    let tls = security::tls(configuration, Role::TaskManager, clock)?;
    let transport = security::rpc_transport(tls.as_ref());
    let edge = (identity, Arc::clone(&transport), runtime);
    let seed = process_seed(clock.as_ref());
    let located = high_availability::connector(configuration, stores, name, edge, seed)?;
    let at_address = || Connector::Remote { transport, address, identity };
    // The host that others reach this process at: what it binds to, unless that is every address.
    let bind_host = configuration.get(&taskmanager::BIND_HOST);
    let host = match bind_host.as_str() {
        "0.0.0.0" | "::" => std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned()),
        _ => bind_host,
    };
    let suffix = seed & 0xff_ffff;
    let own_id = || format!("{host}-{}-{suffix:06x}", std::process::id());
    let id = configuration.get(&taskmanager::RESOURCE_ID).unwrap_or_else(own_id);
    Ok(TaskManagerOptions {
        id: TaskManagerId(id),
        configuration: configuration.clone(),
        build_id,
        connector: located.unwrap_or_else(at_address),
        data_plane: DataPlane::Network {
            // Two TaskManagers exchange no heartbeats: each has its own with the JobManager.
            transport: security::data_transport(
                tls.as_ref(),
                configuration.get(&heartbeat::TIMEOUT),
            ),
            cluster: high_availability::cluster_id(configuration, name),
            host,
        },
        clock: clock.clone(),
        codes: Arc::new(CapturedCodes(application.clone())),
        stores: Arc::new(stores.clone()),
        driver: Arc::new(ThreadDriver::new(clock.clone(), runtime.clone())),
        hardware: machine::hardware(),
    })
}
