//! The paths of a job's vertices and of their subtasks.

use axum::Router;

use super::answer::{Answer, Routes, aggregated, json, of_vertex};
use crate::rest::error::RestError;
use crate::rest::handlers::{backpressure, metrics, vertices};
use crate::rest::model::{SubtaskFacts, VertexFacts};
use crate::rest::request::RestRequest;

pub(super) fn routes() -> Routes {
    let path = |below: &str| format!("/jobs/{{jobid}}/vertices/{{vertexid}}{below}");
    Router::new()
        .route(&path(""), of_vertex(|v, r| json(&vertices::vertex(v, r.now_ms()))))
        .route(
            &path("/backpressure"),
            of_vertex(|v, r| json(&backpressure::back_pressure(v, r.now_ms()))),
        )
        .route(&path("/watermarks"), of_vertex(|v, _| json(&metrics::watermarks(v))))
        .route(
            &path("/subtasktimes"),
            of_vertex(|v, r| json(&vertices::subtask_times(v, r.now_ms()))),
        )
        .route(
            &path("/taskmanagers"),
            of_vertex(|v, r| json(&vertices::task_managers(v, r.now_ms()))),
        )
        .route(&path("/accumulators"), of_vertex(|v, _| json(&vertices::vertex_accumulators(v))))
        .route(
            &path("/metrics"),
            of_vertex(|v, r| json(&metrics::vertex_metrics(v, &r.query_list("get")))),
        )
        .route(
            &path("/jm-operator-metrics"),
            of_vertex(|v, r| json(&metrics::metrics(&v.coordinator_metrics, &r.query_list("get")))),
        )
        .route(&path("/subtasks/metrics"), of_vertex(subtasks_metrics))
        .route(
            &path("/subtasks/{subtaskindex}"),
            of_vertex(|v, r| json(&vertices::subtask(subtask(v, r)?, r.now_ms()))),
        )
        .route(
            &path("/subtasks/{subtaskindex}/attempts/{attempt}"),
            of_vertex(|v, r| json(&vertices::subtask(attempt(v, r)?, r.now_ms()))),
        )
        .route(
            &path("/subtasks/{subtaskindex}/metrics"),
            of_vertex(|v, r| {
                json(&metrics::metrics(&subtask(v, r)?.metrics, &r.query_list("get")))
            }),
        )
}

fn subtasks_metrics(vertex: &VertexFacts, request: &RestRequest) -> Answer {
    let chosen = metrics::subtask_filter(&request.query_list("subtasks"))?;
    let subtasks = vertex.subtasks.iter().filter(|subtask| chosen(subtask.index));
    aggregated(request, subtasks.map(|subtask| &subtask.metrics))
}

fn subtask<'a>(
    vertex: &'a VertexFacts,
    request: &RestRequest,
) -> Result<&'a SubtaskFacts, RestError> {
    let index: u32 = request.number("subtaskindex")?;
    let found = vertex.subtasks.iter().find(|subtask| subtask.index == index);
    found.ok_or_else(|| {
        RestError::NotFound(format!("Invalid subtask index {index} for vertex {}", vertex.id))
    })
}

fn attempt<'a>(
    vertex: &'a VertexFacts,
    request: &RestRequest,
) -> Result<&'a SubtaskFacts, RestError> {
    let attempt: u32 = request.number("attempt")?;
    Some(subtask(vertex, request)?).filter(|subtask| subtask.attempt == attempt).ok_or_else(|| {
        RestError::NotFound(format!("Attempt {attempt} is not, or no longer, known"))
    })
}
