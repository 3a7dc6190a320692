//! The pod that deletes an application's state: `deletion.policy: Delete`.
//!
//! It runs the image of the application, which knows how its S3 is reached, after all others are
//! gone. Not here: what is deleted, which is the engine's `state delete`.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::pod::CONFIGURATION_PATH;
use super::{BuildError, Identity, Revision, object};

/// The component in the labels of such a pod.
pub const ERASURE: &str = "state-deletion";

impl Identity {
    /// The name of the pod that deletes the application's state.
    pub fn erasure(&self) -> String {
        format!("{}-state-deletion", self.name)
    }
}

impl Revision {
    /// What is applied to delete the state at these places: the revision's settings, and the pod.
    /// It is tried again for so many seconds. `successor`: the identity with which a resource of
    /// this name begins then.
    ///
    /// # Errors
    /// When an object can't be written as JSON.
    pub fn erasure(
        &self,
        identity: &Identity,
        places: &[String],
        successor: &str,
        seconds: i64,
    ) -> Result<[Value; 2], BuildError> {
        let mut args = vec!["state".to_owned(), "delete".to_owned()];
        args.extend(places.iter().cloned());
        let own = ["--stopped", "--owner", &identity.uid, "--successor", successor, "--config"];
        args.extend(own.into_iter().chain([CONFIGURATION_PATH]).map(str::to_owned));
        let mut metadata = identity.revision_metadata(identity.erasure(), &self.name);
        let labels = metadata.labels.get_or_insert_default();
        labels.insert("app.kubernetes.io/component".to_owned(), ERASURE.to_owned());
        let mut spec = self.command_pod(identity, args);
        spec.restart_policy = Some("OnFailure".to_owned());
        spec.active_deadline_seconds = Some(seconds);
        let pod = Pod { metadata, spec: Some(spec), status: None };
        let [configuration, _] = self.objects(identity, 0)?;
        Ok([configuration, object(&pod)?])
    }
}
