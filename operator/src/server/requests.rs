//! Counts the requests to the API server: a layer below the client.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::{Method, Request, Response, Uri};
use tower::{Layer, Service};

use super::Metrics;

/// The layer.
#[derive(Clone, Debug)]
pub struct CountRequests(pub Metrics);

impl<S> Layer<S> for CountRequests {
    type Service = CountedRequests<S>;

    fn layer(&self, inner: S) -> CountedRequests<S> {
        CountedRequests { inner, metrics: self.0.clone() }
    }
}

/// A service whose requests are counted.
#[derive(Clone, Debug)]
pub struct CountedRequests<S> {
    inner: S,
    metrics: Metrics,
}

type Answer<R, E> = Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>;

impl<S, B, R> Service<Request<B>> for CountedRequests<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: 'static,
    S::Error: 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<R, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, resource) = described(request.method(), request.uri());
        let metrics = self.metrics.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = match &answer {
                Ok(response) => response.status().as_str().to_owned(),
                Err(_) => "none".to_owned(),
            };
            metrics.requested(verb, &resource, &code);
            answer
        })
    }
}

/// The verb as RBAC names it, and the resource with its subresource. No names: so there are only so
/// many of each.
pub(super) fn described(method: &Method, uri: &Uri) -> (&'static str, String) {
    let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
    // api/VERSION or apis/GROUP/VERSION.
    let before = if parts.next() == Some("api") { 1 } else { 2 };
    let mut rest: Vec<&str> = parts.skip(before).collect();
    if rest.len() > 2 && rest[0] == "namespaces" {
        rest.drain(..2);
    }
    let (resource, name, subresource) = (rest.first(), rest.get(1), rest.get(2));
    let watches =
        uri.query().is_some_and(|query| query.split('&').any(|each| each == "watch=true"));
    let verb = match (method.as_str(), name) {
        _ if watches => "watch",
        ("GET", None) => "list",
        ("GET", Some(_)) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", None) => "deletecollection",
        ("DELETE", Some(_)) => "delete",
        _ => "other",
    };
    let resource = resource.copied().unwrap_or("none");
    let resource = match subresource {
        Some(subresource) => format!("{resource}/{subresource}"),
        None => resource.to_owned(),
    };
    (verb, resource)
}
