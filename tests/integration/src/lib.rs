//! What the tests of whole applications share: the applications' binaries, processes that never
//! outlive a test, clusters of them, their REST, and input with the output that it must give.
//!
//! Nothing here knows how the engine works: it is seen as a user sees it, through arguments,
//! files, exit codes, REST and metrics. A helper that can't do its part panics and says why; that
//! is the test's failure.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests use this crate: a panic is how a test fails"
)]

mod binaries;
mod cluster;
mod inputs;
mod ports;
mod process;
mod rest;
mod s3;
mod soak;
mod store;
mod waiting;

pub use binaries::{application, other_build};
pub use cluster::{Cluster, Settings};
pub use inputs::{FraudInput, PersonalisationInput, check_output};
pub use ports::free_port;
pub use process::{Ended, Process, strs};
pub use rest::Rest;
pub use s3::S3;
pub use soak::Soak;
pub use store::{check_store, check_store_that_failed, read_manifest, referenced_objects};
pub use waiting::{DEADLINE, try_within, wait_until, wait_within};
