//! The engine's settings: what follows from the resource's fields, and `spec.configuration`.
//!
//! All keys are those of docs/configuration.md.

use std::collections::BTreeMap;

use super::Identity;
use super::pod::{
    CERTIFICATE_PATH, LOCAL_STORAGE_PATH, METRICS_PORT, REST_PORT, RPC_PORT, TEMPLATE_PATH,
};
use crate::resource::{Backend, FlinkApplicationSpec, RestartStrategy, RestartStrategyType};

/// Settings by key.
pub(super) type Settings = BTreeMap<String, String>;

/// Below which location an application keeps its state; none if it keeps none.
pub fn state_location(identity: &Identity, spec: &FlinkApplicationSpec) -> Option<String> {
    let location = spec.state.checkpoints.location.as_ref()?;
    let Identity { namespace, name, .. } = identity;
    Some(format!("{}/{namespace}/{name}", location.trim_end_matches('/')))
}

/// What the JobManagers of a revision are set to.
pub fn job_manager_configuration(
    identity: &Identity,
    revision: &str,
    spec: &FlinkApplicationSpec,
) -> Settings {
    let mut settings = common(identity, spec);
    let mut set = |key: &str, value: String| drop(settings.insert(key.to_owned(), value));
    set("jobmanager.rpc.port", RPC_PORT.to_string());
    set("jobmanager.bind-host", "0.0.0.0".to_owned());
    set("rest.port", REST_PORT.to_string());
    set("rest.bind-host", "0.0.0.0".to_owned());

    set("kubernetes.namespace", identity.namespace.clone());
    set("kubernetes.application.name", identity.name.clone());
    set("kubernetes.application.uid", identity.uid.clone());
    set("kubernetes.revision", revision.to_owned());
    set("kubernetes.taskmanager.template", TEMPLATE_PATH.to_owned());
    set("kubernetes.taskmanager.standby", spec.task_manager.standby.to_string());
    let start_timeout = seconds(spec.task_manager.start_timeout_seconds);
    set("kubernetes.taskmanager.start-timeout", start_timeout);
    let idle_timeout = seconds(spec.task_manager.idle_timeout_seconds);
    set("resourcemanager.taskmanager-timeout", idle_timeout);
    set("kubernetes.savepoint-history", spec.state.savepoints.history.to_string());

    let lease = &spec.high_availability;
    let election = |key: &str| format!("high-availability.leader-election.{key}");
    set(&election("lease-duration"), seconds(lease.lease_duration_seconds.into()));
    set(&election("renew-deadline"), seconds(lease.renew_deadline_seconds.into()));
    set(&election("retry-period"), seconds(lease.retry_period_seconds.into()));

    set("parallelism.default", spec.job.parallelism.to_string());
    set("pipeline.max-parallelism", spec.job.max_parallelism.to_string());
    let checkpoints = &spec.state.checkpoints;
    if checkpoints.location.is_some() {
        set("execution.checkpointing.interval", seconds(checkpoints.interval_seconds));
        set("execution.checkpointing.timeout", seconds(checkpoints.timeout_seconds));
        set("execution.checkpointing.num-retained", checkpoints.retain.to_string());
        if let Some(pause) = checkpoints.min_pause_seconds {
            set("execution.checkpointing.min-pause", seconds(pause));
        }
    }
    if let Some(location) = &spec.state.savepoints.location {
        set("execution.checkpointing.savepoint-dir", location.clone());
    }
    let drop_unclaimed = spec.job.allow_non_restored_state.to_string();
    set("execution.state-recovery.ignore-unclaimed-state", drop_unclaimed);
    restart_strategy(&spec.job.restart_strategy, &mut set);
    settings
}

