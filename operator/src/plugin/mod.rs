//! `kubectl flinkapp`: what people do with applications by hand.
//!
//! - [`Snapshot`]: what there is of an application, read at one moment.
//! - [`tree`]: that as a tree, for people. Pure.
//! - [`Wish`]: what is asked of an application, and whether it has come about. Pure.
//! - [`commands`]: the same at the API server.
//!
//! It does nothing that `kubectl patch` and `kubectl get` couldn't: the operator acts.

pub mod commands;
mod snapshot;
#[cfg(test)]
mod tests;
pub mod text;
pub mod tree;
mod wish;

pub use snapshot::Snapshot;
pub use wish::{Progress, Wish};
