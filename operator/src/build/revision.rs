//! A revision: everything that runs for one version of a spec, rendered once.
//!
//! Its name is a hash of the part of the spec that forms it and of the identity of its state, never
//! of what was rendered from them. So an operator that renders differently leaves pods alone: the
//! ControllerRevision holds what the earlier one has rendered. And a spec that comes back after a
//! restore is another revision, with the state of the restore.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::configuration::{Settings, job_manager_configuration, task_manager_configuration};
use super::pod::{self, TEMPLATE_KEY, configuration_key};
use super::{BuildError, Identity, References, job_manager, object, task_manager};
use crate::plan::forming_part;
use crate::pod_template::{Role, read};
use crate::resource::{FlinkApplicationSpec, PodTemplate};

/// The setting of what a job begins with.
const BEGIN_WITH: &str = "execution.state-recovery.path";

/// A rendered revision, as its ControllerRevision holds it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Its name: of the Deployment, the ConfigMap and the ControllerRevision too.
    pub name: String,
    /// The spec that it was rendered from.
    pub spec: FlinkApplicationSpec,
    /// The identity under which the engine keeps its state: another one after each restore.
    pub cluster_id: String,
    /// The ConfigMap's files.
    pub files: BTreeMap<String, String>,
    /// The template of the JobManagers' pods.
    pub job_manager: PodTemplateSpec,
}

/// The file with the TaskManagers' template.
#[derive(Deserialize)]
struct PodTemplateFile {
    template: PodTemplateSpec,
}

/// The name of the revision of a spec that goes on with the state of this identity: `NAME-HASH`, at
/// most 56 characters.
///
/// # Errors
/// When the spec can't be written as JSON.
pub fn revision_name(
    name: &str,
    spec: &FlinkApplicationSpec,
    cluster_id: &str,
) -> Result<String, BuildError> {
    let mut forming = serde_json::to_vec(&forming_part(&serde_json::to_value(spec)?))?;
    forming.extend(cluster_id.as_bytes());
    let hash = xxhash_rust::xxh3::xxh3_64(&forming);
    Ok(format!("{name}-{:010x}", hash & 0xff_ffff_ffff))
}

/// What TaskManagers use, by the template in a revision's files.
///
/// # Errors
/// When that isn't there or can't be read.
pub fn references(files: &BTreeMap<String, String>) -> Result<References, BuildError> {
    let template = files.get(TEMPLATE_KEY).map(String::as_str).unwrap_or_default();
    let PodTemplateFile { template } = serde_yaml::from_str(template)?;
    Ok(References::of(&template))
}

/// What the job of a revision begins with if there is no checkpoint under its identity, by the
/// JobManagers' settings in its files.
pub fn begins_with(files: &BTreeMap<String, String>) -> Option<String> {
    let settings = files.get(&configuration_key(Role::JobManager))?;
    let mut settings: Settings = serde_yaml::from_str(settings).ok()?;
    settings.remove(BEGIN_WITH)
}

impl Revision {
    /// Renders the revision that a spec asks for. `cluster_id` is the identity of its state;
    /// `begin_with`, what its job begins with if there is no checkpoint under it.
    ///
    /// # Errors
    /// When a template can't be read; `validate` reports that before.
    pub fn render(
        identity: &Identity,
        spec: &FlinkApplicationSpec,
        cluster_id: &str,
        begin_with: Option<&str>,
    ) -> Result<Revision, BuildError> {
        let name = revision_name(&identity.name, spec, cluster_id)?;
        let [job_manager, task_manager] = Revision::templates(identity, &name, spec)?;
        let grace = pod::grace_seconds(&task_manager);
        let with_identity = |mut settings: Settings| {
            let key = "high-availability.cluster-id".to_owned();
            settings.insert(key, cluster_id.to_owned());
            // A TaskManager that is told to end moves its work away before it is killed. The usual
            // time is the engine's own.
            if grace != pod::GRACE_SECONDS {
                let key = "taskmanager.termination-grace-period".to_owned();
                settings.insert(key, format!("{grace} s"));
            }
            serde_yaml::to_string(&settings)
        };
        let mut job_manager_settings = job_manager_configuration(identity, &name, spec);
        if let Some(path) = begin_with {
            job_manager_settings.insert(BEGIN_WITH.to_owned(), path.to_owned());
        }
        let files = BTreeMap::from([
            (configuration_key(Role::JobManager), with_identity(job_manager_settings)?),
            (
                configuration_key(Role::TaskManager),
                with_identity(task_manager_configuration(identity, &name, spec))?,
            ),
            (
                TEMPLATE_KEY.to_owned(),
                serde_yaml::to_string(&json!({
                    "apiVersion": "v1",
                    "kind": "PodTemplate",
                    "template": task_manager,
                }))?,
            ),
        ]);
        let (spec, cluster_id) = (spec.clone(), cluster_id.to_owned());
        Ok(Revision { name, spec, cluster_id, files, job_manager })
    }

