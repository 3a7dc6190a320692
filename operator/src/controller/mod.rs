//! The edge: it watches resources, observes what there is of one, lets `plan` decide, writes the
//! status and performs the actions.
//!
//! Status is written before the actions, so that an operator that is started again goes on where
//! this one stopped. Nothing is decided here.

mod apply;
mod certificates;
mod observe;
mod pods;
mod requests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action as Next, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use thalweg_core::clock::Clock;

use crate::build::{APPLICATION_LABEL, BuildError};
use crate::plan::{decide, report};
use crate::resource::FlinkApplication;
use crate::server::Metrics;

pub use pods::trouble;

/// A resource that may be one that this operator can't read.
type Guarded = DeserializeGuard<FlinkApplication>;

/// Under which name the operator applies fields.
pub const FIELD_MANAGER: &str = "thalweg-operator";
/// The longest and the shortest pause after a failure.
const PAUSE_SECONDS: (u64, u64) = (5, 300);

/// Why a resource couldn't be reconciled this time. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server didn't do what it was asked.
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    /// Objects couldn't be made.
    #[error("{0}")]
    Build(#[from] BuildError),
    /// Something couldn't be written as JSON.
    #[error("it can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A resource that was never stored.
    #[error("the resource has no name, namespace or uid")]
    NoIdentity,
    /// A certificate can't be made or used.
    #[error("certificates: {0}")]
    Certificates(String),
    /// The JobManager didn't do what it was asked.
    #[error("the JobManager at {target}: {reason}")]
    JobManager {
        /// Where.
        target: String,
        /// What it said.
        reason: String,
    },
}

impl From<thalweg_tls::issue::IssueError> for ReconcileError {
    fn from(error: thalweg_tls::issue::IssueError) -> Self {
        Self::Certificates(error.to_string())
    }
}

/// What reconciling needs.
pub struct Context {
    client: Client,
    renewals: certificates::Renewals,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

/// Reconciles all resources of these namespaces, or of all where none is named, until the process
/// is told to end. Ready when all of them have been read once.
pub async fn run(
    client: Client,
    namespaces: BTreeSet<String>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
) {
    let renewals = certificates::Renewals::default();
    let context = Arc::new(Context { client, renewals, clock, metrics: metrics.clone() });
    let mut scopes: Vec<Option<&str>> = namespaces.iter().map(|each| Some(each.as_str())).collect();
    if scopes.is_empty() {
        scopes.push(None);
    }
    let controllers: Vec<Controller<Guarded>> =
        scopes.into_iter().map(|namespace| controller(&context.client, namespace)).collect();
    let stores: Vec<_> = controllers.iter().map(Controller::store).collect();
    let read = async move {
        let read = stores.iter().map(|store| store.wait_until_ready());
        if join_all(read).await.iter().all(Result::is_ok) {
            metrics.set_ready();
        }
    };
    let reconciled = controllers.into_iter().map(|controller| {
        controller.run(reconcile, after_failure, Arc::clone(&context)).for_each(|outcome| async {
            if let Err(error) = outcome {
                tracing::warn!(%error, "a resource couldn't be reconciled; it is tried again");
            }
        })
    });
    futures::join!(join_all(reconciled), read);
}

/// What watches a namespace, or all, and ends with the process.
fn controller(client: &Client, namespace: Option<&str>) -> Controller<Guarded> {
    let labelled = watcher::Config::default().labels(APPLICATION_LABEL);
    let of_pod = |pod: Pod| {
        let name = pod.labels().get(APPLICATION_LABEL).cloned();
        let namespace = pod.namespace();
        name.zip(namespace).map(|(name, namespace)| ObjectRef::new(&name).within(&namespace))
    };
    Controller::new(scoped::<Guarded>(client, namespace), watcher::Config::default())
        .owns(scoped::<Deployment>(client, namespace), labelled.clone())
        .watches(scoped::<Pod>(client, namespace), labelled, of_pod)
        .shutdown_on_signal()
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

async fn reconcile(guarded: Arc<Guarded>, context: Arc<Context>) -> Result<Next, ReconcileError> {
    let begun = context.clock.elapsed();
    let outcome = reconcile_once(&guarded, &context).await;
    context.metrics.reconciled(outcome.is_ok(), context.clock.elapsed().saturating_sub(begun));
    outcome
}

async fn reconcile_once(guarded: &Guarded, context: &Context) -> Result<Next, ReconcileError> {
    let application = match &guarded.0 {
        Ok(application) => application,
        Err(invalid) => {
            // Nothing is known of it; what runs of it goes on.
            tracing::warn!(error = %invalid.error, "a resource can't be read");
            return Ok(Next::await_change());
        }
    };
    let millis = context.clock.wall_ms();
    let now = Time(Timestamp::from_millisecond(millis).unwrap_or_default());
    let facts = observe::observe(&context.client, application).await?;
    let decision = decide(&facts, now.clone());
    let status = report(&facts, &decision, &now);
    apply::status(&context.client, &facts, &status).await?;
    let certificates = (&context.client, &context.renewals);
    let kept = certificates::keep(certificates, &facts, &decision.actions, &now).await;
    if let Err(ReconcileError::Certificates(problem)) = &kept {
        let event = certificates::failed(problem);
        apply::perform(&context.client, application, &facts, &event, &now).await?;
    }
    let renewal = kept?;
    for action in &decision.actions {
        apply::perform(&context.client, application, &facts, action, &now).await?;
    }
    Ok(match decision.again_at.into_iter().chain(renewal).min_by_key(|moment| moment.0) {
        Some(moment) => {
            let seconds = moment.0.as_second().saturating_sub(now.0.as_second());
            Next::requeue(Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1)))
        }
        None => Next::await_change(),
    })
}

fn after_failure(guarded: Arc<Guarded>, error: &ReconcileError, _: Arc<Context>) -> Next {
    let (shortest, longest) = PAUSE_SECONDS;
    // What a user has to mend isn't tried as often as what mends itself.
    let pause = match error {
        ReconcileError::Build(_) | ReconcileError::Json(_) | ReconcileError::NoIdentity => longest,
        ReconcileError::Api(_)
        | ReconcileError::Certificates(_)
        | ReconcileError::JobManager { .. } => shortest,
    };
    tracing::warn!(application = %guarded.name_any(), %error, pause, "not reconciled");
    Next::requeue(Duration::from_secs(pause))
}
