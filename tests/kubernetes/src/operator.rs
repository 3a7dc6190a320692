//! The operator, installed once a run, as users do: by its chart.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::api::shared_api;
use crate::kubectl;

/// Where the operator is.
pub const OPERATOR_NAMESPACE: &str = "thalweg-system";

/// Installs the operator, or upgrades it, and waits until it is ready.
///
/// # Panics
/// Helm fails.
pub fn install_operator() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/thalweg-operator");
        let output = Command::new("helm")
            .args(["upgrade", "thalweg"])
            .arg(chart)
            .args(["--install", "--wait", "--timeout", "120s"])
            .args(["--create-namespace", "--namespace", OPERATOR_NAMESPACE])
            .args(["--set", "image.repository=docker.io/library/thalweg-operator"])
            .args(["--set", "image.tag=test"])
            .output()
            .expect("helm is there: run the tests by tests/cluster/enter");
        assert!(output.status.success(), "helm: {}", String::from_utf8_lossy(&output.stderr));
        // The image has another content under the same name since the last run on this cluster.
        let deployment = ["deployment", "--selector=app.kubernetes.io/instance=thalweg"];
        let of_operator = ["--namespace", OPERATOR_NAMESPACE];
        kubectl(&[&["rollout", "restart"], &deployment[..], &of_operator[..]].concat(), "");
        kubectl(&[&["rollout", "status"], &deployment[..], &of_operator[..]].concat(), "");
    });
}

/// The operator's pods that aren't being deleted.
pub fn operator_pods() -> Vec<Value> {
    let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods");
    let mut pods = shared_api().list(&path);
    pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    pods
}
