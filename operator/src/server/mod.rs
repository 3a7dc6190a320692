//! The operator's own HTTP: `/metrics`, `/healthz` (it works through its queue), `/readyz` (it has
//! read all resources once).

mod probe;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Encoder, Histogram, HistogramOpts, IntCounterVec, Opts, Registry, TextEncoder};
use tokio::net::TcpListener;

pub use probe::{ProbeError, probe};

/// What the operator counts of itself.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    reconciled: IntCounterVec,
    duration: Histogram,
    ready: Arc<AtomicBool>,
}

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// When two metrics have one name.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let reconciled = IntCounterVec::new(
            Opts::new("thalweg_operator_reconciliations_total", "Reconciliations, by outcome"),
            &["outcome"],
        )?;
        let duration = Histogram::with_opts(HistogramOpts::new(
            "thalweg_operator_reconciliation_seconds",
            "How long a reconciliation took",
        ))?;
        registry.register(Box::new(reconciled.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Metrics { registry, reconciled, duration, ready: Arc::default() })
    }

    /// A reconciliation has ended.
    pub fn reconciled(&self, ok: bool, took: Duration) {
        let outcome = if ok { "success" } else { "error" };
        self.reconciled.with_label_values(&[outcome]).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// All resources have been read once.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }
}

/// Answers until the process ends.
///
/// # Errors
/// When the connection can't be accepted any more.
pub async fn serve(listener: TcpListener, metrics: Metrics) -> std::io::Result<()> {
    axum::serve(listener, router(metrics)).await
}

fn router(metrics: Metrics) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(metrics)
}

async fn ready(State(metrics): State<Metrics>) -> Response {
    if metrics.ready.load(Ordering::Relaxed) {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "the resources haven't been read yet\n").into_response()
}

async fn show(State(metrics): State<Metrics>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&metrics.registry.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::{Metrics, probe, serve};

    #[tokio::test]
    async fn a_probe_succeeds_when_the_operator_is_ready_and_says_why_when_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let metrics = Metrics::new().expect("metrics");
        let server = tokio::spawn(serve(listener, metrics.clone()));
        let ask = move |path: &'static str| async move {
            let asked =
                tokio::task::spawn_blocking(move || probe(&format!("http://{address}/{path}")));
            asked.await.expect("it ends").map_err(|error| error.to_string())
        };
        let refused = ask("readyz").await.expect_err("not ready");
        assert!(refused.contains("answered 503: the resources haven't been read"), "{refused}");
        metrics.set_ready();
        assert_eq!(ask("readyz").await, Ok("ok\n".to_owned()));
        assert_eq!(ask("healthz").await, Ok("ok\n".to_owned()));
        server.abort();
        let _ = server.await;
        let refused = ask("healthz").await.expect_err("nobody there");
        assert!(refused.contains("gave no answer"), "{refused}");
    }
}
