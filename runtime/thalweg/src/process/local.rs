//! Everything in this process: a JobManager, and TaskManagers that are started as they are needed.

use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::clock::{Clock, SystemClock};
use thalweg_core::configuration::options::logging::{self, LogLevel};
use thalweg_core::configuration::options::{metrics, parallelism, rest, taskmanager};
use thalweg_core::configuration::{Configuration, MemorySize};
use thalweg_core::ids::TaskManagerId;
use thalweg_datastream::StreamExecutionEnvironment;
use thalweg_jobmanager::high_availability::StandaloneElection;
use thalweg_jobmanager::resource_manager::LocalDriver;
use thalweg_jobmanager::rest::{PortRule, RestServer};
use thalweg_jobmanager::{JobManager, JobManagerHandle, JobManagerOptions};
use thalweg_network::{NetworkEnvironment, PartitionRegistry, RegistryOptions};
use thalweg_rpc::{AcceptorSender, Connector, accept_channel};
use thalweg_taskmanager::driver::ThreadDriver;
use thalweg_taskmanager::{DataPlane, TaskManager, TaskManagerOptions};
use thalweg_tls::Role;
use tokio::runtime::Runtime;

use super::codes::LocalCodes;
use super::executor::ClusterExecutor;
use super::savepoint_stores::SavepointStores;
use super::stores::Stores;
use super::{ProcessError, machine, progress, security};
use crate::application::Application;
use crate::command_line::ClusterOptions;
use crate::metrics::{Reporter, TaskManagers};

/// Slots of a TaskManager of this process, when nobody says otherwise.
const LOCAL_SLOTS: u32 = 8;

/// A JobManager and TaskManagers in this process.
pub struct LocalCluster {
    runtime: Runtime,
    job_manager: JobManagerHandle,
    codes: Arc<LocalCodes>,
    configuration: Configuration,
    reporter: Reporter,
}

impl std::fmt::Debug for LocalCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalCluster({:?})", self.configuration)
    }
}

/// What holds in one process where nobody says otherwise: all processors, and half of the memory
/// for each TaskManager (it is a bound, not a reservation).
fn local_defaults(mut configuration: Configuration) -> Result<Configuration, ProcessError> {
    let hardware = machine::hardware();
    if !configuration.is_set(&parallelism::DEFAULT) {
        configuration.set(&parallelism::DEFAULT, hardware.cpu_cores)?;
    }
    if !configuration.is_set(&taskmanager::NUMBER_OF_TASK_SLOTS) {
        configuration.set(&taskmanager::NUMBER_OF_TASK_SLOTS, LOCAL_SLOTS)?;
    }
    if !configuration.is_set(&taskmanager::MEMORY_PROCESS_SIZE) {
        let least = configuration.get(&taskmanager::MEMORY_PROCESS_SIZE).bytes();
        let bytes = least.max(hardware.physical_bytes / 2);
        configuration.set(&taskmanager::MEMORY_PROCESS_SIZE, MemorySize::from_bytes(bytes))?;
    }
    Ok(configuration)
}

/// Starts TaskManagers in this process.
struct Workers {
    configuration: Configuration,
    acceptor: AcceptorSender,
    environment: Arc<NetworkEnvironment>,
    clock: Arc<dyn Clock>,
    codes: Arc<LocalCodes>,
    runtime: tokio::runtime::Handle,
    registries: TaskManagers,
    stores: Stores,
}

impl Workers {
    fn start(&self, number: u32) {
        let id = TaskManagerId(format!("local-{number}"));
        let options = TaskManagerOptions {
            connector: Connector::InProcess { acceptor: self.acceptor.clone(), name: id.0.clone() },
            id,
            configuration: self.configuration.clone(),
            build_id: 0,
            data_plane: DataPlane::InProcess(self.environment.clone()),
            clock: self.clock.clone(),
            codes: self.codes.clone(),
            stores: Arc::new(self.stores.clone()),
            driver: Arc::new(ThreadDriver::new(self.clock.clone(), self.runtime.clone())),
            hardware: machine::hardware(),
        };
        let registries = self.registries.clone();
        self.runtime.spawn(async move {
            match TaskManager::start(options).await {
                Ok(mut worker) => {
                    registries.lock().push((worker.id().clone(), worker.metrics_registry()));
                    let exit = worker.ended().await;
                    tracing::debug!("{exit}");
                }
                Err(error) => tracing::error!("a local TaskManager can't start: {error}"),
            }
        });
    }
}

