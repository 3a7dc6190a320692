//! What a JobManager in Kubernetes goes by: its application's Lease, and pods for TaskManagers; and
//! the status that it writes. On where `high-availability.type` is `kubernetes`,
//! `kubernetes.taskmanager.template` and `kubernetes.application.name` are set. Not here: what any
//! of it means (`thalweg-kubernetes`).

use std::path::Path;
use std::sync::{Arc, OnceLock};

use kube::Client;
use thalweg_core::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::high_availability::{self, HighAvailabilityType};
use thalweg_core::configuration::options::{kubernetes, slots, taskmanager};
use thalweg_jobmanager::JobManagerHandle;
use thalweg_jobmanager::high_availability::Records;
use thalweg_jobmanager::high_availability::lineage::Entered;
use thalweg_jobmanager::resource_manager::{
    ResourceManagerDriver, StandaloneDriver, WorkerOptions,
};
use thalweg_kubernetes::lease::{Candidate, LeaseTimes, LeaseTurn};
use thalweg_kubernetes::status::{LeaderFacts, PodCounts, StatusOptions, push_status};
use thalweg_kubernetes::task_manager_pods::{
    KubernetesDriver, PodDriverOptions, PodPreparation, PodTemplate, PodTimes,
};
use tokio::runtime::Runtime;

use super::high_availability::writer_id;
use super::settings::ProcessError;

/// Whether a Deployment starts this process again when it ends: then it stays after the application
/// has ended, and shows how, until it is told to end.
pub(super) fn is_deployed(configuration: &Configuration) -> bool {
    configuration.get(&high_availability::TYPE) == HighAvailabilityType::Kubernetes
}

/// Says whose turn it is to lead, where a Lease does.
///
/// # Errors
/// The API server's address isn't known, or this process's pod.
pub(super) fn turn(
    configuration: &Configuration,
    (clock, runtime): (&Arc<dyn Clock>, &Runtime),
) -> Result<Option<LeaseTurn>, ProcessError> {
    if !is_deployed(configuration) {
        return Ok(None);
    }
    let needed = |value: Option<String>, key| value.ok_or(ProcessError::PodUnknown { key });
    let application = configuration.get(&kubernetes::APPLICATION);
    let lease = needed(application, kubernetes::APPLICATION.key())?;
    let candidate = Candidate {
        identity: identity(configuration)?,
        revision: configuration.get(&kubernetes::REVISION).unwrap_or_default(),
    };
    let times = LeaseTimes {
        duration: configuration.get(&high_availability::LEASE_DURATION),
        renew_deadline: configuration.get(&high_availability::RENEW_DEADLINE),
        retry_period: configuration.get(&high_availability::RETRY_PERIOD),
    };
    let namespace = configuration.get(&kubernetes::NAMESPACE);
    let client = client(runtime)?;
    let clock = Arc::clone(clock);
    let turn = LeaseTurn::new(&client, (&namespace, lease), candidate, times, clock);
    Ok(Some(turn))
}

/// This process as the holder of its application's Lease.
fn identity(configuration: &Configuration) -> Result<String, ProcessError> {
    let needed = |value: Option<String>, key| value.ok_or(ProcessError::PodUnknown { key });
    let name = needed(configuration.get(&kubernetes::POD_NAME), kubernetes::POD_NAME.key())?;
    let uid = needed(configuration.get(&kubernetes::POD_UID), kubernetes::POD_UID.key())?;
    Ok(format!("{name}_{uid}"))
}

/// Who starts TaskManagers, and what the status tells of them.
pub(super) struct Workers {
    pub(super) driver: Box<dyn ResourceManagerDriver>,
    pub(super) pods: Pods,
}

/// How many pods there are, and what they are selected by.
pub(super) struct Pods {
    counts: Arc<dyn Fn() -> PodCounts + Send + Sync>,
    selector: String,
}

