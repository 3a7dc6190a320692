//! TaskManagers' pods that are ended from outside work on until their tasks have moved, and end by
//! themselves with exit code 0. Not here: those of a whole node (`whole_cluster::machines`).

use std::time::Duration;

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{
    Application, Namespace, Soak, now, shared_api, wait_until, wait_within,
};

use crate::strike::{delete, strike};

/// Less than the grace period, after which it would be killed.
const LIMIT: Duration = Duration::from_secs(100);

pub(crate) fn path_of(pod: &Value) -> String {
    let text = |field: &str| pod["metadata"][field].as_str().expect("a pod has it").to_owned();
    format!("/api/v1/namespaces/{}/pods/{}", text("namespace"), text("name"))
}

/// Makes a pod stay when it has ended, so that one can see how.
pub(crate) fn keep(pod: &Value) {
    let finalizers = json!(["thalweg.dev/how-it-ended"]);
    shared_api().merge(&path_of(pod), &json!({"metadata": {"finalizers": finalizers}}));
}

/// Waits until the pod's process has ended, lets the pod go, and gives the exit code.
pub(crate) fn exit_code(pod: &Value) -> i64 {
    let path = path_of(pod);
    let code = wait_within(LIMIT, &format!("{path} ends by itself"), || {
        let pod = shared_api().get(&path)?;
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].as_i64()
    });
    shared_api().merge(&path, &json!({"metadata": {"finalizers": null}}));
    code
}

/// How often the job's tasks were moved.
fn relocations(application: &Application) -> Option<f64> {
    let jobs = application.rest("/jobs/overview")?;
    let job = jobs["jobs"][0]["jid"].as_str()?.to_owned();
    let metrics = application.rest(&format!("/jobs/{job}/metrics?get=numRelocations"))?;
    metrics[0]["value"].as_str()?.parse().ok()
}

#[test]
#[ignore = "needs a Kubernetes: tests/run cluster"]
fn a_deleted_task_manager_works_on_until_its_tasks_have_moved_and_nothing_has_failed() {
    let namespace = Namespace::new("drain-pod");
    let soak = Soak::new(&namespace, 60);
    let application = soak.start(&namespace);
    let pod = wait_until("a TaskManager", || namespace.pods("taskmanager").pop());
    keep(&pod);
    strike("a TaskManager's pod deleted, and its tasks moved", &application, || {
        let begun = now();
        delete(&pod);
        assert_eq!(exit_code(&pod), 0);
        println!("the pod ended by itself after {:.1} s", begun.elapsed().as_secs_f64());
    });
    assert_eq!(relocations(&application), Some(1.0));
    soak.finish(&application);
    assert_eq!(application.status("/job/restarts"), 0, "it was no failure");
    namespace.delete();
}
