//! The process's metrics, in Prometheus's format, under the names of Flink's reporter.
//!
//! A scrape gathers what the JobManager and the TaskManagers of this process know; nothing is
//! kept here. As with Flink's reporter, everything is a gauge and a dot in a name is `_`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use parking_lot::Mutex;
use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};
use thalweg_core::clock::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::metrics;
use thalweg_core::ids::TaskManagerId;
use thalweg_jobmanager::JobManagerHandle;
use thalweg_jobmanager::rest::RestGateway;
use thalweg_jobmanager::rest::model::{MetricValue, Metrics, job_metrics};
use thalweg_storage::blob::{RequestKind, RequestMetrics};
use thalweg_taskmanager::metrics::{MetricsRegistry, TaskIdentity};
use tokio::runtime::Handle;

use crate::process::{ProcessError, Stores, process_usage};

/// Name and value of a label.
type Labels = Vec<(&'static str, String)>;

/// TaskManagers of this process, with their ids.
pub type TaskManagers = Arc<Mutex<Vec<(TaskManagerId, Arc<MetricsRegistry>)>>>;

/// Gathers the process's metrics. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Reporter {
    job_manager: Option<JobManagerHandle>,
    task_managers: TaskManagers,
    stores: Stores,
    clock: Arc<dyn Clock>,
}

/// Values of one scope with their labels.
struct Group {
    prefix: &'static str,
    labels: Labels,
    values: Vec<(String, f64)>,
}

impl Reporter {
    /// A reporter of what is in this process.
    pub(crate) fn new(
        job_manager: Option<JobManagerHandle>,
        task_managers: TaskManagers,
        stores: Stores,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { job_manager, task_managers, stores, clock }
    }

    /// The JobManager of this process.
    pub fn job_manager(&self) -> Option<&JobManagerHandle> {
        self.job_manager.as_ref()
    }

    /// Serves `/metrics` at the first free port of `metrics.port`, and `/ready`, by which
    /// Kubernetes tells TaskManagers that can be used from others. When `optional`, no free port is
    /// no error.
    ///
    /// # Errors
    /// No port is free, or the host isn't one of this machine's.
    pub fn serve(
        &self,
        configuration: &Configuration,
        runtime: &Handle,
        optional: bool,
    ) -> Result<Option<SocketAddr>, ProcessError> {
        let host = configuration.get(&metrics::BIND_HOST);
        let ports = configuration.get(&metrics::PORT);
        let mut bound = Err(std::io::Error::from(std::io::ErrorKind::AddrInUse));
        for port in ports.ports() {
            let address = (host.clone(), port);
            bound = runtime.block_on(tokio::net::TcpListener::bind(address));
            if bound.is_ok() {
                break;
            }
        }
        let listener = match bound {
            Ok(listener) => listener,
            Err(_) if optional => return Ok(None),
            Err(source) => {
                return Err(ProcessError::Metrics { host, ports: ports.to_string(), source });
            }
        };
        let address = listener.local_addr().ok();
        let reporter = self.clone();
        let page = get(move || {
            let text = reporter.text();
            async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
        });
        let reporter = self.clone();
        let ready = get(move || {
            let ready = reporter.is_ready();
            async move {
                match ready {
                    true => (StatusCode::OK, "ready\n"),
                    false => (StatusCode::SERVICE_UNAVAILABLE, "registered at no JobManager\n"),
                }
            }
        });
        let router =
            Router::new().route("/metrics", page.clone()).route("/", page).route("/ready", ready);
        runtime.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!("metrics aren't served any more: {error}");
            }
        });
        if let Some(address) = address {
            tracing::info!("metrics are served at http://{address}/metrics");
        }
        Ok(address)
    }

    /// Whether the TaskManagers of this process are registered at a JobManager.
    fn is_ready(&self) -> bool {
        self.task_managers.lock().iter().all(|(_, registry)| registry.is_registered())
    }

    /// All metrics now, in Prometheus's text format.
    pub fn text(&self) -> String {
        let mut groups = self.job_manager_groups();
        groups.extend(self.task_manager_groups());
        groups.extend(self.store_groups());
        render(&groups)
    }

    fn job_manager_groups(&self) -> Vec<Group> {
        let Some(job_manager) = &self.job_manager else { return Vec::new() };
        let facts = job_manager.cluster();
        let now_ms = self.clock.wall_ms();
        let mut own = numbers(&facts.job_manager_metrics);
        own.extend(process_values());
        let labels = vec![("host", host())];
        let mut groups = vec![Group { prefix: "flink_jobmanager", labels, values: own }];
        for job in &facts.jobs {
            let mut values = numbers(&job_metrics(job, now_ms));
            // What Flink 1.x called `numRestarts`: dashboards still read it.
            values.push(("fullRestarts".to_owned(), job.restarts as f64));
            groups.push(Group {
                prefix: "flink_jobmanager_job",
                labels: vec![
                    ("host", host()),
                    ("job_id", job.id.clone()),
                    ("job_name", job.name.clone()),
                ],
                values,
            });
        }
        groups
    }

    /// Requests of this process's stores: under the JobManager's name where there's one, as a
    /// process has one client for all that is in it.
    fn store_groups(&self) -> Vec<Group> {
        let Some(requests) = self.stores.requests() else { return Vec::new() };
        let mut labels = vec![("host", host())];
        let mut prefix = "flink_jobmanager";
        if self.job_manager.is_none() {
            prefix = "flink_taskmanager";
            let first = self.task_managers.lock().first().map(|(id, _)| id.0.clone());
            labels.push(("tm_id", first.unwrap_or_default()));
        }
        request_groups(prefix, &labels, &requests)
    }

    fn task_manager_groups(&self) -> Vec<Group> {
        let mut groups = Vec::new();
        let now = self.clock.elapsed();
        for (id, registry) in self.task_managers.lock().iter() {
            let snapshot = registry.snapshot(now);
            let tm_id = id.0.clone();
            let mut values = snapshot.task_manager;
            values.extend(process_values());
            let labels = vec![("host", host()), ("tm_id", tm_id.clone())];
            groups.push(Group { prefix: "flink_taskmanager", labels, values });
            for task in snapshot.tasks {
                let labels = task_labels(&task.identity, &tm_id);
                for (operator, name, values) in task.operators {
                    let mut labels = labels.clone();
                    labels.push(("operator_id", operator.to_string()));
                    labels.push(("operator_name", name.to_string()));
                    let prefix = "flink_taskmanager_job_task_operator";
                    groups.push(Group { prefix, labels, values });
                }
                let prefix = "flink_taskmanager_job_task";
                groups.push(Group { prefix, labels, values: task.values });
            }
        }
        groups
    }
}

