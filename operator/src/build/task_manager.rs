//! The template from which a revision's JobManager makes its TaskManager pods.

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::pod::{self, LOCAL_STORAGE_PATH, METRICS_PORT};
use super::{BuildError, Identity};
use crate::pod_template::{Layers, Role, merge};
use crate::resource::FlinkApplicationSpec;

/// The template of the TaskManagers' pods. They never restart: a lost one is replaced. They have no
/// token for the API server.
///
/// # Errors
/// When a template of the user's can't be read.
pub(super) fn template(
    identity: &Identity,
    revision: &str,
    spec: &FlinkApplicationSpec,
) -> Result<PodTemplateSpec, BuildError> {
    let mut required = pod::required(identity, revision, spec, Role::TaskManager);
    if let Some(pod) = &mut required.spec {
        pod.service_account_name = Some(identity.task_managers());
        pod.automount_service_account_token = Some(false);
        pod.restart_policy = Some("Never".to_owned());
        for container in &mut pod.containers {
            // Ready: registered at a JobManager. Nobody connects by that; it shows who is ready for
            // a job that another revision still runs.
            container.readiness_probe = Some(pod::answers("/ready", METRICS_PORT, (2, 3)));
        }
        if let Some(storage) = &spec.task_manager.local_storage {
            pod.volumes.get_or_insert_default().push(Volume {
                name: "thalweg-local-storage".to_owned(),
                empty_dir: Some(EmptyDirVolumeSource {
                    size_limit: Some(Quantity(storage.size_limit.0.clone())),
                    ..Default::default()
                }),
                ..Default::default()
            });
            for container in &mut pod.containers {
                let mounts = container.volume_mounts.get_or_insert_default();
                mounts.push(pod::mount("thalweg-local-storage", LOCAL_STORAGE_PATH, false));
            }
        }
    }
    Ok(merge(
        Role::TaskManager,
        Layers {
            defaults: pod::defaults(),
            common: super::revision::common_template(spec)?,
            role: super::revision::own_template(spec, Role::TaskManager)?,
            required,
        },
    ))
}
