//! Whatever is lost while a job runs: its output is that of an undisturbed run.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{
    Application, Namespace, Signal, Soak, cluster_script, list, operator_pods, shared_api, signal,
    wait_until, wait_within,
};

/// Deletes a pod, as `kubectl delete pod` does.
pub(crate) fn delete(pod: &Value) {
    let text = |field: &str| pod["metadata"][field].as_str().expect("a pod has it").to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    shared_api().delete(&format!("/api/v1/namespaces/{namespace}/pods/{name}"));
}

/// Does something to a job that runs and has a checkpoint, and waits until it has another two
/// after it: the first one may have been under way.
pub(crate) fn strike(what: &str, application: &Application, fault: impl FnOnce()) {
    let before = application.wait_for_checkpoints(1);
    let struck = now();
    fault();
    wait_until(&format!("checkpoints after this: {what}"), || {
        application.running_checkpoint().filter(|now| *now >= before + 2)
    });
    println!("{what}: checkpoints again after {:.1} s", struck.elapsed().as_secs_f64());
}

#[expect(clippy::disallowed_methods, reason = "for figures that are printed, never compared")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn lost_pods_cost_no_record_and_double_none() {
    let namespace = Namespace::new("lost-pods");
    let soak = Soak::new(&namespace, 60);
    let application = soak.start(&namespace);
    let task_managers = || namespace.pods("taskmanager");
    let job_managers = || namespace.pods("jobmanager");
    strike("kill -9 in a TaskManager's pod", &application, || {
        signal(&task_managers()[0], Signal::Kill);
    });
    strike("a TaskManager's pod deleted", &application, || delete(&task_managers()[0]));
    strike("the JobManager's process killed", &application, || {
        signal(&job_managers()[0], Signal::Kill);
    });
    strike("the JobManager's pod deleted", &application, || delete(&job_managers()[0]));
    strike("the operator's pods deleted", &application, || {
        operator_pods().iter().for_each(delete);
    });
    strike("all pods deleted", &application, || {
        operator_pods().iter().chain(&task_managers()).chain(&job_managers()).for_each(delete);
    });
    soak.finish(&application);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn a_standby_takes_over_and_a_leader_that_was_paused_does_nothing_more() {
    let namespace = Namespace::new("standby");
    let soak = Soak::new(&namespace, 70).with(json!({"jobManager": {"replicas": 2}}));
    let application = soak.start(&namespace);
    let leader = || {
        let name = application.status("/jobManager/leader");
        let mut pods = namespace.pods("jobmanager");
        pods.retain(|pod| pod["metadata"]["name"] == name);
        pods.pop()
    };
    wait_until("a standby is ready", || {
        let pods = namespace.pods("jobmanager");
        let is_ready = |pod: &&Value| pod["status"]["containerStatuses"][0]["ready"] == true;
        (pods.iter().filter(is_ready).count() == 2).then_some(())
    });
    strike("the leader's pod deleted", &application, || {
        delete(&wait_until("somebody leads", leader));
    });
    let paused = wait_until("somebody leads", leader);
    let epoch = application.status("/jobManager/epoch").as_u64().expect("a leader has one");
    strike("the leader paused", &application, || {
        signal(&paused, Signal::Stop);
        application.wait_until("another one leads", |resource| {
            resource["status"]["jobManager"]["epoch"].as_u64().is_some_and(|now| now > epoch)
        });
    });
    let restarts = |pod: &Value| {
        let name = pod["metadata"]["name"].as_str().expect("a name");
        let pod = shared_api().get(&namespace.core(&format!("pods/{name}")))?;
        pod["status"]["containerStatuses"][0]["restartCount"].as_u64()
    };
    let before = restarts(&paused);
    signal(&paused, Signal::Continue);
    wait_until("the one that was paused has ended", || (restarts(&paused) > before).then_some(()));
    soak.finish(&application);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn the_lease_may_be_lost_stolen_or_deleted_and_somebody_leads_each_time() {
    let namespace = Namespace::new("lease");
    let soak = Soak::new(&namespace, 60);
    let application = soak.start(&namespace);
    let path = namespace.of_group("coordination.k8s.io/v1", "leases/allround");
    let held = |by: &str| {
        let lease = shared_api().get(&path)?;
        let holder = lease["spec"]["holderIdentity"].as_str()?.to_owned();
        holder.starts_with(by).then_some(holder)
    };
    for round in 0..3 {
        strike(&format!("the Lease deleted, {round}"), &application, || {
            shared_api().delete(&path);
            wait_until("a leader holds the Lease", || held("allround-"));
        });
        strike(&format!("the Lease lost, {round}"), &application, || {
            shared_api().merge(&path, &json!({"spec": {"holderIdentity": ""}}));
            wait_until("a leader holds the Lease", || held("allround-"));
        });
        strike(&format!("the Lease stolen, {round}"), &application, || {
            shared_api().merge(&path, &json!({"spec": {"holderIdentity": "a-thief_1"}}));
            // The one that led ends: somebody else leads. Nobody of that name is there, so the
            // Lease is taken from it, too.
            wait_until("a leader holds the Lease", || held("allround-"));
        });
    }
    soak.finish(&application);
    namespace.delete();
}

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
pub(crate) fn node(pod: &Value) -> String {
    pod["spec"]["nodeName"].as_str().expect("it runs").to_owned()
}

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn a_node_that_is_cut_off_with_the_only_job_manager_stops_nothing_for_long() {
    let namespace = Namespace::new("cut-off");
    let soak = Soak::new(&namespace, 120);
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
