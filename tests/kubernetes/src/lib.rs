//! What the tests on a real Kubernetes share: the API server, the operator as its chart installs
//! it, applications in namespaces of their own, their output in S3, faults, and alerts.
//!
//! The tests run where the cluster can be reached: `tests/cluster/enter cargo test --offline
//! --test kubernetes -- --ignored`, after `tests/kubernetes/images`; `tests/run cluster` does all
//! of it. A helper that can't do its part panics and says why; that is the test's failure.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests use this crate: a panic is how a test fails"
)]

mod alerts;
mod api;
mod application;
mod command;
mod faults;
mod namespace;
mod operator;
mod output;
mod soak;
mod start;
mod troubled;

pub use alerts::{Alerts, Firing};
pub use api::{Api, shared_api};
pub use application::{Application, IMAGE, OTHER_IMAGE, example};
pub use command::{cluster_script, kubectl, kubectl_fails, kubectl_flinkapp, writes_within};
pub use faults::{Signal, exhaust_memory, memory, mounted, signal};
pub use namespace::Namespace;
pub use operator::{
    OPERATOR_NAMESPACE, install_operator, operator_pods, uninstall_operator, upgrade_operator,
};
pub use output::{download, list, secret};
pub use soak::Soak;
pub use start::{now, processor_time, seconds_until, timed, wait_for_records};
pub use thalweg_integration_tests::{try_within, wait_until, wait_within};
pub use troubled::troubled;
