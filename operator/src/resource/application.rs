//! The resource itself and the top level of its `spec`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Deletion, FlinkApplicationStatus, HighAvailability, Job, JobManager, NetworkPolicy,
    PodTemplate, StateSpec, TaskManager, Upgrade, schema,
};

/// What is to run, and how.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, JsonSchema, CustomResource)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "thalweg.dev",
    version = "v1alpha1",
    kind = "FlinkApplication",
    plural = "flinkapplications",
    shortname = "flinkapp",
    shortname = "fapp",
    namespaced,
    status = "FlinkApplicationStatus",
    derive = "PartialEq",
    doc = "A stateful stream processing application: a JobManager of its own and the TaskManagers \
           that its job needs.",
    scale(
        spec_replicas_path = ".spec.job.parallelism",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn = r#"{"name": "Job", "type": "string", "jsonPath": ".status.job.state"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string",
        "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Parallelism", "type": "integer",
        "jsonPath": ".status.job.parallelism"}"#,
    printcolumn = r#"{"name": "TaskManagers", "type": "integer",
        "jsonPath": ".status.taskManagers.registered"}"#,
    printcolumn = r#"{"name": "Checkpoint", "type": "date",
        "jsonPath": ".status.checkpoint.completedAt"}"#,
    printcolumn = r#"{"name": "Restarts", "type": "integer", "jsonPath": ".status.job.restarts"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Revision", "type": "string",
        "jsonPath": ".status.currentRevision", "priority": 1}"#,
    printcolumn = r#"{"name": "Epoch", "type": "integer",
        "jsonPath": ".status.jobManager.epoch", "priority": 1}"#,
    printcolumn = r#"{"name": "Image", "type": "string",
        "jsonPath": ".spec.image", "priority": 1}"#,
    printcolumn = r#"{"name": "Reason", "type": "string",
        "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "priority": 1}"#
)]
pub struct FlinkApplicationSpec {
    /// The container image with the application's executable. JobManager and TaskManagers run it.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// When a node pulls the image: `IfNotPresent`, `Always` or `Never`.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,
    /// Secrets of this namespace with the credentials to pull the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// The ServiceAccounts that are made for the JobManager and the TaskManagers.
    #[serde(default)]
    pub service_account: ServiceAccount,
    /// Stops the job with a final checkpoint and removes its pods; state is kept. `false` resumes
    /// from it.
    #[serde(default)]
    pub suspend: bool,
    /// A new time restarts the application once: all pods are replaced, state is kept. A job that
    /// has failed is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub restarted_at: Option<Time>,
    /// How long after its job has finished the resource is deleted. Unset: it is kept, with the
    /// job's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 315_360_000))]
    pub ttl_seconds_after_finished: Option<i64>,
    /// Settings of the engine, by the keys of docs/configuration.md. Keys that have a field in this
    /// resource or are set by the operator are refused, and so are keys that look like secrets:
    /// give those by `job.binary.env` with a `secretKeyRef`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::configuration")]
    pub configuration: BTreeMap<String, String>,
    /// The job: one for each application.
    pub job: Job,
    /// Where state lives, and what of it is kept.
    #[serde(default)]
    pub state: StateSpec,
    /// How a changed spec is brought about.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// What happens when the resource is deleted.
    #[serde(default)]
    pub deletion: Deletion,
    /// The Lease by which one JobManager leads.
    #[serde(default)]
    pub high_availability: HighAvailability,
    /// The JobManager, which coordinates the job. `resources.limits.memory` must be set.
    #[serde(default)]
    pub job_manager: JobManager,
    /// The TaskManagers, which do the work: as many as the parallelism needs.
    /// `resources.limits.memory` must be set.
    #[serde(default)]
    pub task_manager: TaskManager,
    /// What all pods have in common beyond what the operator sets, as a PodTemplateSpec. Lists are
    /// merged by name; the containers are called `jobmanager` and `taskmanager`. `podTemplate` of
    /// `jobManager` and `taskManager` goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// Which pods may connect to the application's.
    #[serde(default)]
    pub network_policy: NetworkPolicy,
}

/// When a node pulls an image.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// When it hasn't got it.
    #[default]
    IfNotPresent,
    /// At each start.
    Always,
    /// Never.
    Never,
}

impl ImagePullPolicy {
    /// The word that Kubernetes uses.
    pub fn as_str(self) -> &'static str {
        match self {
            ImagePullPolicy::IfNotPresent => "IfNotPresent",
            ImagePullPolicy::Always => "Always",
            ImagePullPolicy::Never => "Never",
        }
    }
}

/// An object of the same namespace.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalObjectReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The ServiceAccounts that are made for the application.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {
    /// Annotations of both accounts, such as the role for access to the bucket
    /// (`eks.amazonaws.com/role-arn`). Pods take them up when they start.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}