/// Starts TaskManagers, where there is a template for their pods; else nobody does. They find this
/// process at `rpc_address` before it leads.
///
/// # Errors
/// The template can't be used, or the API server's address isn't known.
pub(super) fn workers(
    configuration: &Configuration,
    rpc_address: &str,
    (clock, runtime): (&Arc<dyn Clock>, &Runtime),
) -> Result<Workers, ProcessError> {
    let Some(path) = configuration.get(&kubernetes::TASKMANAGER_TEMPLATE) else {
        let pods = Pods { counts: Arc::new(PodCounts::default), selector: String::new() };
        return Ok(Workers { driver: Box::new(StandaloneDriver), pods });
    };
    let application = configuration.get(&kubernetes::APPLICATION);
    let application = application.unwrap_or_else(|| "thalweg".to_owned());
    let template = PodTemplate::read(Path::new(&path), format!("{application}-taskmanager"))?;
    let selector = template.selector();
    let options = PodDriverOptions {
        template,
        client: client(runtime)?,
        namespace: configuration.get(&kubernetes::NAMESPACE),
        deployment: configuration.get(&kubernetes::REVISION),
        workers: WorkerOptions {
            slots: configuration.get(&taskmanager::NUMBER_OF_TASK_SLOTS),
            spare: configuration.get(&kubernetes::TASKMANAGER_STANDBY),
            released: true,
        },
        times: PodTimes {
            start_timeout: configuration.get(&kubernetes::TASKMANAGER_START_TIMEOUT),
            idle_timeout: configuration.get(&slots::TASKMANAGER_TIMEOUT),
            ..PodTimes::default()
        },
        clock: Arc::clone(clock),
        runtime: runtime.handle().clone(),
        preparation: Some(PodPreparation {
            number: writer_id(clock.as_ref()).0 as u32,
            argument: format!("{}={rpc_address}", kubernetes::PREPARING_JOB_MANAGER.key()),
        }),
    };
    let driver = KubernetesDriver::new(options);
    let pods = Pods { counts: Arc::new(driver.counts()), selector };
    Ok(Workers { driver: Box::new(driver), pods })
}

/// Enters the identity that this JobManager leads under as the application's newest, unless an
/// earlier resource of this name has left its state under another one: nothing is run here then,
/// and the operator starts a JobManager that goes on there. None: another one leads by now.
///
/// # Errors
/// The store fails, or what is there can't be read.
pub(super) fn enter_lineage(
    configuration: &Configuration,
    job_manager: &JobManagerHandle,
    runtime: &Runtime,
) -> Result<Option<Entered>, ProcessError> {
    let application = configuration.get(&kubernetes::APPLICATION);
    let identity = job_manager.records().map(Records::cluster_id);
    // The operator begins with the resource's name and chooses all others.
    let is_first = application.is_some() && application.as_deref() == identity;
    Ok(runtime.block_on(job_manager.enter_lineage(is_first))?)
}

/// Writes the application's status while this JobManager leads, where it has a resource.
///
/// # Errors
/// The API server's address isn't known.
pub(super) fn report_status(
    configuration: &Configuration,
    job_manager: &JobManagerHandle,
    (pods, lineage): (Pods, Entered),
    (clock, runtime): (&Arc<dyn Clock>, &Runtime),
) -> Result<(), ProcessError> {
    let Some(application) = configuration.get(&kubernetes::APPLICATION) else { return Ok(()) };
    let options = StatusOptions {
        client: client(runtime)?,
        namespace: configuration.get(&kubernetes::NAMESPACE),
        application,
        uid: configuration.get(&kubernetes::APPLICATION_UID),
        identity: identity(configuration)?,
        savepoint_history: configuration.get(&kubernetes::SAVEPOINT_HISTORY) as usize,
        leader: LeaderFacts {
            pod: configuration.get(&kubernetes::POD_NAME).unwrap_or_default(),
            epoch: job_manager.epoch().0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            selector: pods.selector,
            lineage,
        },
        pods: pods.counts,
        clock: Arc::clone(clock),
    };
    runtime.spawn(push_status(options, job_manager.clone()));
    Ok(())
}

/// Talks to the API server: with the pod's own account, or as the kubeconfig says. All of a process
/// is one client, whose connections and certificates are shared.
fn client(runtime: &Runtime) -> Result<Client, ProcessError> {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client.clone());
    }
    let made = runtime
        .block_on(Client::try_default())
        .map_err(|source| ProcessError::ApiServer(Box::new(source)))?;
    Ok(CLIENT.get_or_init(|| made).clone())
}
