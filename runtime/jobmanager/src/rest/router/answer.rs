//! How a handler becomes a route: the request is parsed, its job and vertex are looked up, the
//! answer or the refusal is written as JSON.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Query, RawPathParams, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde::Serialize;

use crate::rest::error::RestError;
use crate::rest::gateway::RestGateway;
use crate::rest::handlers::metrics;
use crate::rest::model::{JobFacts, Metrics, VertexFacts};
use crate::rest::request::RestRequest;

pub(super) type Gateway = Arc<dyn RestGateway>;
pub(super) type Routes = Router<Gateway>;
pub(super) type Params = Result<RawPathParams, RawPathParamsRejection>;
pub(super) type Answer = Result<Vec<u8>, RestError>;

/// A path that reads the cluster.
pub(super) fn read(answer: fn(&RestRequest) -> Answer) -> MethodRouter<Gateway> {
    serve(answer)
}

/// A path that reads one job.
pub(super) fn of_job(answer: fn(&JobFacts, &RestRequest) -> Answer) -> MethodRouter<Gateway> {
    serve(move |request| answer(&*request.job()?, request))
}

/// A path that reads one vertex.
pub(super) fn of_vertex(answer: fn(&VertexFacts, &RestRequest) -> Answer) -> MethodRouter<Gateway> {
    serve(move |request| {
        let job = request.job()?;
        answer(request.vertex(&job)?, request)
    })
}

fn serve(
    answer: impl Fn(&RestRequest) -> Answer + Clone + Send + Sync + 'static,
) -> MethodRouter<Gateway> {
    get(async move |State(gateway): State<Gateway>, params: Params, uri: Uri| {
        let answered = request(gateway, params, &uri).and_then(|request| answer(&request));
        respond(StatusCode::OK, answered)
    })
}

pub(super) fn request(
    gateway: Gateway,
    params: Params,
    uri: &Uri,
) -> Result<RestRequest, RestError> {
    let params = params.map_err(|error| RestError::BadRequest(error.body_text()))?;
    let path = params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| RestError::BadRequest(error.to_string()))?;
    Ok(RestRequest { gateway, path, query })
}

pub(super) fn json(answer: &impl Serialize) -> Answer {
    serde_json::to_vec(answer).map_err(|error| RestError::Encoding(error.to_string()))
}

pub(super) fn respond(status: StatusCode, answer: Answer) -> Response {
    let (status, bytes) = match answer {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            let errors = serde_json::json!({ "errors": [error.to_string()] });
            (error.status(), errors.to_string().into_bytes())
        }
    };
    (status, bytes).into_response()
}

/// The aggregates that a request asks for, over `components`.
pub(super) fn aggregated<'a>(
    request: &RestRequest,
    components: impl IntoIterator<Item = &'a Metrics>,
) -> Answer {
    let by = metrics::aggregations(&request.query_list("agg"))?;
    json(&metrics::aggregate(components, &request.query_list("get"), &by))
}
