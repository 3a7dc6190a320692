//! Whatever is lost while a job runs: its output is that of an undisturbed run.

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{
    Namespace, Signal, Soak, exhaust_memory, operator_pods, shared_api, signal, wait_until,
};

use crate::strike::{delete, strike};

/// How often a pod's container was started again; none if the pod isn't there.
pub(crate) fn restarts(namespace: &Namespace, pod: &Value) -> Option<u64> {
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let pod = shared_api().get(&namespace.core(&format!("pods/{name}")))?;
    pod["status"]["containerStatuses"][0]["restartCount"].as_u64()
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
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn a_task_manager_that_runs_out_of_memory_is_named_and_replaced() {
    let namespace = Namespace::new("out-of-memory");
    let soak = Soak::new(&namespace, 30);
    let application = soak.start(&namespace);
    strike("the kernel ends a TaskManager for its memory", &application, || {
        exhaust_memory(&namespace.pods("taskmanager")[0]);
    });
    application.wait_for("/lastFailure/reason", &json!("OOMKilled"));
    application.wait_for_event("TaskManagerOOMKilled");
    soak.finish(&application);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn a_standby_takes_over_and_a_leader_that_was_paused_does_nothing_more() {
    let namespace = Namespace::new("standby");
    let soak = Soak::new(&namespace, 70).with(json!({"jobManager": {"replicas": 3}}));
    let application = soak.start(&namespace);
    let leader = || {
        let name = application.status("/jobManager/leader");
        let mut pods = namespace.pods("jobmanager");
        pods.retain(|pod| pod["metadata"]["name"] == name);
        pods.pop()
    };
    wait_until("two stand by", || {
        let pods = namespace.pods("jobmanager");
        let is_ready = |pod: &&Value| pod["status"]["containerStatuses"][0]["ready"] == true;
        (pods.iter().filter(is_ready).count() == 3).then_some(())
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
    let before = restarts(&namespace, &paused);
    signal(&paused, Signal::Continue);
    wait_until("the one that was paused has ended", || {
        (restarts(&namespace, &paused) > before).then_some(())
    });
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
    // The one that led ends: somebody else leads. Nobody of the thief's name is there, so the
    // Lease is taken from it, too.
    let thefts = [("lost", ""), ("stolen", "a-thief_1")];
    for round in 1..=10 {
        let theft = thefts.get(round % 3);
        let what = theft.map_or("deleted", |(what, _)| *what);
        strike(&format!("the Lease {what}, {round}"), &application, || {
            match theft {
                Some((_, holder)) => {
                    shared_api().merge(&path, &json!({"spec": {"holderIdentity": holder}}));
                }
                None => shared_api().delete(&path),
            }
            wait_until("a leader holds the Lease", || held("allround-"));
        });
    }
    soak.finish(&application);
    namespace.delete();
}
