//! The S3 store on a real server, undisturbed and through a proxy that disturbs it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod contract_of_stores;
mod disturbed;
mod errors;
mod log;
mod support;
mod uploads;
