//! `spec.jobManager`, `spec.taskManager` and pod templates.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Quantity, schema};

/// The JobManager.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JobManager {
    /// How many there are. One leads; the others stand by and take over within seconds.
    #[schemars(range(min = 1, max = 3))]
    pub replicas: i32,
    /// What its container gets. `limits.memory` must be set.
    pub resources: Resources,
    /// What its pods have beyond what the operator sets, as a PodTemplateSpec. Its container is
    /// called `jobmanager`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

impl Default for JobManager {
    fn default() -> Self {
        JobManager { replicas: 1, resources: Resources::default(), pod_template: None }
    }
}

/// The TaskManagers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskManager {
    /// How many slots each has. There are as many TaskManagers as the parallelism needs:
    /// `parallelism / slots`, rounded up.
    #[schemars(range(min = 1, max = 1024))]
    pub slots: i32,
    /// How many more are kept ready for the loss of one.
    #[schemars(range(min = 0, max = 100))]
    pub standby: i32,
    /// What each container gets. `limits.memory` must be set: it is the one memory number, which
    /// the TaskManager divides among its needs.
    pub resources: Resources,
    /// Storage of the node for local copies of state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_storage: Option<LocalStorage>,
    /// What its pods have beyond what the operator sets, as a PodTemplateSpec. Its container is
    /// called `taskmanager`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// How long one is kept while none of its slots is used.
    #[schemars(range(min = 0, max = 86_400))]
    pub idle_timeout_seconds: i64,
    /// One that hasn't registered by then is replaced.
    #[schemars(range(min = 10, max = 3600))]
    pub start_timeout_seconds: i64,
}

impl Default for TaskManager {
    fn default() -> Self {
        TaskManager {
            slots: 1,
            standby: 0,
            resources: Resources::default(),
            local_storage: None,
            pod_template: None,
            idle_timeout_seconds: 30,
            start_timeout_seconds: 300,
        }
    }
}

/// What a container gets.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// What the scheduler reserves, by resource. Unset: the limits.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::resource_list")]
    pub requests: BTreeMap<String, Quantity>,
    /// What it may use at most, by resource: `memory`, `cpu`, `ephemeral-storage`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::resource_list")]
    pub limits: BTreeMap<String, Quantity>,
}

/// Storage of the node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalStorage {
    /// How much a TaskManager may use at most. The node evicts one that uses more.
    pub size_limit: Quantity,
}

/// A PodTemplateSpec as the user wrote it. Kubernetes' schema of it is larger than all the rest, so
/// it isn't repeated here: `validate` reads it strictly, and a server-side dry run checks the pods.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct PodTemplate(
    /// Its fields.
    #[schemars(schema_with = "schema::preserved_object")]
    pub Map<String, Value>,
);
