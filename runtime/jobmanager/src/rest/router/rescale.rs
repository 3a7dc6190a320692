//! The parallelism of a running job: what it is, and another one. Flink's resource requirements.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::put;
use serde::{Deserialize, Serialize};
use thalweg_core::ids::{JobVertexId, TriggerId};

use super::answer::{Answer, Gateway, Params, Routes, json, of_job, request, respond};
use crate::rest::error::RestError;
use crate::rest::handlers::operations::rescale_status;
use crate::rest::model::JobFacts;
use crate::rest::request::RestRequest;

pub(super) fn routes() -> Routes {
    Router::new()
        .route("/jobs/{jobid}/resource-requirements", of_job(requirements).merge(put(change)))
        .route("/jobs/{jobid}/rescaling/{triggerid}", of_job(outcome))
}

/// What is wanted for each vertex.
type Requirements = BTreeMap<String, Requirement>;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Requirement {
    parallelism: Bounds,
}

/// A vertex gets the upper bound, or stays as it is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounds {
    lower_bound: u32,
    upper_bound: u32,
}

fn requirements(job: &JobFacts, _: &RestRequest) -> Answer {
    let of_vertex = |vertex: &crate::rest::model::VertexFacts| {
        let bounds = Bounds { lower_bound: vertex.parallelism, upper_bound: vertex.parallelism };
        (vertex.id.clone(), Requirement { parallelism: bounds })
    };
    json(&job.vertices.iter().map(of_vertex).collect::<Requirements>())
}

async fn change(
    State(gateway): State<Gateway>,
    params: Params,
    uri: Uri,
    bytes: Bytes,
) -> Response {
    let accepted = async {
        let request = request(gateway, params, &uri)?;
        let job_id = request.job_id()?;
        let trigger = request.query_value("triggerId").map(str::parse::<TriggerId>);
        let trigger = trigger.transpose().map_err(|error| bad(&error))?;
        let body: Requirements = serde_json::from_slice(&bytes).map_err(|error| bad(&error))?;
        let mut parallelism = BTreeMap::new();
        for (vertex, requirement) in body {
            let Bounds { lower_bound, upper_bound } = requirement.parallelism;
            if lower_bound == 0 || lower_bound > upper_bound {
                return Err(bad(&format!(
                    "vertex {vertex}: a lower bound of {lower_bound} isn't from 1 to the upper \
                     bound, {upper_bound}"
                )));
            }
            let id: JobVertexId = vertex.parse().map_err(|error| bad(&error))?;
            parallelism.insert(id, upper_bound);
        }
        request.gateway.rescale(&job_id, trigger, parallelism).await?;
        Ok(b"{}".to_vec())
    };
    respond(StatusCode::OK, accepted.await)
}

fn bad(error: &dyn std::fmt::Display) -> RestError {
    RestError::BadRequest(format!("Request did not match expected format: {error}"))
}

/// How a change went.
fn outcome(job: &JobFacts, request: &RestRequest) -> Answer {
    let id = request.hex_id("triggerid")?;
    let known = job.rescale.as_ref().filter(|(trigger, _)| trigger.to_string() == id);
    let (_, outcome) = known.ok_or_else(|| {
        RestError::NotFound(format!(
            "There is no operation with triggerId={id} for job {}.",
            job.id
        ))
    })?;
    json(&rescale_status(outcome))
}
