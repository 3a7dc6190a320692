//! What users set going, and how it goes: savepoints, stops, checkpoints, and disposal.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::post;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thalweg_core::ids::TriggerId;

use super::answer::{Answer, Gateway, Params, Routes, json, of_job, read, request, respond};
use crate::endpoint::{CheckpointCommand, CommandKind};
use crate::rest::error::RestError;
use crate::rest::handlers::operations::{Triggered, disposal_status, status};
use crate::rest::model::{JobFacts, OperationOutcome};
use crate::rest::request::RestRequest;

pub(super) fn routes() -> Routes {
    let savepoints = of_job(|job, request| outcome(job, request, true));
    let checkpoints = of_job(|job, request| outcome(job, request, false));
    Router::new()
        .route("/jobs/{jobid}/savepoints", post(savepoint))
        .route("/jobs/{jobid}/savepoints/{triggerid}", savepoints)
        .route("/jobs/{jobid}/stop", post(stop))
        .route("/jobs/{jobid}/checkpoints", post(checkpoint))
        .route("/jobs/{jobid}/checkpoints/{triggerid}", checkpoints)
        .route("/savepoint-disposal", post(dispose))
        .route("/savepoint-disposal/{triggerid}", read(disposal))
}

/// The formats that Flink has for savepoints. There is one here, so either name means it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum SavepointFormat {
    #[default]
    Canonical,
    Native,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SavepointBody {
    #[serde(rename = "target-directory")]
    target_directory: Option<String>,
    #[serde(rename = "cancel-job")]
    cancel_job: bool,
    #[serde(rename = "formatType")]
    format: Option<SavepointFormat>,
    #[serde(rename = "triggerId")]
    trigger_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StopBody {
    target_directory: Option<String>,
    drain: bool,
    #[serde(rename = "formatType")]
    format: Option<SavepointFormat>,
    trigger_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DisposalBody {
    #[serde(rename = "savepoint-path")]
    path: Option<String>,
    #[serde(rename = "triggerId")]
    trigger_id: Option<String>,
}

/// Which checkpoint; ours are what is configured unless a full one is asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum CheckpointType {
    #[default]
    Configured,
    Full,
    Incremental,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CheckpointBody {
    checkpoint_type: Option<CheckpointType>,
    trigger_id: Option<String>,
}

async fn savepoint(
    State(gateway): State<Gateway>,
    params: Params,
    uri: Uri,
    bytes: Bytes,
) -> Response {
    let asked = body::<SavepointBody>(&bytes).and_then(|body| {
        // There is only one format.
        let _: Option<SavepointFormat> = body.format;
        let (target, cancel) = (body.target_directory, body.cancel_job);
        let kind = CommandKind::Savepoint { target, cancel };
        Ok(CheckpointCommand { trigger: trigger(body.trigger_id.as_deref())?, kind })
    });
    accept(gateway, params, &uri, asked).await
}

async fn stop(State(gateway): State<Gateway>, params: Params, uri: Uri, bytes: Bytes) -> Response {
    let asked = body::<StopBody>(&bytes).and_then(|body| {
        // There is only one format.
        let _: Option<SavepointFormat> = body.format;
        let kind = CommandKind::Stop { target: body.target_directory, drain: body.drain };
        Ok(CheckpointCommand { trigger: trigger(body.trigger_id.as_deref())?, kind })
    });
    accept(gateway, params, &uri, asked).await
}

async fn checkpoint(
    State(gateway): State<Gateway>,
    params: Params,
    uri: Uri,
    bytes: Bytes,
) -> Response {
    let asked = body::<CheckpointBody>(&bytes).and_then(|body| {
        let full = body.checkpoint_type == Some(CheckpointType::Full);
        let kind = CommandKind::Checkpoint { full };
        Ok(CheckpointCommand { trigger: trigger(body.trigger_id.as_deref())?, kind })
    });
    accept(gateway, params, &uri, asked).await
}

async fn dispose(State(gateway): State<Gateway>, bytes: Bytes) -> Response {
    let accepted = async {
        let body = body::<DisposalBody>(&bytes)?;
        let path = body.path.filter(|path| !path.is_empty()).ok_or_else(|| {
            RestError::BadRequest("Field savepoint-path must not be omitted or be null.".to_owned())
        })?;
        let trigger = trigger(body.trigger_id.as_deref())?;
        json(&Triggered::of(gateway.dispose(path, trigger).await?))
    };
    respond(StatusCode::ACCEPTED, accepted.await)
}

/// How the deletion of a savepoint goes.
fn disposal(request: &RestRequest) -> Answer {
    let id = request.hex_id("triggerid")?;
    let outcome = id.parse().ok().and_then(|trigger| request.gateway.disposal(trigger));
    let unknown = || RestError::NotFound(format!("There is no operation with triggerId={id}."));
    json(&disposal_status(&outcome.ok_or_else(unknown)?))
}

async fn accept(
    gateway: Gateway,
    params: Params,
    uri: &Uri,
    asked: Result<CheckpointCommand, RestError>,
) -> Response {
    let accepted = async {
        let request = request(gateway, params, uri)?;
        let job_id = request.job_id()?;
        let trigger = request.gateway.checkpoint(&job_id, asked?).await?;
        json(&Triggered::of(trigger))
    };
    respond(StatusCode::ACCEPTED, accepted.await)
}

/// A body; without one all its members have their defaults.
fn body<T: DeserializeOwned + Default>(bytes: &Bytes) -> Result<T, RestError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    let refused = |error: serde_json::Error| {
        RestError::BadRequest(format!("Request did not match expected format: {error}"))
    };
    serde_json::from_slice(bytes).map_err(refused)
}

fn trigger(text: Option<&str>) -> Result<Option<TriggerId>, RestError> {
    let parse = |text: &str| {
        text.parse().map_err(|error| RestError::BadRequest(format!("triggerId: {error}")))
    };
    text.map(parse).transpose()
}

/// How an operation of a job goes.
fn outcome(job: &JobFacts, request: &RestRequest, savepoint: bool) -> Answer {
    let id = request.hex_id("triggerid")?;
    let trigger: Option<TriggerId> = id.parse().ok();
    let known = |o: &&crate::rest::model::OperationFacts| {
        Some(o.trigger) == trigger && o.is_savepoint == savepoint
    };
    let operation = job.operations.iter().find(known).ok_or_else(|| {
        RestError::NotFound(format!(
            "There is no operation with triggerId={id} for job {}.",
            job.id
        ))
    })?;
    let answer = json(&status(operation));
    if operation.outcome != OperationOutcome::InProgress {
        request.gateway.outcome_read(operation.trigger);
    }
    answer
}
