//! The house rules that a program can check, as tests: `cargo test -p thalweg-tidy`.
//!
//! - `sources`: what every Rust file keeps to.
//! - `dependencies`: which crate may see which.
//! - `manifests`: what every Cargo.toml keeps to.
//! - `documents`: what the documents promise.
//! - `tracked_files`: what holds for every file of the repository.
//!
//! A test collects all violations, each with file and line, and says what to do. Not here: what
//! rustfmt, clippy (`clippy.toml`) and cargo-deny (`deny.toml`) check.
#![cfg(test)]

mod dependencies;
mod documents;
mod manifests;
mod repository;
mod rust_source;
mod sources;
mod tracked_files;
