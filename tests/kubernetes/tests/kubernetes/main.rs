//! Applications on a real Kubernetes, as their users run them: outputs are checked, not states
//! alone. See the library for how they are started.
#![allow(clippy::expect_used, reason = "helpers of tests are tests: a panic is how they fail")]

mod alerts;
mod certificates;
mod drain;
mod faults;
mod lifecycle;
mod recreated;
mod refused;
mod strike;
mod upgrades;
mod whole_cluster;
