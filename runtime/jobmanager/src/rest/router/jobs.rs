//! The paths of jobs and of their checkpoints.

use axum::Router;
use axum::routing::{patch, post};

use super::answer::{Answer, Routes, aggregated, json, of_job, read};
use super::commands::{cancel, refuse_cancel_by_get, submit};
use crate::rest::error::RestError;
use crate::rest::handlers::{
    checkpoint_configuration, checkpoint_tasks, checkpoints, exceptions, job_manager, jobs,
    metrics, plan,
};
use crate::rest::model::{CheckpointFacts, CheckpointStatistics, JobFacts, Metrics, job_metrics};
use crate::rest::request::{RestRequest, bad_parameter};

pub(super) fn routes() -> Routes {
    Router::new()
        .route("/jobs", read(|r| json(&jobs::ids(&r.cluster()))).merge(post(submit)))
        .route("/jobs/overview", read(|r| json(&jobs::overview(&r.cluster(), r.now_ms()))))
        .route("/jobs/metrics", read(jobs_metrics))
        .route(
            "/jobs/{jobid}",
            of_job(|j, r| json(&jobs::details(j, r.now_ms()))).merge(patch(cancel)),
        )
        .route("/jobs/{jobid}/yarn-cancel", read(refuse_cancel_by_get))
        .route("/jobs/{jobid}/status", of_job(|j, _| json(&jobs::status(j))))
        .route("/jobs/{jobid}/config", of_job(|j, _| json(&jobs::configuration(j))))
        .route("/jobs/{jobid}/plan", of_job(|j, _| json(&plan::answer(j))))
        .route("/jobs/{jobid}/exceptions", of_job(job_exceptions))
        .route("/jobs/{jobid}/accumulators", of_job(job_accumulators))
        .route(
            "/jobs/{jobid}/metrics",
            of_job(|j, r| {
                json(&metrics::metrics(&job_metrics(j, r.now_ms()), &r.query_list("get")))
            }),
        )
        .route(
            "/jobs/{jobid}/jobmanager/config",
            of_job(|_, r| json(&job_manager::configuration(&r.cluster()))),
        )
        .route(
            "/jobs/{jobid}/jobmanager/environment",
            of_job(|_, r| json(&job_manager::environment(&r.cluster()))),
        )
        .route(
            "/jobs/{jobid}/checkpoints",
            of_job(|j, _| json(&checkpoints::checkpoints(checkpoint_facts(j)?))),
        )
        .route("/jobs/{jobid}/checkpoints/config", of_job(configuration_of_checkpoints))
        .route(
            "/jobs/{jobid}/checkpoints/details/{checkpointid}",
            of_job(|j, r| json(&checkpoints::details(checkpoint(j, r)?))),
        )
        .route(
            "/jobs/{jobid}/checkpoints/details/{checkpointid}/subtasks/{vertexid}",
            of_job(checkpoint_of_vertex),
        )
}

fn jobs_metrics(request: &RestRequest) -> Answer {
    let (cluster, now_ms) = (request.cluster(), request.now_ms());
    let wanted = request.query_ids("jobs")?;
    let chosen = cluster.jobs.iter().filter(|job| wanted.is_empty() || wanted.contains(&job.id));
    let of_each: Vec<Metrics> = chosen.map(|job| job_metrics(job, now_ms)).collect();
    aggregated(request, &of_each)
}

fn job_exceptions(job: &JobFacts, request: &RestRequest) -> Answer {
    const MAX: &str = "maxExceptions";
    let max = request.query_value(MAX).map_or(Ok(exceptions::DEFAULT_MAX), |text| {
        text.parse().map_err(|_| bad_parameter("query", MAX, text))
    })?;
    let label = |text| {
        let parts = str::split_once(text, ':');
        parts.ok_or_else(|| bad_parameter("query", "failureLabelFilter", text))
    };
    let filters = request.query_list("failureLabelFilter");
    let labels = filters.into_iter().map(label).collect::<Result<Vec<_>, _>>()?;
    json(&exceptions::exceptions(job, max, &labels))
}

fn job_accumulators(job: &JobFacts, request: &RestRequest) -> Answer {
    let serialized = request.query_value("includeSerializedValue") == Some("true");
    if serialized && !job.accumulators.is_empty() {
        return Err(RestError::NotImplemented(
            "This runtime has no Java-serialised values: ask without includeSerializedValue and \
             read user-task-accumulators.",
        ));
    }
    json(&jobs::job_accumulators(job))
}

fn checkpoint_facts(job: &JobFacts) -> Result<&CheckpointFacts, RestError> {
    let facts = job.checkpoints.as_ref();
    facts.ok_or_else(|| RestError::NotFound("Checkpointing has not been enabled.".to_owned()))
}

fn configuration_of_checkpoints(job: &JobFacts, _: &RestRequest) -> Answer {
    let facts = job.checkpoints.as_ref().ok_or_else(|| {
        RestError::NotFound(format!("Checkpointing is not enabled for this job ({}).", job.id))
    })?;
    json(&checkpoint_configuration::configuration(&facts.configuration))
}

fn checkpoint<'a>(
    job: &'a JobFacts,
    request: &RestRequest,
) -> Result<&'a CheckpointStatistics, RestError> {
    let id = request.number("checkpointid")?;
    checkpoint_facts(job)?.find(id).ok_or_else(|| {
        RestError::NotFound(format!("Could not find checkpointing statistics for checkpoint {id}."))
    })
}

fn checkpoint_of_vertex(job: &JobFacts, request: &RestRequest) -> Answer {
    let checkpoint = checkpoint(job, request)?;
    let vertex = request.hex_id("vertexid")?;
    let task = checkpoint.tasks.iter().find(|task| task.vertex_id == vertex).ok_or_else(|| {
        RestError::NotFound(format!("There is no checkpoint statistics for task {vertex}."))
    })?;
    json(&checkpoint_tasks::task_details(checkpoint, task))
}