impl LocalCluster {
    /// Starts a JobManager; TaskManagers follow when a job needs them.
    ///
    /// # Errors
    /// A setting can't be used, or the process can't have more threads.
    pub fn start(configuration: Configuration) -> Result<Self, ProcessError> {
        let configuration = local_defaults(configuration)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("thalweg-io")
            .enable_all()
            .build()
            .map_err(ProcessError::Runtime)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let codes = Arc::new(LocalCodes::default());
        let (sender, acceptor) = accept_channel();
        let registry = PartitionRegistry::new(RegistryOptions::default());
        let registries = Arc::new(Mutex::new(Vec::new()));
        let stores = Stores::new(&configuration, super::executor::process_seed(clock.as_ref()));
        let workers = Workers {
            configuration: configuration.clone(),
            acceptor: sender,
            environment: Arc::new(NetworkEnvironment::new("local", registry, None)),
            clock: clock.clone(),
            codes: codes.clone(),
            runtime: runtime.handle().clone(),
            registries: registries.clone(),
            stores: stores.clone(),
        };
        let slots = configuration.get(&taskmanager::NUMBER_OF_TASK_SLOTS);
        let driver = LocalDriver::new(slots, move |number| workers.start(number));
        let store = stores.checkpoints(&configuration)?;
        store.iter().try_for_each(|store| stores.check(store, &runtime))?;
        let options = JobManagerOptions {
            configuration: configuration.clone(),
            build_id: 0,
            seed: super::executor::process_seed(clock.as_ref()),
            acceptor,
            driver: Box::new(driver),
            election: Box::new(StandaloneElection),
            preparation: None,
            store,
            stores: Arc::new(SavepointStores(stores.clone())),
            records: None,
            clock: clock.clone(),
            runtime: runtime.handle().clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: String::new(),
        };
        let job_manager = runtime.block_on(JobManager::start(options))?;
        let reporter = Reporter::new(Some(job_manager.clone()), registries, stores, clock);
        Ok(Self { runtime, job_manager, codes, configuration, reporter })
    }

    /// An environment whose jobs run here.
    pub fn environment(
        &self,
        name: &str,
        arguments: Vec<String>,
        verify: Option<Application>,
    ) -> StreamExecutionEnvironment {
        StreamExecutionEnvironment::new(Rc::new(ClusterExecutor {
            cluster_id: name.to_owned(),
            configuration: self.configuration.clone(),
            arguments,
            job_manager: self.job_manager.clone(),
            runtime: self.runtime.handle().clone(),
            codes: Some(self.codes.clone()),
            verify,
            results: RefCell::default(),
            once_values: RefCell::default(),
            executing: Cell::new(false),
        }))
    }

    /// Serves REST at `rest.port`, or, where that isn't set, at the first free port from 8081.
    fn serve(&self) -> Result<(), ProcessError> {
        let host = self.configuration.get(&rest::BIND_HOST);
        let port = self.configuration.get(&rest::PORT);
        let rule = if self.configuration.is_set(&rest::PORT) {
            PortRule::Exactly(port)
        } else {
            PortRule::FirstFreeOf(8081..=8181)
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let tls = security::tls(&self.configuration, Role::JobManager, &clock)?;
        let server = self.runtime.block_on(RestServer::bind(&host, &rule))?.secured(tls);
        eprintln!("REST is served at http://{}", server.local_address());
        let gateway = Arc::new(self.job_manager.clone());
        self.runtime.spawn(server.serve(gateway, std::future::pending()));
        Ok(())
    }

    /// Ends everything.
    pub fn shut_down(self) {
        self.runtime.block_on(self.job_manager.outcomes_read(super::LAST_QUESTIONS));
        self.runtime.block_on(self.job_manager.shutdown("the program has ended"));
        self.runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    }
}

/// Runs an application in this process.
///
/// # Errors
/// The engine can't be started. What becomes of the application is the exit code.
pub fn run_local(
    name: &str,
    application: &Application,
    options: &ClusterOptions,
) -> Result<ExitCode, ProcessError> {
    let mut configuration = super::configuration(options)?;
    if !configuration.is_set(&logging::LEVEL) {
        // People read results and progress here; what goes wrong is printed at the end anyway.
        configuration.set(&logging::LEVEL, LogLevel::Warn)?;
    }
    crate::logging::start(&configuration);
    let cluster = LocalCluster::start(configuration)?;
    cluster.serve()?;
    let optional = !cluster.configuration.is_set(&metrics::PORT);
    cluster.reporter.serve(&cluster.configuration, cluster.runtime.handle(), optional)?;
    let progress = progress::start(&cluster.reporter, cluster.runtime.handle());
    let verify = cfg!(debug_assertions).then(|| application.clone());
    let env = cluster.environment(name, options.arguments.clone(), verify);
    let outcome = application(&env, &options.arguments);
    progress.finish();
    drop(env);
    cluster.shut_down();
    Ok(super::executor::exit_code(outcome))
}
