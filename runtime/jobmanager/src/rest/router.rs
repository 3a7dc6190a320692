//! Paths to handlers, and what is common to all answers: the `/v1` prefix, headers, errors as
//! `{"errors": [..]}`. Not here: what the answers say (`handlers`), sockets ([`super::server`]).

mod answer;
mod cluster;
mod commands;
mod jobs;
mod operations;
mod rescale;
mod vertices;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::Response;

use self::answer::respond;
use super::error::RestError;
use super::gateway::RestGateway;

/// No request that is served needs a larger body.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// All paths, each with and without `/v1`.
pub fn router(gateway: Arc<dyn RestGateway>) -> Router {
    let routes = || {
        let of_jobs = jobs::routes().merge(operations::routes()).merge(rescale::routes());
        Router::new().merge(cluster::routes()).merge(of_jobs).merge(vertices::routes())
    };
    let all = routes().nest("/v1", routes());
    all.fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(refuse_foreign_pages))
        .layer(map_response(async |response| add_headers(response)))
        .with_state(gateway)
}

/// A refusal as every path gives it.
pub(super) fn respond_error(error: RestError) -> Response {
    respond(StatusCode::OK, Err(error))
}

async fn unknown_path(uri: Uri) -> Response {
    respond(StatusCode::OK, Err(RestError::UnknownPath { path: shown_path(&uri) }))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let path = shown_path(&uri);
    respond(StatusCode::OK, Err(RestError::MethodNotAllowed { method: method.to_string(), path }))
}

fn shown_path(uri: &Uri) -> String {
    uri.path().chars().take(256).collect()
}

/// A page of another site can make its reader's browser send requests here. It can't read the
/// answers (there is no CORS header), and it must not be able to change anything either.
async fn refuse_foreign_pages(request: Request, next: Next) -> Response {
    match foreign_origin(request.method(), request.headers()) {
        Some(origin) => respond(StatusCode::OK, Err(RestError::ForeignOrigin { origin })),
        None => next.run(request).await,
    }
}

fn foreign_origin(method: &Method, headers: &HeaderMap) -> Option<String> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let origin = String::from_utf8_lossy(headers.get(header::ORIGIN)?.as_bytes());
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host);
    (!own).then(|| origin.chars().take(256).collect())
}

pub(super) fn add_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, "application/json; charset=UTF-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
