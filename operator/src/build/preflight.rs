//! The pod that checks, before an old job stops, whether the new program can read its state.
//!
//! It runs the new image's `check`, without a token for the API server and without a certificate.
//! What is wrong is its termination message. Its settings are a ConfigMap of its own: the
//! revision's can't be changed once it is there, and is made when the revision starts.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodSpec};
use serde_json::Value;

use super::pod::{self, CONFIGURATION_PATH};
use super::{BuildError, Identity, Revision, object};
use crate::pod_template::Role;

/// The component in the labels of such a pod.
pub const PREFLIGHT: &str = "preflight";
/// The longest that a check may take, image and all.
const CHECK_SECONDS_MAX: i64 = 300;

/// The name of a revision's check: of its pod and of its ConfigMap.
pub fn preflight_name(revision: &str) -> String {
    format!("{revision}-check")
}

impl Revision {
    /// What is applied to check whether the revision can begin with a checkpoint or savepoint: its
    /// settings, and the pod.
    ///
    /// # Errors
    /// When an object can't be written as JSON.
    pub fn preflight(&self, identity: &Identity, path: &str) -> Result<[Value; 2], BuildError> {
        let name = preflight_name(&self.name);
        let mut metadata = identity.revision_metadata(name.clone(), &self.name);
        // Not immutable: one that an earlier check has left is no hindrance.
        let configuration = ConfigMap {
            metadata: metadata.clone(),
            data: Some(self.files.clone()),
            ..Default::default()
        };
        let labels = metadata.labels.get_or_insert_default();
        labels.insert("app.kubernetes.io/component".to_owned(), PREFLIGHT.to_owned());
        let mut args: Vec<String> =
            ["check", "--from-savepoint", path, "--or-newer", "--config", CONFIGURATION_PATH]
                .map(str::to_owned)
                .into();
        if self.spec.job.allow_non_restored_state {
            args.push("--allow-non-restored-state".to_owned());
        }
        let containers = self.job_manager.spec.iter().flat_map(|spec| &spec.containers);
        let own = containers.filter(|container| container.name == Role::JobManager.as_str());
        let own = own.flat_map(|container| container.args.iter().flatten());
        args.extend(own.skip_while(|each| *each != "--").cloned());
        let mut spec = self.command_pod(identity, args);
        spec.restart_policy = Some("Never".to_owned());
        spec.active_deadline_seconds = Some(CHECK_SECONDS_MAX);
        let volumes = spec.volumes.iter_mut().flatten();
        for volume in volumes.filter(|volume| volume.name == pod::CONFIGURATION_VOLUME) {
            if let Some(source) = &mut volume.config_map {
                source.name.clone_from(&name);
            }
        }
        let pod = Pod { metadata, spec: Some(spec), status: None };
        Ok([object(&configuration)?, object(&pod)?])
    }

    /// A pod of the application's image that runs one command instead of a JobManager: as the user
    /// has made the JobManager's, without a token for the API server and without a certificate.
    pub(super) fn command_pod(&self, identity: &Identity, args: Vec<String>) -> PodSpec {
        let mut spec = self.job_manager.spec.clone().unwrap_or_default();
        spec.service_account_name = Some(identity.task_managers());
        spec.automount_service_account_token = Some(false);
        spec.termination_grace_period_seconds = Some(pod::GRACE_SECONDS.min(5));
        // The user's helpers beside the JobManager have no part in it.
        spec.containers.retain(|container| container.name == Role::JobManager.as_str());
        // It talks to nobody.
        let volumes = spec.volumes.get_or_insert_default();
        volumes.retain(|volume| volume.name != pod::CERTIFICATE_VOLUME);
        for container in &mut spec.containers {
            let mounts = container.volume_mounts.get_or_insert_default();
            mounts.retain(|mount| mount.name != pod::CERTIFICATE_VOLUME);
            container.args = Some(args.clone());
            container.readiness_probe = None;
            container.liveness_probe = None;
            container.ports = None;
        }
        spec
    }
}
