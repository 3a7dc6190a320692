//! What REST shows, filled from what the control plane knows. Pure; called by the endpoint at most
//! every 100 ms. Not here: JSON.

mod job;
mod task_manager;

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::state;
use thalweg_core::configuration::options::{parallelism, web};
use thalweg_rpc::message::{MetricGroup, MetricScope};

use crate::dispatcher::Dispatcher;
use crate::job_master::JobResult;
use crate::rest::model::{ClusterFacts, EnvironmentFacts, MetricValue, Metrics};

/// What doesn't change while a JobManager runs.
#[derive(Debug, Clone)]
pub struct ClusterDescription {
    version: String,
    commit: String,
    refresh_interval_ms: u64,
    configuration: BTreeMap<String, String>,
    default_parallelism: u32,
    state_backend: String,
    checkpoint_storage: String,
}

impl ClusterDescription {
    /// What the configuration says.
    pub fn new(
        configuration: &Configuration,
        version: String,
        commit: String,
        checkpoint_storage: Option<String>,
    ) -> Self {
        let refresh = configuration.get(&web::REFRESH_INTERVAL).as_millis();
        let values = configuration.keys_and_values();
        let backend = match configuration.get(&state::BACKEND_TYPE) {
            state::StateBackendType::Memory => "memory",
        };
        Self {
            version,
            commit,
            refresh_interval_ms: u64::try_from(refresh).unwrap_or(u64::MAX),
            configuration: values.map(|(key, value)| (key.to_owned(), value)).collect(),
            default_parallelism: configuration.get(&parallelism::DEFAULT),
            state_backend: backend.to_owned(),
            checkpoint_storage: checkpoint_storage.unwrap_or_else(|| "none".to_owned()),
        }
    }

    /// The facts of now. `ended_before` are the results of jobs that an earlier life of the
    /// JobManager has run.
    pub fn facts(&self, dispatcher: &Dispatcher, ended_before: &[JobResult]) -> ClusterFacts {
        let metrics = MetricIndex::of(dispatcher);
        let resources = dispatcher.resources();
        let task_managers = resources.task_managers().iter();
        let task_managers =
            task_managers.map(|(id, tm)| Arc::new(task_manager::facts(id, tm, resources.slots())));
        // A program's jobs run one after the other.
        let ended_before = ended_before.iter().map(|result| Arc::new(job::recorded(result)));
        let jobs = dispatcher.jobs().map(|job| Arc::new(job::facts(self, job, &metrics)));
        let jobs = ended_before.chain(jobs);
        ClusterFacts {
            version: self.version.clone(),
            commit: self.commit.clone(),
            build_time: String::new(),
            refresh_interval_ms: self.refresh_interval_ms,
            task_managers: task_managers.collect(),
            jobs: jobs.collect(),
            configuration: self.configuration.clone(),
            job_manager_metrics: job_manager_metrics(dispatcher),
            environment: EnvironmentFacts {
                version: format!("Thalweg {}", self.version),
                architecture: std::env::consts::ARCH.to_owned(),
                options: Vec::new(),
            },
        }
    }
}

fn job_manager_metrics(dispatcher: &Dispatcher) -> Metrics {
    let integer = |value: usize| MetricValue::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    let resources = dispatcher.resources();
    let running = dispatcher.jobs().filter(|job| job.result().is_none()).count();
    Metrics::from([
        ("numRegisteredTaskManagers".to_owned(), integer(resources.task_managers().len())),
        ("numRunningJobs".to_owned(), integer(running)),
        ("taskSlotsAvailable".to_owned(), integer(resources.slots().free_slots())),
        ("taskSlotsTotal".to_owned(), integer(resources.slots().registered_slots())),
    ])
}

/// The latest metrics of all TaskManagers and of executions that have ended, by what they are
/// about.
struct MetricIndex<'a>(BTreeMap<MetricScope, &'a MetricGroup>);

impl<'a> MetricIndex<'a> {
    fn of(dispatcher: &'a Dispatcher) -> Self {
        let task_managers = dispatcher.resources().task_managers().values();
        let groups = task_managers.flat_map(|tm| &tm.metrics);
        let groups = groups.chain(dispatcher.final_metrics());
        Self(groups.map(|group| (group.scope, group)).collect())
    }

    fn get(&self, scope: MetricScope) -> impl Iterator<Item = (&'a str, MetricValue)> {
        let values = self.0.get(&scope).map(|group| group.values.as_slice()).unwrap_or_default();
        values.iter().map(|(name, value)| (name.as_str(), metric_value(*value)))
    }
}

/// Whole numbers are shown as such.
fn metric_value(value: f64) -> MetricValue {
    // Every whole number below 2^53 is exact in both.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        MetricValue::Integer(value as i64)
    } else if value == i64::MIN as f64 {
        // A watermark before anything is known.
        MetricValue::Integer(i64::MIN)
    } else if value == i64::MAX as f64 {
        MetricValue::Integer(i64::MAX)
    } else {
        MetricValue::Float(value)
    }
}