/// What the TaskManagers of a revision are set to. Their address is an argument: each pod's own.
pub fn task_manager_configuration(
    identity: &Identity,
    revision: &str,
    spec: &FlinkApplicationSpec,
) -> Settings {
    let mut settings = common(identity, spec);
    let mut set = |key: &str, value: String| drop(settings.insert(key.to_owned(), value));
    let Identity { namespace, .. } = identity;
    let service = format!("{}.{namespace}.svc", identity.job_managers());
    set("jobmanager.rpc.address", service);
    set("jobmanager.rpc.port", RPC_PORT.to_string());
    set("kubernetes.revision", revision.to_owned());
    set("taskmanager.bind-host", "0.0.0.0".to_owned());
    set("taskmanager.data.port", super::pod::DATA_PORT.to_string());
    // The one memory number: the container's limit. `validate` has read it.
    let limit = spec.task_manager.resources.limits.get("memory");
    if let Some(bytes) = limit.and_then(|limit| limit.units().ok()) {
        set("taskmanager.memory.process.size", format!("{bytes} b"));
    }
    if spec.task_manager.local_storage.is_some() {
        set("execution.checkpointing.local-backup.dirs", LOCAL_STORAGE_PATH.to_owned());
    }
    settings
}

/// What both roles need: the user's settings, where state is, how metrics are read, how many slots
/// a TaskManager has, and where the role's certificate is.
fn common(identity: &Identity, spec: &FlinkApplicationSpec) -> Settings {
    let mut settings = spec.configuration.clone();
    let mut set = |key: &str, value: String| drop(settings.insert(key.to_owned(), value));
    set("metrics.port", METRICS_PORT.to_string());
    set("metrics.bind-host", "0.0.0.0".to_owned());
    // The JobManager makes as many TaskManagers as these are enough for.
    set("taskmanager.numberOfTaskSlots", spec.task_manager.slots.to_string());
    set("high-availability.cluster-id", identity.name.clone());
    set("high-availability.type", "kubernetes".to_owned());
    set("security.ssl.internal.enabled", "true".to_owned());
    set("security.ssl.internal.directory", CERTIFICATE_PATH.to_owned());
    if let Some(location) = state_location(identity, spec) {
        set("high-availability.storageDir", location);
    }
    let backend = match spec.state.backend {
        Backend::Memory => "memory",
        Backend::Disk => "disk",
    };
    set("state.backend.type", backend.to_owned());
    settings
}

fn restart_strategy(strategy: &RestartStrategy, set: &mut impl FnMut(&str, String)) {
    let RestartStrategy {
        r#type,
        initial_backoff_seconds,
        max_backoff_seconds,
        reset_after_seconds,
        max_attempts,
    } = strategy;
    let attempts = max_attempts.unwrap_or(i32::MAX).to_string();
    let initial = seconds(*initial_backoff_seconds);
    match r#type {
        RestartStrategyType::Exponential => {
            set("restart-strategy.type", "exponential-delay".to_owned());
            let mut set = |key: &str, value| {
                set(&format!("restart-strategy.exponential-delay.{key}"), value);
            };
            set("initial-backoff", initial);
            set("max-backoff", seconds(*max_backoff_seconds));
            set("backoff-multiplier", "2".to_owned());
            set("reset-backoff-threshold", seconds(*reset_after_seconds));
            set("attempts-before-reset-backoff", attempts);
        }
        RestartStrategyType::Fixed => {
            set("restart-strategy.type", "fixed-delay".to_owned());
            set("restart-strategy.fixed-delay.attempts", attempts);
            set("restart-strategy.fixed-delay.delay", initial);
        }
        RestartStrategyType::Rate => {
            set("restart-strategy.type", "failure-rate".to_owned());
            let mut set =
                |key: &str, value| set(&format!("restart-strategy.failure-rate.{key}"), value);
            set("max-failures-per-interval", attempts);
            set("failure-rate-interval", seconds(*reset_after_seconds));
            set("delay", initial);
        }
        RestartStrategyType::None => set("restart-strategy.type", "none".to_owned()),
    }
}

fn seconds(seconds: i64) -> String {
    format!("{seconds} s")
}
