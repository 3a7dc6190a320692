//! The operator's own HTTP: `/metrics`, `/healthz`, `/readyz`.
//!
//! It is healthy while its loop turns and nothing that it has begun hangs; it is ready when it has
//! read everything that it watches once, whether it leads or stands by.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Encoder, TextEncoder};
use thalweg_core::clock::Clock;
use tokio::net::TcpListener;

mod health;
mod metrics;
mod probe;
mod requests;
#[cfg(test)]
mod tests;

pub use health::Health;
pub use metrics::Metrics;
pub use probe::{ProbeError, probe};
pub use requests::{CountRequests, CountedRequests};

/// What is served from.
#[derive(Clone)]
struct Served {
    metrics: Metrics,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
}

/// Answers until the process ends.
///
/// # Errors
/// When connections can't be accepted any more.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
) -> std::io::Result<()> {
    axum::serve(listener, router(Served { metrics, health, clock })).await
}

fn router(served: Served) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .with_state(served)
}

async fn healthy(State(served): State<Served>) -> Response {
    answer(served.health.trouble(served.clock.elapsed()))
}

async fn ready(State(served): State<Served>) -> Response {
    answer(served.health.unread())
}

fn answer(trouble: Option<String>) -> Response {
    match trouble {
        None => "ok\n".into_response(),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")).into_response(),
    }
}

async fn show(State(served): State<Served>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&served.metrics.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
