//! Whatever is lost of Kubernetes itself, or of what it runs on: a job's output is that of an
//! undisturbed run.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use thalweg_kubernetes_tests::{
    Namespace, Soak, cluster_script, kubectl, list, now, wait_until, wait_within,
};

use crate::drain::{exit_code, keep, path_of};
use crate::strike::strike;

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn without_the_api_server_the_output_goes_on_and_nothing_restarts() {
    let stop = Duration::from_secs(seconds_to_stop());
    let namespace = Namespace::new("api-server");
    let soak = Soak::new(&namespace, stop.as_secs() + 15);
    let application = soak.start(&namespace);
    let epoch = application.status("/jobManager/epoch");
    let output = format!("{}/output", namespace.location);
    application.wait_for_checkpoints(1);
    cluster_script("stop", &["kube-apiserver"]);
    let begun = now();
    let mut before = list(&output).len();
    while begun.elapsed() < stop {
        let limit = Duration::from_secs(20);
        let more = wait_within(limit, "more output without an API server", || {
            Some(list(&output).len()).filter(|now| *now > before)
        });
        before = more;
    }
    cluster_script("start", &["kube-apiserver"]);
    wait_until("the API server is back", || application.get());
    soak.finish(&application);
    assert_eq!(application.status("/job/restarts"), 0);
    assert_eq!(application.status("/jobManager/epoch"), epoch, "another JobManager leads");
    namespace.delete();
}

/// How long the API server is stopped: a minute, or as tests/cluster/soak says.
fn seconds_to_stop() -> u64 {
    let set = std::env::var("THALWEG_STOP_SECONDS");
    set.map_or(60, |text| text.parse().expect("THALWEG_STOP_SECONDS is a number"))
}

/// The node that a pod runs on.
fn node(pod: &Value) -> String {
    pod["spec"]["nodeName"].as_str().expect("it runs").to_owned()
}

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn a_node_that_is_cut_off_with_the_only_job_manager_stops_nothing_for_long() {
    let namespace = Namespace::new("cut-off");
    let soak = Soak::new(&namespace, 60);
    let application = soak.start(&namespace);
    let job_manager = wait_until("a JobManager", || namespace.pods("jobmanager").pop());
    let lost = node(&job_manager);
    strike("the JobManager's node cut off", &application, || {
        cluster_script("partition", &[&lost]);
        let epoch = application.status("/jobManager/epoch").as_u64();
        wait_within(Duration::from_secs(120), "another one leads", || {
            (application.status("/jobManager/epoch").as_u64() > epoch).then_some(())
        });
    });
    cluster_script("heal", &[&lost]);
    soak.finish(&application);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn draining_a_node_ends_and_costs_no_record() {
    let namespace = Namespace::new("drain");
    let soak = Soak::new(&namespace, 45);
    let application = soak.start(&namespace);
    let drained = node(&wait_until("a TaskManager", || namespace.pods("taskmanager").pop()));
    let on_node = |pod: &Value| node(pod) == drained;
    let mut pods = namespace.pods("taskmanager");
    pods.retain(on_node);
    let with_job_manager = namespace.pods("jobmanager").iter().any(on_node);
    pods.iter().for_each(keep);
    strike("a node drained", &application, || {
        let options = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=150s"];
        let arguments = [&["drain", drained.as_str()], &options[..]].concat();
        let codes: BTreeMap<String, i64> = thread::scope(|scope| {
            let draining = scope.spawn(|| kubectl(&arguments, ""));
            let codes = pods.iter().map(|pod| (path_of(pod), exit_code(pod))).collect();
            draining.join().expect("the node is drained");
            codes
        });
        assert!(codes.values().all(|code| *code == 0), "{codes:?}");
    });
    kubectl(&["uncordon", &drained], "");
    soak.finish(&application);
    if !with_job_manager {
        assert_eq!(application.status("/job/restarts"), 0, "it was no failure");
    }
    namespace.delete();
}
