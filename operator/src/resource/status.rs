//! `status`: what is reported. Two writers, each with its own fields.
//!
//! States and reasons are texts here and not enumerations: a JobManager that is newer than the
//! installed CustomResourceDefinition must still be able to report.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// What has become of the spec. The operator and the JobManager each write their own fields.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FlinkApplicationStatus {
    /// The generation of the spec that the operator's fields are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// What is true of the application. Ready: the spec's goal is reached (the job runs, is
    /// suspended, or has finished). Reconciling and Stalled are there only while they are true.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// The conditions in one word, for people. Programs should read the conditions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub phase: Option<String>,
    /// The revision whose pods run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub current_revision: Option<String>,
    /// The revision that the spec asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub update_revision: Option<String>,
    /// The latest revision that has proved stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub stable_revision: Option<String>,
    /// What the operator is about to do, written before it does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The latest thing that went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// The job, as its JobManager sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobStatus>,
    /// The newest checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointStatus>,
    /// The latest savepoints, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub savepoints: Vec<SavepointStatus>,
    /// The TaskManagers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_managers: Option<TaskManagersStatus>,
    /// The JobManager that leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_manager: Option<JobManagerStatus>,
    /// The parallelism with which the job runs: for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// The labels of the TaskManager pods: for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
}

/// Something that is true, false or unknown of the application.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[schemars(length(min = 1, max = 316))]
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(length(max = 7))]
    pub status: String,
    /// The generation of the spec that it was found for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When `status` last changed.
    #[schemars(schema_with = "schema::date_time")]
    pub last_transition_time: Time,
    /// Why, in one word for programs.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Why, for people, and what to do.
    #[schemars(length(max = 32_768))]
    pub message: String,
}

/// What the operator is doing: a record that is written before the first step, so that an operator
/// that is started again goes on where the last one stopped.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// What it is: `Deploy`, `Upgrade`, `Rollback`, `Rescale`, `Suspend`, `Delete`, ...
    #[schemars(length(max = 63))]
    pub r#type: String,
    /// How far it has come.
    #[schemars(length(max = 63))]
    pub step: String,
    /// How often this step was begun.
    #[schemars(range(min = 0))]
    pub attempt: i32,
    /// When the operation began.
    #[schemars(schema_with = "schema::date_time")]
    pub started_at: Time,
    /// When this step is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub deadline: Option<Time>,
    /// What it leads to: the name of a revision, a parallelism, a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub target: Option<String>,
    /// What is being waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub message: Option<String>,
}

/// Something that went wrong.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    /// When.
    #[schemars(schema_with = "schema::date_time")]
    pub at: Time,
    /// In one word, the pod's own where there is one: `OOMKilled`, `ImagePullBackOff`, `Error`.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// What happened, to what, and what to do.
    #[schemars(length(max = 2048))]
    pub message: String,
    /// Whether trying again may help.
    pub retryable: bool,
    /// The exit code of the container that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The pod that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
}

/// The job.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JobStatus {
    /// Its id.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub name: Option<String>,
    /// Its state: `CREATED`, `RUNNING`, `RESTARTING`, `FINISHED`, `FAILED`, `CANCELED`, ...
    #[schemars(length(max = 63))]
    pub state: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub ended_at: Option<Time>,
    /// The generation of the resource when its end was first reported: what was changed before
    /// that asks for no other run of a job that has finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_generation: Option<i64>,
    /// Its parallelism now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<i32>,
    /// Its number of key groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<i32>,
    /// Its subtasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TaskCounts>,
    /// How often it was restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<i64>,
    /// What it last began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<RestoredFrom>,
    /// What an earlier FlinkApplication of the same name has left of it: there if the job goes on
    /// with that, or had ended then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<EarlierRun>,
}

/// What an earlier FlinkApplication of the same name has left of a job.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EarlierRun {
    /// The uid of that FlinkApplication.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Whether the job had ended: then its state is the one that it ended in, and the operator has
    /// it run again. Else it goes on with the checkpoint.
    pub ended: bool,
    /// Whether it had been stopped with a savepoint: then it goes on with that one.
    pub stopped: bool,
    /// Where its newest checkpoint is, if it had any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub path: Option<String>,
    /// That checkpoint's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_id: Option<i64>,
}

/// Numbers of subtasks.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskCounts {
    /// Those that run.
    pub running: i32,
    /// All.
    pub total: i32,
}

/// What a job began with.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoredFrom {
    /// Where the checkpoint or savepoint is.
    #[schemars(length(max = 2048))]
    pub path: String,
    /// The checkpoint's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_id: Option<i64>,
    /// When it was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub at: Option<Time>,
}

/// The newest checkpoint.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckpointStatus {
    /// Its id.
    pub id: i64,
    /// Where it is.
    #[schemars(length(max = 2048))]
    pub path: String,
    /// When it was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub completed_at: Option<Time>,
    /// How many bytes it refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_millis: Option<i64>,
    /// How many have failed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_since_last: Option<i64>,
}

/// A savepoint.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SavepointStatus {
    /// The token of the request for it.
    #[schemars(length(max = 253))]
    pub token: String,
    /// Where it is.
    #[schemars(length(max = 2048))]
    pub path: String,
    /// When it was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date_time")]
    pub completed_at: Option<Time>,
}

/// Numbers of TaskManagers and slots.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskManagersStatus {
    /// How many there should be.
    pub desired: i32,
    /// How many pods haven't registered yet.
    pub pending: i32,
    /// How many have registered.
    pub registered: i32,
    /// How many of these are spare.
    pub standby: i32,
    /// All slots.
    pub slots_total: i32,
    /// Slots that aren't used.
    pub slots_free: i32,
}

/// The JobManager that leads.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JobManagerStatus {
    /// Its pod.
    #[schemars(length(max = 253))]
    pub leader: String,
    /// The epoch in which it leads: it rises with each change of leaders.
    pub epoch: i64,
    /// The engine's version.
    #[schemars(length(max = 63))]
    pub version: String,
    /// The version of what it understands of the operator.
    pub protocol: i32,
    /// Where the identity of its state stands among those that applications of this name have had:
    /// it rises with each one, and epochs begin again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub lineage: Option<i64>,
    /// The identity under which an earlier FlinkApplication of this name has left its state, if
    /// that is another one: this JobManager runs nothing, and the operator starts one that goes on
    /// there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub state_elsewhere: Option<String>,
}
