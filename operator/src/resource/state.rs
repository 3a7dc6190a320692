//! `spec.state`: backend, checkpoints, savepoints, restore.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Where state lives, and what of it is kept.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// Where keyed state lives while the job runs. `Memory`: in the TaskManagers' memory. `Disk` is
    /// refused until the engine has it.
    pub backend: Backend,
    /// Checkpoints, from which the job goes on after a failure or an upgrade.
    pub checkpoints: Checkpoints,
    /// Savepoints, which are taken on request and belong to you.
    pub savepoints: Savepoints,
    /// What the job is to begin with, once, instead of its newest checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
}

/// Where keyed state lives while the job runs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
pub enum Backend {
    /// In memory.
    #[default]
    Memory,
    /// On disk, with a cache in memory.
    Disk,
}

/// Checkpoints.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Checkpoints {
    /// Where they are written: `s3://BUCKET/PREFIX`, or `file:///PATH` for a volume that all pods
    /// have at this path. The application's are below `NAMESPACE/NAME/` of it. Unset only with
    /// `upgrade.mode: Stateless`: then nothing is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 6, max = 1024))]
    pub location: Option<String>,
    /// The time from one checkpoint's trigger to the next one's.
    #[schemars(range(min = 1, max = 86_400))]
    pub interval_seconds: i64,
    /// A checkpoint that isn't complete after this time is given up.
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: i64,
    /// The least time from the end of one checkpoint to the trigger of the next. Unset: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub min_pause_seconds: Option<i64>,
    /// The number of latest checkpoints that are kept.
    #[schemars(range(min = 1, max = 1000))]
    pub retain: i32,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Checkpoints {
            location: None,
            interval_seconds: 30,
            timeout_seconds: 600,
            min_pause_seconds: None,
            retain: 3,
        }
    }
}

/// Savepoints.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Savepoints {
    /// Below which location savepoints are written, each in a folder of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 6, max = 1024))]
    pub location: Option<String>,
    /// How often one is taken by itself. Unset: only on request, by the annotation
    /// `thalweg.dev/savepoint: TOKEN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub interval_seconds: Option<i64>,
    /// How many of the latest are listed in `status.savepoints`. None is ever deleted.
    #[schemars(range(min = 1, max = 10))]
    pub history: i32,
}

impl Default for Savepoints {
    fn default() -> Self {
        Savepoints { location: None, interval_seconds: None, history: 10 }
    }
}

/// What a job is to begin with, once.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restore {
    /// What to begin with: either `path` or `empty`.
    pub from: RestoreSource,
    /// A new time means one restore. Without a change of it nothing is restored again.
    #[schemars(schema_with = "schema::date_time")]
    pub at: Time,
}

/// What a job is to begin with: exactly one of these.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreSource {
    /// A savepoint or a retained checkpoint. It is only read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 6, max = 1024))]
    pub path: Option<String>,
    /// Nothing: the application's state up to now is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty: Option<Empty>,
}

/// An object without fields.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
pub struct Empty {}
