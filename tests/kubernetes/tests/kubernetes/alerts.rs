//! What happens to jobs is alerted to: each alert about applications fires when its cause is made,
//! and none for a job that is well beside these.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde_json::json;
use thalweg_kubernetes_tests::{Alerts, Firing, Namespace, kubectl, troubled};

/// The newest checkpoint has to be a minute old, and that takes longest.
const LIMIT: Duration = Duration::from_secs(180);

/// The application, the alert about it, and labels of that.
type Expected = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const APPLICATION: &str = "thalweg_dev_application";
const JOB: (&str, &str) = ("job_name", "troubled");
const WARNING: (&str, &str) = ("severity", "warning");
const CRITICAL: (&str, &str) = ("severity", "critical");

const EXPECTED: [Expected; 9] = [
    ("slow", "ThalwegBackPressure", &[WARNING, JOB, ("task_name", "Source: rows")]),
    ("slow", "ThalwegCheckpointsFailing", &[WARNING, JOB]),
    ("slow", "ThalwegCheckpointTooOld", &[CRITICAL, JOB]),
    ("late-and-full", "ThalwegWatermarkLag", &[WARNING, JOB]),
    ("late-and-full", "ThalwegStateMemoryFull", &[WARNING]),
    ("restless", "ThalwegRestartsInARow", &[WARNING, JOB]),
    ("restless", "ThalwegCheckpointTooOld", &[CRITICAL, JOB]),
    ("stranded", "ThalwegJobNotRunning", &[CRITICAL, JOB]),
    ("stranded", "ThalwegTaskManagersMissing", &[CRITICAL]),
];

/// The causes that are there from the beginning.
fn make_causes(namespace: &Namespace, now_ms: i64) {
    let now = now_ms.to_string();
    let an_hour_ago = (now_ms - 3_600_000).to_string();
    // Each second 1000 rows come and 50 are processed. So barriers wait for longer than they may.
    let slow = ["--from", &now, "--rate", "1000", "--pause", "20"];
    let spec = json!({
        "configuration": {"taskmanager.network.memory.per-channel": "4 kb"},
        "state": {"checkpoints": {"timeoutSeconds": 1}},
    });
    troubled(namespace, "slow", &slow, spec);
    // Of 51.8 MiB for state it uses 49.2: see "How the memory is divided" in docs/configuration.md.
    let full = ["--from", &an_hour_ago, "--rate", "100", "--keys", "788", "--state", "65536"];
    let spec = json!({
        "state": {"checkpoints": {"intervalSeconds": 30}},
        "taskManager": {"resources": {"limits": {"memory": "128Mi"}}},
    });
    troubled(namespace, "late-and-full", &full, spec);
    // It completes a checkpoint before it comes to the row, and then doesn't get past it.
    troubled(namespace, "restless", &["--from", &now, "--fail-at", "60"], json!({}));
}

/// The application whose TaskManagers only one node will take, until it doesn't any more.
fn strand_later(namespace: &Namespace, now_ms: i64) -> impl FnOnce() {
    let (label, selector) = ("thalweg-tests=stranded", json!({"thalweg-tests": "stranded"}));
    kubectl(&["label", "--overwrite", "node", "node1", label], "");
    let spec = json!({"podTemplate": {"spec": {"nodeSelector": selector}}});
    let from = now_ms.to_string();
    troubled(namespace, "stranded", &["--from", &from], json!({"taskManager": spec}));
    move || {
        kubectl(&["label", "node", "node1", "thalweg-tests-"], "");
        let selector = "thalweg.dev/application=stranded,app.kubernetes.io/component=taskmanager";
        kubectl(&["delete", "pods", "--selector", selector, "--namespace", &namespace.name], "");
    }
}

#[expect(clippy::disallowed_methods, reason = "rows of the present are what is on time")]
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later");
    i64::try_from(now.as_millis()).expect("it isn't that late")
}

fn has(firing: &Firing, (name, value): (&str, &str)) -> bool {
    firing.get(name).is_some_and(|found| found == value)
}

fn is(firing: &Firing, (application, alert, labels): &Expected) -> bool {
    has(firing, (APPLICATION, application))
        && has(firing, ("alertname", alert))
        && labels.iter().all(|label| has(firing, *label))
}

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn each_alert_about_an_application_fires_when_its_cause_is_made() {
    let namespace = Namespace::new("alerts");
    let alerts = Alerts::of_group("thalweg-applications");
    let covered: BTreeSet<_> = EXPECTED.iter().map(|(_, alert, _)| (*alert).to_owned()).collect();
    assert_eq!(covered, alerts.names(), "of each alert of the chart the cause is made");
    let of_namespace = |firing: BTreeSet<Firing>| -> BTreeSet<Firing> {
        let is_here = |one: &Firing| has(one, ("namespace", &namespace.name));
        firing.into_iter().filter(is_here).collect()
    };
    let before = of_namespace(alerts.firing());
    assert!(before.is_empty(), "{before:#?}");

    let now = now_ms();
    troubled(&namespace, "healthy", &["--from", &now.to_string()], json!({}));
    let strand = strand_later(&namespace, now);
    make_causes(&namespace, now);
    // That their jobs were being started may have been alerted to.
    for well in ["healthy", "stranded"] {
        let labels = format!("namespace={:?},{APPLICATION}={well:?}", namespace.name);
        for sign_of_life in [
            format!("flink_jobmanager_job_uptime{{{labels}}} > 15000"),
            format!("flink_taskmanager_job_task_currentInputWatermark{{{labels}}} > 0"),
        ] {
            alerts.wait_for_value(&sign_of_life);
        }
        let firing = of_namespace(alerts.firing());
        assert!(!firing.iter().any(|one| has(one, (APPLICATION, well))), "{firing:#?}");
    }
    strand();
    let mut missing = EXPECTED.to_vec();
    alerts.wait_until(LIMIT, "every cause is alerted to", |firing| {
        let firing = of_namespace(firing);
        let of_healthy = firing.iter().find(|one| has(one, (APPLICATION, "healthy")));
        assert_eq!(of_healthy, None, "all is well with this one");
        missing.retain(|expected| !firing.iter().any(|one| is(one, expected)));
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} haven't fired")) }
    });
    namespace.delete();
}
