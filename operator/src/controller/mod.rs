//! The edge: it watches resources and what belongs to them, lets `plan` decide, writes the status
//! and performs the actions. Nothing is decided here.
//!
//! - `watch`: one watch for each kind, shared by all applications. `cache`: what they have shown.
//! - `queue`: whose turn it is. `memory`: what was done already.
//! - `reconcile`: one look at one application. `observe`, `dry_run`, `outstanding`,
//!   `certificates`, `apply`, `requests`: its steps.
//! - [`run`]: the loop that owns all of these. Every operator watches; only the one that leads
//!   reconciles.

mod apply;
mod cache;
mod certificates;
mod dry_run;
mod memory;
mod observe;
mod outstanding;
mod pods;
mod queue;
mod reconcile;
mod requests;
mod run;
#[cfg(test)]
mod tests;
mod watch;

use crate::build::BuildError;

pub use pods::trouble;
pub use run::{Options, run};

/// Under which name the operator applies fields.
pub const FIELD_MANAGER: &str = "thalweg-operator";

/// Why a resource couldn't be reconciled this time. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server didn't do what it was asked.
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    /// Objects couldn't be made.
    #[error("{0}")]
    Build(#[from] BuildError),
    /// Something couldn't be written as JSON.
    #[error("it can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A revision whose record somebody has deleted.
    #[error(
        "the ControllerRevision {revision} is gone, so that its objects can't be mended; what runs \
         goes on. Set spec.restartedAt, which makes another revision"
    )]
    NoRecord {
        /// The revision.
        revision: String,
    },
    /// An object of a kind that can't be named to the API server.
    #[error("{name} can't be applied: {reason}")]
    NoKind {
        /// The object.
        name: String,
        /// Why.
        reason: String,
    },
    /// A resource that was never stored.
    #[error("the resource has no name, namespace or uid")]
    NoIdentity,
    /// It took too long.
    #[error("it took longer than {0} s")]
    TooSlow(u64),
    /// Nobody could tell whether the API server would admit an application's pods.
    #[error("whether the API server would admit the {pod} pod isn't known: {reason}")]
    NotAsked {
        /// Which pod.
        pod: &'static str,
        /// What it said.
        reason: String,
    },
    /// A certificate can't be made or used.
    #[error("certificates: {0}")]
    Certificates(String),
    /// The JobManager didn't do what it was asked.
    #[error("the JobManager at {target}: {reason}")]
    JobManager {
        /// Where.
        target: String,
        /// What it said.
        reason: String,
    },
}

impl ReconcileError {
    /// Whether a user or an administrator has to mend it, so that it isn't tried as often.
    fn is_lasting(&self) -> bool {
        match self {
            ReconcileError::Build(_)
            | ReconcileError::Certificates(_)
            | ReconcileError::Json(_)
            | ReconcileError::NoIdentity
            | ReconcileError::NoKind { .. }
            | ReconcileError::NoRecord { .. } => true,
            ReconcileError::Api(_)
            | ReconcileError::TooSlow(_)
            | ReconcileError::NotAsked { .. }
            | ReconcileError::JobManager { .. } => false,
        }
    }
}

impl From<thalweg_tls::issue::IssueError> for ReconcileError {
    fn from(error: thalweg_tls::issue::IssueError) -> Self {
        Self::Certificates(error.to_string())
    }
}
