//! The PodDisruptionBudget of JobManagers: only where there is more than one, or a node with the
//! only one could never be drained.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Identity;
use crate::pod_template::Role;

/// The budget for so many JobManagers: one of them may be away.
pub(super) fn job_managers(identity: &Identity, replicas: i32) -> Option<PodDisruptionBudget> {
    (replicas >= 2).then(|| PodDisruptionBudget {
        metadata: identity.metadata(identity.job_managers()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(identity.label_selector(Role::JobManager)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..Default::default()
        }),
        status: None,
    })
}
