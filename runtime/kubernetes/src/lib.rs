//! A JobManager in Kubernetes: who leads by a Lease ([`lease`]), which TaskManager pods there are
//! ([`task_manager_pods`]), what it reports of itself ([`status`]).
//!
//! What is decided is decided purely, from what was observed and the time; the API server is only
//! talked to at the edge. Not here: what the operator does (its Deployments, Services, accounts),
//! and what keeps two leaders apart, which are the logs in the checkpoint store.

mod api;
pub mod lease;
pub mod status;
pub mod task_manager_pods;
#[cfg(test)]
mod testing;
