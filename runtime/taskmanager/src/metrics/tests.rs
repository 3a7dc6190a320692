//! Rates over the window, and what a heartbeat carries.

use super::*;

const fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn identity(attempt: u128) -> TaskIdentity {
    TaskIdentity {
        job: JobId::new(1),
        job_name: "job".to_owned(),
        vertex: JobVertexId::new(1),
        task_name: "map".to_owned(),
        subtask: 0,
        attempt: ExecutionAttemptId::new(attempt),
        attempt_number: 0,
        has_inputs: true,
    }
}

fn value(values: &MetricValues, name: &str) -> f64 {
    let found = values.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn rates_are_taken_over_the_last_ten_seconds_and_counters_since_the_start() {
    let registry = MetricsRegistry::default();
    let metrics = Arc::new(TaskMetrics::default());
    registry.add(identity(1), Arc::clone(&metrics), s(100));
    // 1,000 rows/s for 20 s, then 100 rows/s for 5 s.
    let records = |second: u64| 1000 * second.min(20) + 100 * second.saturating_sub(20);
    for second in 1..=25 {
        let input = IoCounters { records: records(second), ..IoCounters::default() };
        metrics.set_io(input, IoCounters::default());
        registry.sample(s(100 + second));
    }
    metrics.set_initialization(Duration::from_millis(1_250));
    metrics.activity.change(Activity::Busy, s(120));
    let snapshot = registry.snapshot(s(125));
    let values = &snapshot.tasks[0].values;
    assert_eq!(value(values, "numRecordsIn"), 20_500.0);
    assert_eq!(value(values, "numRecordsInPerSecond"), 550.0);
    assert_eq!(value(values, "busyTimeMsPerSecond"), 500.0);
    assert_eq!(value(values, "accumulateBusyTimeMs"), 5000.0);
    assert_eq!(value(values, "isBackPressured"), 0.0);
    assert_eq!(value(values, "initializationTime"), 1250.0);
    assert!(values.iter().all(|(name, _)| name != "currentInputWatermark"), "it isn't known");
    assert!(registry.entries.lock().values().all(|entry| entry.samples.len() <= 12));
}

#[test]
fn operators_have_a_group_of_their_own_and_what_was_forgotten_has_none() {
    let registry = MetricsRegistry::default();
    let metrics = Arc::new(TaskMetrics::default());
    let operator = OperatorEntry {
        id: OperatorId::new(7),
        name: "map".into(),
        metrics: Arc::new(thalweg_operators::contract::OperatorMetrics::default()),
    };
    operator.metrics.add_records_in(30);
    operator.metrics.set_watermark(77);
    metrics.set_operators(vec![operator]);
    metrics.set_watermark(77);
    registry.add(identity(1), metrics, s(0));
    registry.set_memory(25, 100, 3, 4);
    let groups = registry.groups(s(10));
    let attempt = ExecutionAttemptId::new(1);
    let scopes: Vec<_> = groups.iter().map(|group| group.scope).collect();
    let expected = [
        MetricScope::TaskManager,
        MetricScope::Task(attempt),
        MetricScope::Operator(attempt, OperatorId::new(7)),
    ];
    assert_eq!(scopes, expected);
    assert_eq!(value(&groups[0].values, "Status.Shuffle.Netty.AvailableMemory"), 75.0);
    assert_eq!(value(&groups[1].values, "currentInputWatermark"), 77.0);
    assert_eq!(value(&groups[2].values, "numRecordsInPerSecond"), 3.0);
    assert_eq!(value(&groups[2].values, "currentInputWatermark"), 77.0);
    registry.retain(|_| false);
    assert_eq!(registry.groups(s(10)).len(), 1);
}
