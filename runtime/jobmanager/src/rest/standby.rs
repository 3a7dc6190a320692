//! REST through the life of a JobManager that may have to stand by: until it leads it passes every
//! request on to the one that does, then it answers itself. So clients may address any JobManager,
//! also from where they reach only one of them (a Service or a port-forward of Kubernetes, where a
//! redirect would name an address of the inside). Not here: who leads, which the election tells,
//! and how a request is passed on ([`pass_on`]).

mod pass_on;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use thalweg_core::ids::Epoch;
use thalweg_tls::Tls;
use tokio::sync::watch;
use tower::ServiceExt;

use super::error::RestError;
use super::gateway::RestGateway;
use super::router::{add_headers, respond_error, router};

/// The leader as one that stands by knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLeader {
    /// Host and port of its REST.
    pub rest_address: String,
    /// Its epoch, for people.
    pub epoch: Epoch,
}

/// How long the leader may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassingTimes {
    /// To take a connection.
    pub connect: Duration,
    /// To begin its answer. A command may take [`RestGateway::cancel`]'s 60 s.
    pub answer: Duration,
}

impl Default for PassingTimes {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(70) }
    }
}

/// What REST answers with. Clones are the same one.
#[derive(Debug, Clone)]
pub struct StandbyRest {
    own_address: Arc<str>,
    leader: watch::Receiver<Option<KnownLeader>>,
    times: PassingTimes,
    /// How the leader is reached; None: in plain text.
    tls: Option<Tls>,
    /// Set once this JobManager leads; it never stands by again, it ends.
    leads: Arc<watch::Sender<Option<Router>>>,
}

impl StandbyRest {
    /// Of a JobManager whose REST has this host and port. `leader` is whom its election sees.
    pub fn new(
        own_address: &str,
        leader: watch::Receiver<Option<KnownLeader>>,
        times: PassingTimes,
    ) -> Self {
        let leads = Arc::new(watch::Sender::new(None));
        Self { own_address: own_address.into(), leader, times, tls: None, leads }
    }

    /// Passes requests on by mutual TLS, where there is `tls`.
    #[must_use]
    pub fn secured(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// This JobManager leads: it answers itself from now on.
    pub fn lead(&self, gateway: Arc<dyn RestGateway>) {
        self.leads.send_replace(Some(router(gateway)));
    }

    /// Waits until somebody else than `leader` leads, perhaps this JobManager.
    async fn another_leads(&self, leader: Option<&KnownLeader>) {
        let (mut known, mut own) = (self.leader.clone(), self.leads.subscribe());
        // False where nobody tells any more: it leads, or there is no election.
        let other = async {
            let changed = known.wait_for(|now| now.is_some() && now.as_ref() != leader).await;
            changed.is_ok()
        };
        let itself = async { own.wait_for(Option::is_some).await.is_ok() };
        tokio::select! {
            true = other => {}
            true = itself => {}
            else => std::future::pending().await,
        }
    }

    /// All paths; and `/healthz`, at which this process answers for itself and for nobody else: a
    /// probe that was passed on would blame it for the leader's silence.
    pub(super) fn router(&self) -> Router {
        let health = get(|| async { "ok\n" });
        Router::new().route("/healthz", health).fallback(answer).with_state(self.clone())
    }
}

async fn answer(State(rest): State<StandbyRest>, request: Request) -> Response {
    let own = rest.leads.borrow().clone();
    if let Some(router) = own {
        return match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
    }
    let leader = rest.leader.borrow().clone();
    let how = (rest.times, rest.tls.as_ref());
    let passed_on = pass_on::pass_on(request, &rest.own_address, leader.clone(), how);
    let answered = tokio::select! {
        biased;
        answered = passed_on => answered,
        () = rest.another_leads(leader.as_ref()) => Err(superseded(leader.as_ref())),
    };
    answered.unwrap_or_else(|error| add_headers(respond_error(error)))
}

/// A request waited for the answer of one who doesn't lead any more, and who may stand still.
fn superseded(leader: Option<&KnownLeader>) -> RestError {
    let address = leader.map(|leader| leader.rest_address.as_str()).unwrap_or_default();
    RestError::NotLeading(format!(
        "Another JobManager has taken over from the one at {address} before that one answered. A \
         command may have been carried out; look, or repeat it under the same triggerId."
    ))
}