    /// The templates of a revision's pods: JobManagers, TaskManagers.
    ///
    /// # Errors
    /// When a template of the user's can't be read.
    pub fn templates(
        identity: &Identity,
        name: &str,
        spec: &FlinkApplicationSpec,
    ) -> Result<[PodTemplateSpec; 2], BuildError> {
        let job_manager = job_manager::template(identity, name, spec)?;
        Ok([job_manager, task_manager::template(identity, name, spec)?])
    }

    /// What its TaskManagers use, by their template as it was rendered.
    ///
    /// # Errors
    /// When that isn't there or can't be read.
    pub fn references(&self) -> Result<References, BuildError> {
        references(&self.files)
    }

    /// What is applied when the revision is to run, in this order.
    ///
    /// # Errors
    /// When an object can't be written as JSON.
    pub fn objects(&self, identity: &Identity, replicas: i32) -> Result<[Value; 2], BuildError> {
        let configuration = ConfigMap {
            metadata: identity.revision_metadata(self.name.clone(), &self.name),
            data: Some(self.files.clone()),
            immutable: Some(true),
            binary_data: None,
        };
        let template = self.job_manager.clone();
        let deployment = job_manager::deployment(identity, &self.name, replicas, template);
        Ok([object(&configuration)?, object(&deployment)?])
    }

    /// The record of the revision. `number` rises with each one.
    ///
    /// # Errors
    /// When it can't be written as JSON.
    pub fn record(&self, identity: &Identity, number: i64) -> Result<Value, BuildError> {
        let metadata = identity.revision_metadata(self.name.clone(), &self.name);
        Ok(json!({
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": metadata,
            "revision": number,
            "data": serde_json::to_value(self)?,
        }))
    }

    /// The revision of a record.
    ///
    /// # Errors
    /// When the record isn't one of ours.
    pub fn from_record(data: Value) -> Result<Revision, BuildError> {
        Ok(serde_json::from_value(data)?)
    }
}

/// `spec.podTemplate`, read.
pub(super) fn common_template(spec: &FlinkApplicationSpec) -> Result<PodTemplateSpec, BuildError> {
    read_template("spec.podTemplate", spec.pod_template.as_ref())
}

/// The template of a role's own, read.
pub(super) fn own_template(
    spec: &FlinkApplicationSpec,
    role: Role,
) -> Result<PodTemplateSpec, BuildError> {
    match role {
        Role::JobManager => {
            read_template("spec.jobManager.podTemplate", spec.job_manager.pod_template.as_ref())
        }
        Role::TaskManager => {
            read_template("spec.taskManager.podTemplate", spec.task_manager.pod_template.as_ref())
        }
    }
}

fn read_template(
    field: &'static str,
    template: Option<&PodTemplate>,
) -> Result<PodTemplateSpec, BuildError> {
    let Some(template) = template else { return Ok(PodTemplateSpec::default()) };
    read(template).map_err(|errors| {
        let problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
        BuildError::Template { field, problems: problems.join("; ") }
    })
}
