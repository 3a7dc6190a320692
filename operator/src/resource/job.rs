//! `spec.job`: the executable, its parallelism, its restarts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// The job of an application.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// What is executed.
    pub binary: Binary,
    /// The parallelism of operators for which the program sets none. `kubectl scale` and a
    /// HorizontalPodAutoscaler change it; a running job is then rescaled.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 32_768))]
    pub parallelism: i32,
    /// The number of key groups, and with it the highest parallelism. Fixed as long as state is
    /// kept: only a new `state.restore.at` changes it.
    #[serde(default = "max_parallelism")]
    #[schemars(range(min = 1, max = 32_768))]
    pub max_parallelism: i32,
    /// When a job that failed is started again by its JobManager.
    #[serde(default)]
    pub restart_strategy: RestartStrategy,
    /// Whether state of operators that the new program doesn't have is dropped. Without, such an
    /// upgrade is refused.
    #[serde(default)]
    pub allow_non_restored_state: bool,
}

fn one() -> i32 {
    1
}

fn max_parallelism() -> i32 {
    128
}

/// The application's executable within the image.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Binary {
    /// Its absolute path.
    #[schemars(length(min = 2, max = 1024), regex(pattern = r"^/"))]
    pub path: String,
    /// The application's own arguments. They are visible to all who may look at pods: give secrets
    /// by `env`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::arguments")]
    pub args: Vec<String>,
    /// Environment variables of JobManager and TaskManagers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 128),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvironmentVariable>,
}

/// An environment variable.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentVariable {
    /// Its name. `THALWEG_` and `KUBERNETES_` are the operator's and the cluster's.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Where its value comes from, instead of `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvironmentVariableSource>,
}

/// Where a value comes from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentVariableSource {
    /// A key of a Secret of this namespace. Only the pods read it, never the operator.
    pub secret_key_ref: SecretKeySelector,
}

/// A key of a Secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeySelector {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key within it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// When a job that failed is started again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartStrategy {
    /// `Exponential`: after a pause that doubles with each failure. `Fixed`: after the same pause.
    /// `Rate`: as long as failures are rarer than `maxAttempts` in `resetAfterSeconds`. `None`: the
    /// first failure ends the job.
    pub r#type: RestartStrategyType,
    /// The pause before the first restart; with `Fixed` and `Rate`, before each.
    #[schemars(range(min = 1, max = 86_400))]
    pub initial_backoff_seconds: i64,
    /// With `Exponential`, the longest pause.
    #[schemars(range(min = 1, max = 86_400))]
    pub max_backoff_seconds: i64,
    /// With `Exponential`, after running this long without a failure, pause and attempts start
    /// anew. With `Rate`, the time in which failures are counted.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub reset_after_seconds: i64,
    /// With `Exponential` and `Fixed`, the number of restarts before the job is declared failed;
    /// unset: without end. With `Rate`, which needs it, the number of failures that are tolerated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_attempts: Option<i32>,
}

impl Default for RestartStrategy {
    fn default() -> Self {
        RestartStrategy {
            r#type: RestartStrategyType::Exponential,
            initial_backoff_seconds: 1,
            max_backoff_seconds: 60,
            reset_after_seconds: 3600,
            max_attempts: None,
        }
    }
}

/// The kinds of restart strategies.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
pub enum RestartStrategyType {
    /// The pause doubles with each failure.
    Exponential,
    /// The pause stays the same.
    Fixed,
    /// As long as failures are rare enough.
    Rate,
    /// Never.
    None,
}
