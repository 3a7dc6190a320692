//! The Kubernetes operator: it runs each `FlinkApplication` as a cluster of its own.
//!
//! - [`resource`]: what a user writes and what is reported back.
//! - [`validate`]: what is wrong with a resource that the API server has let through.
//! - [`plan`]: what is to be done, and what is reported.
//! - [`pod_template`]: what users may add to pods.
//! - [`build`]: the objects that run an application.
//! - [`certificates`]: by which its processes know each other.
//!
//! - [`election`]: which of several operators reconciles.
//! - [`controller`]: watching, applying, reporting; [`server`]: metrics and health.
//!
//! [`plugin`] is `kubectl flinkapp`, for people.
//!
//! All but the last three is pure. Not here: TaskManager pods, which an application's JobManager
//! asks for itself, and the election of its leader.

pub mod build;
pub mod certificates;
#[cfg(test)]
mod chart;
pub mod controller;
pub mod election;
pub mod plan;
pub mod plugin;
pub mod pod_template;
pub mod resource;
pub mod server;
#[cfg(test)]
mod testing;
pub mod validate;
