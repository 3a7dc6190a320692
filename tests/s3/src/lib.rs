//! A real S3 server for tests (MinIO), and a proxy before it that answers errors, slowly, not at
//! all, or does what was asked and drops the answer.
//!
//! Nothing here knows the engine. A helper that can't do its part panics and says why; that is the
//! test's failure.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "only tests use this crate: a panic is how a test fails"
)]

mod http;
mod minio;
mod proxy;

pub use http::Request;
pub use minio::{ACCESS_KEY, BUCKET, Minio, SECRET_KEY};
pub use proxy::{Fault, FaultProxy};
