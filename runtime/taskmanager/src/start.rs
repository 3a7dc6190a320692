//! Starts a TaskManager and hands out what others may do with it.

use std::sync::Arc;

use thalweg_core::Clock;
use thalweg_core::configuration::options::{network, taskmanager};
use thalweg_core::configuration::{Configuration, MemoryPlan, MemoryPlanError};
use thalweg_core::ids::TaskManagerId;
use thalweg_network::remote::{
    ClientOptions, DataClient, DataServer, ProcessIdentity, ServerOptions, Transport,
};
use thalweg_network::{NetworkEnvironment, NetworkMemory, PartitionRegistry, RegistryOptions};
use thalweg_rpc::Connector;
use thalweg_rpc::message::TaskManagerResources;
use thalweg_storage::BlobStoreOpener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::driver::TaskDriver;
use crate::executor::{CodeProvider, ExecutorParts, ExitReason, TaskExecutor};
use crate::hardware::Hardware;
use crate::metrics::{MetricsRegistry, MetricsSnapshot};

/// How records travel to other TaskManagers.
pub enum DataPlane {
    /// Not at all, or to those that share this environment: everything is in one process.
    InProcess(Arc<NetworkEnvironment>),
    /// Through a data port of its own (`taskmanager.data.port`).
    Network {
        /// Makes and accepts connections.
        transport: Arc<dyn Transport>,
        /// The cluster's id; TaskManagers of another one aren't talked to.
        cluster: String,
        /// The host that others reach this process at, where `taskmanager.host` isn't set.
        host: String,
    },
}

/// What a TaskManager is made of.
pub struct TaskManagerOptions {
    /// The process; another start is another id.
    pub id: TaskManagerId,
    /// Its configuration.
    pub configuration: Configuration,
    /// The binary's build.
    pub build_id: u64,
    /// The way to the JobManager.
    pub connector: Connector,
    /// The way to other TaskManagers.
    pub data_plane: DataPlane,
    /// Time; the driver's tasks read the same.
    pub clock: Arc<dyn Clock>,
    /// Finds the code of jobs.
    pub codes: Arc<dyn CodeProvider>,
    /// Opens checkpoint directories.
    pub stores: Arc<dyn BlobStoreOpener>,
    /// Runs tasks.
    pub driver: Arc<dyn TaskDriver>,
    /// What the machine has.
    pub hardware: Hardware,
}

