//! Whatever is lost while a job runs: its output is that of an undisturbed run.

use std::time::Instant;

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{
    Application, Namespace, Signal, Soak, operator_pods, shared_api, signal, wait_until,
};

/// Deletes a pod, as `kubectl delete pod` does.
fn delete(pod: &Value) {
    let text = |field: &str| pod["metadata"][field].as_str().expect("a pod has it").to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    shared_api().delete(&format!("/api/v1/namespaces/{namespace}/pods/{name}"));
}

/// Does something to a job that runs and has a checkpoint, and waits until it has another two
/// after it: the first one may have been under way.
fn strike(what: &str, application: &Application, fault: impl FnOnce()) {
    let before = application.wait_for_checkpoints(1);
    let struck = now();
    fault();
    wait_until(&format!("checkpoints after this: {what}"), || {
        application.running_checkpoint().filter(|now| *now >= before + 2)
    });
    println!("{what}: checkpoints again after {:.1} s", struck.elapsed().as_secs_f64());
}

#[expect(clippy::disallowed_methods, reason = "for figures that are printed, never compared")]
fn now() -> Instant {
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
