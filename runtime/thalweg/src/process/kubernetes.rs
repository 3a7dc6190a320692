//! What a JobManager in Kubernetes goes by: its application's Lease, and pods for TaskManagers. On
//! where `kubernetes.lease` and `kubernetes.taskmanager.template` are set. Not here: what any of it
//! means (`thalweg-kubernetes`).

use std::path::Path;
use std::sync::Arc;

use kube::Client;
use thalweg_core::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{high_availability, kubernetes, slots, taskmanager};
use thalweg_jobmanager::high_availability::Turn;
use thalweg_jobmanager::resource_manager::{
    ResourceManagerDriver, StandaloneDriver, WorkerOptions,
};
use thalweg_kubernetes::lease::{Candidate, LeaseTimes, LeaseTurn};
use thalweg_kubernetes::task_manager_pods::{
    KubernetesDriver, PodDriverOptions, PodTemplate, PodTimes,
};
use tokio::runtime::Runtime;

use super::settings::ProcessError;

/// Whether a Deployment starts this process again when it ends: then it stays after the application
/// has ended, and shows how, until it is told to end.
pub(super) fn is_deployed(configuration: &Configuration) -> bool {
    configuration.is_set(&kubernetes::LEASE)
}

/// Says whose turn it is to lead, where a Lease does.
///
/// # Errors
/// The API server's address isn't known, or this process's pod.
pub(super) fn turn(
    configuration: &Configuration,
    (clock, runtime): (&Arc<dyn Clock>, &Runtime),
) -> Result<Option<Box<dyn Turn>>, ProcessError> {
    let Some(lease) = configuration.get(&kubernetes::LEASE) else { return Ok(None) };
    let needed = |value: Option<String>, key| value.ok_or(ProcessError::PodUnknown { key });
    let name = needed(configuration.get(&kubernetes::POD_NAME), kubernetes::POD_NAME.key())?;
    let uid = needed(configuration.get(&kubernetes::POD_UID), kubernetes::POD_UID.key())?;
    let candidate = Candidate {
        identity: format!("{name}_{uid}"),
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
    Ok(Some(Box::new(turn)))
}

/// Starts TaskManagers, where there is a template for their pods; else nobody does.
///
/// # Errors
/// The template can't be used, or the API server's address isn't known.
pub(super) fn driver(
    configuration: &Configuration,
    (clock, runtime): (&Arc<dyn Clock>, &Runtime),
) -> Result<Box<dyn ResourceManagerDriver>, ProcessError> {
    let Some(path) = configuration.get(&kubernetes::TASKMANAGER_TEMPLATE) else {
        return Ok(Box::new(StandaloneDriver));
    };
    let options = PodDriverOptions {
        template: PodTemplate::read(Path::new(&path))?,
        client: client(runtime)?,
        namespace: configuration.get(&kubernetes::NAMESPACE),
        deployment: configuration.get(&kubernetes::DEPLOYMENT),
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
    };
    Ok(Box::new(KubernetesDriver::new(options)))
}

/// Talks to the API server: with the pod's own account, or as the kubeconfig says.
fn client(runtime: &Runtime) -> Result<Client, ProcessError> {
    runtime
        .block_on(Client::try_default())
        .map_err(|source| ProcessError::ApiServer(Box::new(source)))
}
