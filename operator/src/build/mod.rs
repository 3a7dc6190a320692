//! From a resource to the objects that run it: pure functions, one kind of object a file.
//!
//! - [`Identity`]: names, labels and owner of everything.
//! - [`application_objects`]: what an application has as long as it exists.
//! - [`Revision`]: what is made anew for a changed spec: a Deployment of the JobManager and an
//!   immutable ConfigMap with the engine's settings and the TaskManagers' pod template.
//!
//! What is made for one application carries its labels and belongs to it, so that Kubernetes
//! collects it with the resource. Not here: TaskManager pods, which the JobManager makes from the
//! template, and certificates.

mod access;
mod configuration;
mod disruption_budget;
mod erasure;
mod identity;
mod job_manager;
mod lease;
mod network_policy;
mod pod;
mod preflight;
mod references;
mod revision;
mod services;
mod task_manager;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::Value;

use crate::resource::FlinkApplicationSpec;

pub use configuration::{job_manager_configuration, state_location, task_manager_configuration};
pub use erasure::ERASURE;
pub use identity::{
    APPLICATION_LABEL, IMAGE_ANNOTATION, Identity, PREPARING_ANNOTATION, REVISION_ANNOTATION,
    REVISION_LABEL, SAVEPOINT_ANNOTATION,
};
pub use pod::{METRICS_PORT, OPERATOR_VARIABLES, REST_PORT, RPC_PORT};
pub use preflight::{PREFLIGHT, preflight_name};
pub use references::{REFERENCES_MAX, References};
pub use revision::{Revision, begins_with, references, revision_name};

/// Why objects can't be made of a resource. `validate` reports these to users before.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A pod template that `validate` refuses.
    #[error("{field}: {problems}")]
    Template {
        /// Which template.
        field: &'static str,
        /// What is wrong with it.
        problems: String,
    },
    /// An object can't be written as JSON.
    #[error("an object can't be written: {0}")]
    Json(#[from] serde_json::Error),
    /// Settings can't be written as YAML.
    #[error("the settings can't be written: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

/// Whose JobManagers do what about the Lease.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Turn<'a> {
    /// The revision that may lead; none: nobody.
    pub leading: Option<&'a str>,
    /// The one that gets its TaskManagers ready meanwhile.
    pub preparing: Option<&'a str>,
}

/// What an application has as long as it exists, whatever its revision: to be applied in this
/// order. The Lease is annotated with whose turn it is; `revisions` are those whose pods run or are
/// to run, `references` what their TaskManagers use.
///
/// # Errors
/// When an object can't be written as JSON.
pub fn application_objects(
    identity: &Identity,
    spec: &FlinkApplicationSpec,
    turn: Turn<'_>,
    revisions: &[&str],
    references: &References,
) -> Result<Vec<Value>, BuildError> {
    let mut objects = Vec::new();
    for account in access::service_accounts(identity, spec) {
        objects.push(object(&account)?);
    }
    objects.push(object(&access::role(identity, revisions, references))?);
    objects.push(object(&access::role_binding(identity))?);
    objects.push(object(&services::job_managers(identity))?);
    objects.push(object(&services::rest(identity))?);
    objects.push(object(&lease::lease(identity, turn))?);
    for policy in network_policy::policies(identity, &spec.network_policy) {
        objects.push(object(&policy)?);
    }
    if let Some(budget) = disruption_budget::job_managers(identity, spec.job_manager.replicas) {
        objects.push(object(&budget)?);
    }
    Ok(objects)
}

/// Objects that a resource may have had and has no more, as kind and name: to be deleted.
pub fn superfluous(
    identity: &Identity,
    spec: &FlinkApplicationSpec,
) -> Vec<(&'static str, String)> {
    let mut superfluous = Vec::new();
    if !spec.network_policy.enabled {
        for name in [identity.job_managers(), identity.task_managers()] {
            superfluous.push(("NetworkPolicy", name));
        }
    }
    if spec.job_manager.replicas < 2 {
        superfluous.push(("PodDisruptionBudget", identity.job_managers()));
    }
    superfluous
}

/// An object with its kind and version, as it is applied.
fn object(typed: &impl Serialize) -> Result<Value, BuildError> {
    Ok(serde_json::to_value(typed)?)
}
