//! Two hundred applications: what they cost the operator, and what its restart touches.

use std::time::Duration;

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{
    Namespace, OPERATOR_NAMESPACE, memory, now, operator_pods, processor_time, shared_api,
    try_within, wait_until, wait_within,
};

const SUSPENDED: usize = 190;
const RUNNING: usize = 10;
const MEMORY_MAX: u64 = 80 << 20;
/// How long there is to be silence.
const AT_REST: Duration = Duration::from_secs(20);

fn manifest(namespace: &Namespace, number: usize) -> Value {
    let resources =
        json!({"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "128Mi"}});
    json!({
        "apiVersion": "thalweg.dev/v1alpha1",
        "kind": "FlinkApplication",
        "metadata": {"name": format!("stub-{number}"), "namespace": namespace.name},
        "spec": {
            // Pods that only wait.
            "image": "localhost/pause:thalweg",
            "suspend": number >= RUNNING,
            "job": {"binary": {"path": "/pause"}},
            "upgrade": {"mode": "Stateless", "rollback": "Off"},
            "jobManager": {"resources": resources},
            "taskManager": {"resources": resources},
        },
    })
}

/// The requests to the API server that the leading operator has counted.
fn requests() -> Option<f64> {
    // Its own Lease is renewed every five seconds, whatever there is to do.
    counted(|line| {
        line.starts_with("thalweg_operator_api_requests_total") && !line.contains("leases")
    })
}

/// The sum of these metrics of the leading operator.
fn counted(is_one: impl Fn(&str) -> bool) -> Option<f64> {
    let of_pod = |pod: &Value| {
        let name = pod["metadata"]["name"].as_str()?;
        let pods = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods");
        let metrics = shared_api().text(&format!("{pods}/{name}:8080/proxy/metrics"))?;
        let lines = metrics.lines().filter(|line| is_one(line));
        Some(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>())
    };
    operator_pods().iter().filter_map(of_pod).reduce(f64::max)
}

/// Waits until nothing has been asked for a while.
fn come_to_rest() -> f64 {
    let mut last = requests();
    wait_within(Duration::from_secs(300), "the operator comes to rest", || {
        let before = last;
        let changed = try_within(AT_REST, || requests().filter(|now| Some(*now) != before));
        last = changed.or(before);
        changed.is_none().then_some(before).flatten()
    })
}

fn phases(namespace: &Namespace, phase: &str) -> usize {
    let all = namespace.of_group("thalweg.dev/v1alpha1", "flinkapplications");
    shared_api().list(&all).iter().filter(|each| each["status"]["phase"] == phase).count()
}

/// Each pod by its uid: another one is another pod.
fn uids(namespace: &Namespace) -> Vec<String> {
    let pods = namespace.pods("jobmanager");
    let mut uids: Vec<String> = pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
    uids.sort();
    uids
}

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn two_hundred_applications_cost_little_and_a_new_operator_touches_no_pod() {
    let namespace = Namespace::new("many");
    let begun = now();
    for number in 0..SUSPENDED + RUNNING {
        let manifest = manifest(&namespace, number);
        let path = format!("flinkapplications/stub-{number}");
        shared_api().apply(&namespace.of_group("thalweg.dev/v1alpha1", &path), &manifest);
    }
    wait_within(Duration::from_secs(180), "190 are suspended", || {
        (phases(&namespace, "Suspended") == SUSPENDED).then_some(())
    });
    wait_within(Duration::from_secs(60), "10 have their JobManagers", || {
        (namespace.pods("jobmanager").len() == RUNNING).then_some(())
    });
    println!("200 applications are reconciled after {:.1} s", begun.elapsed().as_secs_f64());
    let before = uids(&namespace);
    come_to_rest();
    for pod in operator_pods() {
        let used = memory(&pod);
        println!("an operator uses {} MiB", used >> 20);
        assert!(used <= MEMORY_MAX, "{used} bytes");
    }
    for pod in operator_pods() {
        let name = pod["metadata"]["name"].as_str().expect("a name");
        shared_api().delete(&format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{name}"));
    }
    wait_until("another operator has begun", || requests().filter(|count| *count > 0.0));
    let asked = come_to_rest();
    println!("a new operator has asked {asked} times, and then not at all");
    assert_eq!(uids(&namespace), before, "pods were touched");

    let reconciled = || {
        counted(|line| line.starts_with("thalweg_operator_reconciliations_total")).unwrap_or(0.0)
    };
    let busy = || operator_pods().iter().map(processor_time).sum::<Duration>();
    let (reconciles, processor) = (reconciled(), busy());
    for number in 0..SUSPENDED {
        let path = format!("flinkapplications/stub-{}", RUNNING + number);
        let note = json!({"metadata": {"annotations": {"tests": "a note"}}});
        shared_api().merge(&namespace.of_group("thalweg.dev/v1alpha1", &path), &note);
    }
    let all = reconciles + SUSPENDED as f64;
    wait_within(Duration::from_secs(120), "each is looked at", || {
        (reconciled() >= all).then_some(())
    });
    let (reconciles, processor) = (reconciled() - reconciles, busy() - processor);
    let each = processor.as_secs_f64() * 1e3 / reconciles;
    println!("to reconcile what hasn't changed takes {each:.1} ms of processor time");
    namespace.delete();
}