/// A TaskManager can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its memory can't be divided.
    #[error(transparent)]
    Memory(#[from] MemoryPlanError),
    /// Its data port can't be had.
    #[error(
        "the data port can't listen at {address}: {source}; choose another taskmanager.data.port \
         (0 for any) or taskmanager.bind-host"
    )]
    DataPort {
        /// Where it should.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A TaskManager that runs.
#[derive(Debug)]
pub struct TaskManagerHandle {
    id: TaskManagerId,
    data_address: String,
    metrics: Arc<MetricsRegistry>,
    clock: Arc<dyn Clock>,
    leave: Option<oneshot::Sender<String>>,
    stop: Option<oneshot::Sender<String>>,
    executor: JoinHandle<ExitReason>,
    exit: Option<ExitReason>,
}

/// Starts TaskManagers.
#[derive(Debug)]
pub struct TaskManager;

impl TaskManager {
    /// Starts a TaskManager on the current runtime. It finds its JobManager by itself, and ends
    /// when that says so, or as [`ExitReason`] says. Dropping the handle ends it, too.
    ///
    /// # Errors
    /// Its memory is too small for its slots, or its data port can't be had.
    pub async fn start(options: TaskManagerOptions) -> Result<TaskManagerHandle, StartError> {
        let configuration = options.configuration;
        let plan = MemoryPlan::of(&configuration)?;
        let slots = configuration.get(&taskmanager::NUMBER_OF_TASK_SLOTS);
        let channel_bytes = configuration.get(&network::MEMORY_PER_CHANNEL).bytes();
        let (network, server) =
            open_data_plane(options.data_plane, &configuration, options.build_id, channel_bytes)
                .await?;
        let metrics = Arc::new(MetricsRegistry::default());
        let data_address = network.address().to_owned();
        let parts = ExecutorParts {
            id: options.id.clone(),
            resources: resources(&configuration, &plan, slots, options.hardware),
            slots,
            process_id: options.hardware.process_id,
            build_id: options.build_id,
            connector: options.connector,
            network,
            memory: NetworkMemory::new(plan.network.bytes(), channel_bytes),
            slot_state_bytes: to_usize(plan.per_slot.state.bytes()),
            clock: Arc::clone(&options.clock),
            codes: options.codes,
            stores: options.stores,
            driver: options.driver,
            metrics: Arc::clone(&metrics),
            runtime: Handle::current(),
            configuration,
        };
        let (leave, left) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let executor = TaskExecutor::new(parts);
        let executor = tokio::spawn(async move {
            let exit = executor.run(left, stopped).await;
            // The port is closed when nobody sends any more.
            drop(server);
            exit
        });
        Ok(TaskManagerHandle {
            id: options.id,
            data_address,
            metrics,
            clock: options.clock,
            leave: Some(leave),
            stop: Some(stop),
            executor,
            exit: None,
        })
    }
}

impl TaskManagerHandle {
    /// The process's id.
    pub fn id(&self) -> &TaskManagerId {
        &self.id
    }

    /// Where others send records to.
    pub fn data_address(&self) -> &str {
        &self.data_address
    }

    /// All figures now.
    pub fn metrics(&self) -> MetricsSnapshot {
        self.metrics.snapshot(self.clock.elapsed())
    }

    /// What [`Self::metrics`] is made from, for reporters that outlive this handle.
    pub fn metrics_registry(&self) -> Arc<MetricsRegistry> {
        Arc::clone(&self.metrics)
    }

    /// Tells it to end, but to work on while its JobManager moves its tasks to others; it ends by
    /// itself when that is done or can't be, and within `taskmanager.termination-grace-period`. A
    /// second call does nothing.
    pub fn leave(&mut self, reason: &str) {
        if let Some(leave) = self.leave.take() {
            // It has ended already when this fails.
            let _ = leave.send(reason.to_owned());
        }
    }

    /// Tells it to end now: it says goodbye to its JobManager and cancels its tasks. A second call
    /// does nothing.
    pub fn stop(&mut self, reason: &str) {
        if let Some(stop) = self.stop.take() {
            // It has ended already when this fails.
            let _ = stop.send(reason.to_owned());
        }
    }

    /// Waits for its end. Safe to cancel, and to call again.
    pub async fn ended(&mut self) -> ExitReason {
        if let Some(exit) = &self.exit {
            return exit.clone();
        }
        let exit = match (&mut self.executor).await {
            Ok(exit) => exit,
            Err(error) => ExitReason::Stopped { reason: error.to_string() },
        };
        self.exit = Some(exit.clone());
        exit
    }
}

async fn open_data_plane(
    data_plane: DataPlane,
    configuration: &Configuration,
    build: u64,
    channel_bytes: u64,
) -> Result<(Arc<NetworkEnvironment>, Option<DataServer>), StartError> {
    let (transport, cluster, host) = match data_plane {
        DataPlane::InProcess(environment) => return Ok((environment, None)),
        DataPlane::Network { transport, cluster, host } => (transport, cluster, host),
    };
    let bind_host = configuration.get(&taskmanager::BIND_HOST);
    let port = configuration.get(&taskmanager::DATA_PORT);
    let address = host_and_port(&bind_host, port);
    let registry = PartitionRegistry::new(RegistryOptions {
        channel_bytes: to_usize(channel_bytes),
        ..RegistryOptions::default()
    });
    let identity = ProcessIdentity { build, cluster };
    let server = DataServer::start(
        transport.as_ref(),
        &address,
        Arc::clone(&registry),
        identity.clone(),
        ServerOptions::default(),
    );
    let server =
        server.await.map_err(|source| StartError::DataPort { address: address.clone(), source })?;
    let host = configuration.get(&taskmanager::HOST).unwrap_or(host);
    let announced = host_and_port(&host, server.port());
    let client = DataClient::new(transport, Handle::current(), identity, ClientOptions::default());
    let environment = NetworkEnvironment::new(announced, registry, Some(client));
    Ok((Arc::new(environment), Some(server)))
}

fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn resources(
    configuration: &Configuration,
    plan: &MemoryPlan,
    slots: u32,
    hardware: Hardware,
) -> TaskManagerResources {
    let (per_slot, slots) = (plan.per_slot, u64::from(slots));
    TaskManagerResources {
        cpu_cores: hardware.cpu_cores,
        physical_bytes: hardware.physical_bytes,
        process_bytes: configuration.get(&taskmanager::MEMORY_PROCESS_SIZE).bytes(),
        overhead_bytes: plan.overhead.bytes(),
        network_bytes: plan.network.bytes(),
        state_bytes: per_slot.state.bytes() * slots,
        snapshot_buffer_bytes: per_slot.snapshot_buffers.bytes() * slots,
        user_code_bytes: per_slot.user_code.bytes() * slots,
    }
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
