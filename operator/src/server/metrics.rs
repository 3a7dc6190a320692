//! What the operator counts of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Error, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Bounds of a look's duration, in seconds: one of a settled application takes no request.
const BUCKETS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Counters and gauges, shared by all who have one.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    reconciliations: IntCounterVec,
    seconds: Histogram,
    applications: IntGaugeVec,
    leader: IntGauge,
    queue: IntGauge,
    requests: IntCounterVec,
}

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// When two metrics have one name.
    pub fn new() -> Result<Metrics, Error> {
        let registry = Registry::new();
        let named = |name: &str, help: &str| Opts::new(format!("thalweg_operator_{name}"), help);
        let reconciliations = IntCounterVec::new(
            named("reconciliations_total", "Looks at applications, by outcome"),
            &["outcome"],
        )?;
        let seconds = Histogram::with_opts(
            HistogramOpts::from(named(
                "reconciliation_seconds",
                "How long a look at an application took",
            ))
            .buckets(BUCKETS.to_vec()),
        )?;
        let applications = IntGaugeVec::new(
            named("applications", "Applications, by their phase; only of the operator that leads"),
            &["state"],
        )?;
        let leader = IntGauge::with_opts(named("leader", "1 for the operator that leads, else 0"))?;
        let queue =
            IntGauge::with_opts(named("queue_length", "Applications that wait for a look"))?;
        let requests = IntCounterVec::new(
            named("api_requests_total", "Requests to the API server, by what came of them"),
            &["verb", "resource", "code"],
        )?;
        let all: [Box<dyn Collector>; 6] = [
            Box::new(reconciliations.clone()),
            Box::new(seconds.clone()),
            Box::new(applications.clone()),
            Box::new(leader.clone()),
            Box::new(queue.clone()),
            Box::new(requests.clone()),
        ];
        for each in all {
            registry.register(each)?;
        }
        // So that rates are there before the first failure.
        for outcome in ["success", "error", "panic"] {
            reconciliations.with_label_values(&[outcome]);
        }
        Ok(Metrics { registry, reconciliations, seconds, applications, leader, queue, requests })
    }

    /// A look at an application has ended: `success`, `error` or `panic`.
    pub fn reconciled(&self, outcome: &str, took: Duration) {
        self.reconciliations.with_label_values(&[outcome]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// How many applications there are of each phase.
    pub fn applications(&self, states: &BTreeMap<&str, i64>) {
        self.applications.reset();
        for (state, count) in states {
            self.applications.with_label_values(&[state]).set(*count);
        }
    }

    /// Whether this operator leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// How many applications wait for a look.
    pub fn queued(&self, count: usize) {
        self.queue.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A request to the API server was answered, or wasn't.
    pub(super) fn requested(&self, verb: &str, resource: &str, code: &str) {
        self.requests.with_label_values(&[verb, resource, code]).inc();
    }

    /// What there is now.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}
