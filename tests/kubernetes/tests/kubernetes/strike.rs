//! A fault, and how long it takes until the job goes on.

use serde_json::Value;
use thalweg_kubernetes_tests::{Application, now, shared_api, wait_until};

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
