//! The JobManagers of a revision: a Deployment.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::pod::{self, REST_PORT};
use super::{BuildError, Identity, REVISION_LABEL};
use crate::pod_template::{Layers, Role, merge};
use crate::resource::FlinkApplicationSpec;

/// The template of the JobManagers' pods.
///
/// # Errors
/// When a template of the user's can't be read.
pub(super) fn template(
    identity: &Identity,
    revision: &str,
    spec: &FlinkApplicationSpec,
) -> Result<PodTemplateSpec, BuildError> {
    let mut required = pod::required(identity, revision, spec, Role::JobManager);
    if let Some(pod) = &mut required.spec {
        pod.service_account_name = Some(identity.job_managers());
        pod.automount_service_account_token = Some(true);
        pod.restart_policy = Some("Always".to_owned());
        for container in &mut pod.containers {
            // Ready: it answers REST, as the leader or by passing on. Neither probe asks the store
            // or the API server, or another JobManager: their loss is no reason to end this one. A
            // mere connection would be made with one that stands still, too.
            container.readiness_probe = Some(pod::answers("/healthz", REST_PORT, (2, 3)));
            container.liveness_probe = Some(pod::answers("/healthz", REST_PORT, (10, 6)));
        }
    }
    Ok(merge(
        Role::JobManager,
        Layers {
            defaults: pod::defaults(),
            common: super::revision::common_template(spec)?,
            role: super::revision::own_template(spec, Role::JobManager)?,
            required,
        },
    ))
}

/// The Deployment. All pods of a revision are equal, so it never rolls; only its replicas change.
pub(super) fn deployment(
    identity: &Identity,
    revision: &str,
    replicas: i32,
    template: PodTemplateSpec,
) -> Deployment {
    let mut selector = identity.selector(Role::JobManager);
    selector.insert(REVISION_LABEL.to_owned(), revision.to_owned());
    Deployment {
        metadata: identity.revision_metadata(revision.to_owned(), revision),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            revision_history_limit: Some(0),
            selector: LabelSelector { match_labels: Some(selector), ..Default::default() },
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                ..Default::default()
            }),
            template,
            ..Default::default()
        }),
        status: None,
    }
}
