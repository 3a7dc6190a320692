//! The Kubernetes operator: it runs each `FlinkApplication` as a cluster of its own.
//!
//! - [`resource`]: what a user writes and what is reported back.
//!
//! Not here: TaskManager pods, which an application's JobManager asks for itself, and the election
//! of its leader.

pub mod resource;
