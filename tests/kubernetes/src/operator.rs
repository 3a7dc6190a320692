//! The operator, installed once a run, as users do: by its chart. And its removal.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::api::shared_api;
use crate::{kubectl, wait_until};

/// Where the operator is.
pub const OPERATOR_NAMESPACE: &str = "thalweg-system";

/// Installs the operator if this run hasn't yet, and waits until it is ready.
///
/// # Panics
/// Helm fails.
pub fn install_operator() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        upgrade_operator();
        // The image has another content under the same name since the last run on this cluster.
        let deployment = ["deployment", "--selector=app.kubernetes.io/instance=thalweg"];
        let of_operator = ["--namespace", OPERATOR_NAMESPACE];
        kubectl(&[&["rollout", "restart"], &deployment[..], &of_operator[..]].concat(), "");
        kubectl(&[&["rollout", "status"], &deployment[..], &of_operator[..]].concat(), "");
    });
}

/// Brings what is installed to what the chart says, and waits until the operator is ready.
///
/// # Panics
/// Helm fails.
pub fn upgrade_operator() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/thalweg-operator");
    let chart = chart.to_str().expect("the checkout's path is text");
    let arguments = ["upgrade", "thalweg", chart, "--install", "--wait", "--timeout", "120s"];
    let image = ["image.repository=docker.io/library/thalweg-operator", "image.tag=test"];
    // By these the cluster's Prometheus finds what to scrape.
    let scraped =
        [r"podAnnotations.prometheus\.io/scrape=true", r"podAnnotations.prometheus\.io/port=8080"];
    let values = ["--set", &image.join(","), "--set-string", &scraped.join(",")];
    helm(&[&arguments[..], &["--create-namespace"], &values].concat());
}

/// Removes what the chart has installed, and waits until the operator's pods are gone.
///
/// # Panics
/// Helm fails.
pub fn uninstall_operator() {
    helm(&["uninstall", "thalweg", "--wait", "--timeout", "120s"]);
    wait_until("the operator is gone", || operator_pods().is_empty().then_some(()));
}

fn helm(arguments: &[&str]) {
    let output = Command::new("helm")
        .args(arguments)
        .args(["--namespace", OPERATOR_NAMESPACE])
        .output()
        .expect("helm is there: run the tests by tests/cluster/enter");
    assert!(output.status.success(), "helm: {}", String::from_utf8_lossy(&output.stderr));
}

/// The operator's pods that aren't being deleted.
pub fn operator_pods() -> Vec<Value> {
    let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods");
    let mut pods = shared_api().list(&path);
    pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    pods
}