/// Requests to S3, by kind and outcome: each try counts.
fn request_groups(prefix: &'static str, labels: &Labels, requests: &RequestMetrics) -> Vec<Group> {
    let mut groups = Vec::new();
    for count in requests.counts() {
        let mut labels = labels.clone();
        labels.push(("kind", count.kind.name().to_owned()));
        labels.push(("outcome", count.outcome.name().to_owned()));
        let values = vec![("Status.S3.numRequests".to_owned(), count.count as f64)];
        groups.push(Group { prefix, labels, values });
    }
    let used = |kind: &&RequestKind| !requests.time(**kind).is_zero();
    for kind in RequestKind::ALL.iter().filter(used) {
        let mut labels = labels.clone();
        labels.push(("kind", kind.name().to_owned()));
        let ms = requests.time(*kind).as_secs_f64() * 1e3;
        let values = vec![("Status.S3.requestTimeMs".to_owned(), ms)];
        groups.push(Group { prefix, labels, values });
    }
    let values = vec![
        ("Status.S3.numBytesOut".to_owned(), requests.sent_bytes() as f64),
        ("Status.S3.numBytesIn".to_owned(), requests.received_bytes() as f64),
    ];
    groups.push(Group { prefix, labels: labels.clone(), values });
    groups
}

fn task_labels(task: &TaskIdentity, tm_id: &str) -> Labels {
    vec![
        ("host", host()),
        ("tm_id", tm_id.to_owned()),
        ("job_id", task.job.to_string()),
        ("job_name", task.job_name.clone()),
        ("task_id", task.vertex.to_string()),
        ("task_name", task.task_name.clone()),
        ("task_attempt_id", task.attempt.to_string()),
        ("task_attempt_num", task.attempt_number.to_string()),
        ("subtask_index", task.subtask.to_string()),
    ]
}

fn numbers(metrics: &Metrics) -> Vec<(String, f64)> {
    let number = |value: &MetricValue| match value {
        MetricValue::Integer(number) => Some(*number as f64),
        MetricValue::Float(number) => Some(*number),
        MetricValue::Text(_) => None,
    };
    metrics.iter().filter_map(|(name, value)| Some((name.clone(), number(value)?))).collect()
}

/// What the system says of this process. Flink's names, so that its dashboards show them, though
/// there is no JVM here.
fn process_values() -> Vec<(String, f64)> {
    let Some(usage) = process_usage() else { return Vec::new() };
    [
        ("Status.JVM.CPU.Time", usage.cpu_ns),
        ("Status.JVM.Threads.Count", usage.threads),
        ("process.resident.memory.bytes", usage.resident_bytes),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value as f64))
    .collect()
}

fn host() -> String {
    std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned())
}

fn render(groups: &[Group]) -> String {
    let registry = Registry::new();
    let mut families: BTreeMap<String, GaugeVec> = BTreeMap::new();
    for group in groups {
        let names: Vec<&str> = group.labels.iter().map(|(name, _)| *name).collect();
        let values: Vec<&str> = group.labels.iter().map(|(_, value)| value.as_str()).collect();
        for (metric, value) in &group.values {
            let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let name: String = format!("{}_{metric}", group.prefix).chars().map(legal).collect();
            if !families.contains_key(&name) {
                let Ok(family) = GaugeVec::new(Opts::new(name.clone(), metric.clone()), &names)
                else {
                    continue;
                };
                if registry.register(Box::new(family.clone())).is_ok() {
                    families.insert(name.clone(), family);
                }
            }
            let family = families.get(&name);
            if let Some(Ok(gauge)) = family.map(|f| f.get_metric_with_label_values(&values)) {
                gauge.set(*value);
            }
        }
    }
    let mut text = Vec::new();
    // Writing into a vector doesn't fail.
    let _ = TextEncoder::new().encode(&registry.gather(), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
