//! One parsed request: the facts it reads, its path parameters, its query.

use std::sync::Arc;

use super::error::RestError;
use super::gateway::RestGateway;
use super::model::{ClusterFacts, JobFacts, TaskManagerFacts, VertexFacts};

/// What a handler gets of a request.
pub(crate) struct RestRequest {
    pub(crate) gateway: Arc<dyn RestGateway>,
    /// Decoded path parameters in the path's order.
    pub(crate) path: Vec<(String, String)>,
    /// Decoded query parameters in the query's order, repeated ones included.
    pub(crate) query: Vec<(String, String)>,
}

impl RestRequest {
    /// The time against which this answer's durations are taken.
    pub(crate) fn now_ms(&self) -> i64 {
        self.gateway.now_ms()
    }

    /// The cluster's facts.
    pub(crate) fn cluster(&self) -> Arc<ClusterFacts> {
        self.gateway.cluster()
    }

    /// The path's job id, in lower case.
    pub(crate) fn job_id(&self) -> Result<String, RestError> {
        self.hex_id("jobid")
    }

    /// The facts of the path's job.
    pub(crate) fn job(&self) -> Result<Arc<JobFacts>, RestError> {
        let id = self.job_id()?;
        self.gateway.job(&id).ok_or_else(|| RestError::NotFound(format!("Job {id} not found")))
    }

    /// The path's vertex in `job`.
    pub(crate) fn vertex<'a>(&self, job: &'a JobFacts) -> Result<&'a VertexFacts, RestError> {
        let id = self.hex_id("vertexid")?;
        job.vertex(&id).ok_or_else(|| RestError::NotFound(format!("JobVertex {id} not found")))
    }

    /// The path's TaskManager.
    pub(crate) fn task_manager<'a>(
        &self,
        cluster: &'a ClusterFacts,
    ) -> Result<&'a TaskManagerFacts, RestError> {
        let id = self.text("taskmanagerid");
        let found = cluster.task_managers.iter().find(|facts| facts.id == id);
        found
            .map(Arc::as_ref)
            .ok_or_else(|| RestError::NotFound(format!("Could not find TaskExecutor {id}.")))
    }

    /// A number in the path.
    pub(crate) fn number<N: std::str::FromStr>(&self, key: &'static str) -> Result<N, RestError> {
        let value = self.text(key);
        value.parse().map_err(|_| bad_parameter("path", key, value))
    }

    /// A 32-digit id in the path.
    pub(crate) fn hex_id(&self, key: &'static str) -> Result<String, RestError> {
        hex_id(self.text(key)).ok_or_else(|| bad_parameter("path", key, self.text(key)))
    }

    /// The first value of a query parameter.
    pub(crate) fn query_value(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A query parameter's comma-separated values; empty when it isn't given.
    pub(crate) fn query_list(&self, key: &str) -> Vec<&str> {
        let given = self.query.iter().filter(|(name, _)| name == key);
        given.flat_map(|(_, value)| value.split(',')).filter(|item| !item.is_empty()).collect()
    }

    /// A query parameter's comma-separated ids; empty when it isn't given.
    pub(crate) fn query_ids(&self, key: &'static str) -> Result<Vec<String>, RestError> {
        let parse = |text: &str| hex_id(text).ok_or_else(|| bad_parameter("query", key, text));
        self.query_list(key).into_iter().map(parse).collect()
    }

    fn text(&self, key: &str) -> &str {
        self.path.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }
}

/// The refusal of a value; of an overlong one only the beginning is shown.
pub(crate) fn bad_parameter(kind: &'static str, key: &'static str, value: &str) -> RestError {
    RestError::BadParameter { kind, key, value: value.chars().take(256).collect() }
}

fn hex_id(text: &str) -> Option<String> {
    let valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| text.to_ascii_lowercase())
}
