//! One look at an application: what was seen of it is decided upon, and only if something is left
//! to be done is it read at once, decided upon again, and done.
//!
//! So a settled application costs no request, and nothing is changed because of what a watch has
//! shown too late. Status is written before the actions, so that an operator that is started again
//! goes on where this one stopped.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::core::error_boundary::InvalidObject;
use thalweg_core::clock::Clock;

use super::apply::{self, Performer};
use super::cache::{Items, Kind, Seen};
use super::memory::{Memory, Need};
use super::queue::Key;
use super::{ReconcileError, certificates, dry_run, observe, outstanding};
use crate::build::Identity;
use crate::plan::{Decision, Event, Facts, OperatorStatus, decide, report};
use crate::resource::FlinkApplication;

/// What reconciling needs.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
}

/// Looks at an application once; in which time again, even if nothing happens.
pub(super) async fn reconcile(
    context: &Context,
    key: &Key,
    items: &Items,
    memory: &mut Memory,
) -> Result<Option<Duration>, ReconcileError> {
    let of_resource = items.get(&(Kind::FlinkApplication, key.name.clone()));
    let Some(Seen::Application(guarded)) = of_resource.map(|item| &item.seen) else {
        return Ok(None);
    };
    let application = match &guarded.0 {
        Ok(application) => application,
        Err(invalid) => {
            unreadable(context, key, invalid, memory).await?;
            return Ok(None);
        }
    };
    memory.shown(|kind, name| outstanding::seen(items, kind, name).1);
    let look = Look::at(application, items, memory, context)?;
    memory.epoch = memory.epoch.or_else(|| look.epoch());
    match look.need(items, memory)? {
        Need::No => return Ok(look.again_in(None)),
        Need::At(at) => return Ok(look.again_in(Some(at))),
        Need::Now => {}
    }
    let Some((application, items)) = observe::read(&context.client, key, items).await? else {
        return Ok(None);
    };
    let mut look = Look::at(&application, &items, memory, context)?;
    if look.facts.needs_admission() && memory.admission(&look.facts.wanted).is_none() {
        let admission = dry_run::ask(&context.client, &look.facts, &items).await?;
        memory.admitted(look.facts.wanted.clone(), admission);
        look = Look::at(&application, &items, memory, context)?;
    }
    apply::status(&context.client, &look.facts, &look.status).await?;
    let performer = Performer {
        client: &context.client,
        application: &application,
        facts: &look.facts,
        spec: &look.decision.spec,
        items: &items,
        now: &look.now,
        elapsed: look.elapsed,
    };
    let at = (&look.facts, &look.now);
    let kept = certificates::keep(&context.client, at, &look.decision.actions, memory).await;
    if let Err(ReconcileError::Certificates(problem)) = &kept {
        performer.perform(&certificates::failed(problem), memory).await?;
    }
    kept?;
    for action in &look.decision.actions {
        performer.perform(action, memory).await?;
    }
    memory.epoch = look.epoch();
    let needs =
        outstanding::need(&look.facts, &look.decision, &items, memory, context.clock.elapsed())?;
    look.renewal = memory.renewal.clone();
    Ok(look.again_in(if let Need::At(at) = needs { Some(at) } else { None }))
}

/// What is seen at one moment, and what follows from it.
struct Look {
    now: Time,
    elapsed: Duration,
    facts: Facts,
    decision: Decision,
    status: OperatorStatus,
    /// When the certificates are to be looked at again.
    renewal: Option<Time>,
}

impl Look {
    fn at(
        application: &FlinkApplication,
        items: &Items,
        memory: &Memory,
        context: &Context,
    ) -> Result<Look, ReconcileError> {
        let elapsed = context.clock.elapsed();
        let now = now(context);
        let mut facts = observe::facts(application, items)?;
        facts.known_epoch = memory.epoch;
        facts.refused = memory.admission(&facts.wanted).and_then(|each| each.refusal().cloned());
        let decision = decide(&facts, now.clone());
        let status = report(&facts, &decision, &now);
        let renewal = memory.renewal.clone();
        Ok(Look { now, elapsed, facts, decision, status, renewal })
    }

    /// The term of the JobManager that leads.
    fn epoch(&self) -> Option<i64> {
        self.facts.status.job_manager.as_ref().map(|leading| leading.epoch)
    }

    fn need(&self, items: &Items, memory: &Memory) -> Result<Need, ReconcileError> {
        let certificates = certificates::are_due(&self.facts, memory, &self.now);
        if certificates || outstanding::is_news(&self.facts, &self.status)? {
            return Ok(Need::Now);
        }
        outstanding::need(&self.facts, &self.decision, items, memory, self.elapsed)
    }

    /// The earliest of what was decided, the certificates' renewal, and this moment of the
    /// process's own clock.
    fn again_in(&self, at: Option<Duration>) -> Option<Duration> {
        let renewal = self.renewal.iter().filter(|_| self.facts.deleting_since.is_none());
        let decided = self.decision.again_at.iter().chain(renewal).min_by_key(|moment| moment.0);
        let decided = decided.map(|moment| {
            let seconds = moment.0.as_second().saturating_sub(self.now.0.as_second());
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
        });
        let at = at.map(|at| at.saturating_sub(self.elapsed).max(Duration::from_secs(1)));
        [decided, at].into_iter().flatten().min()
    }
}

fn now(context: &Context) -> Time {
    Time(Timestamp::from_millisecond(context.clock.wall_ms()).unwrap_or_default())
}

/// A resource that this operator can't read, as an older or newer definition let it through.
/// Nothing is known of it; what runs of it goes on.
async fn unreadable(
    context: &Context,
    key: &Key,
    invalid: &InvalidObject,
    memory: &mut Memory,
) -> Result<(), ReconcileError> {
    let metadata = &invalid.metadata;
    let identity = Identity {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: metadata.uid.clone().ok_or(ReconcileError::NoIdentity)?,
    };
    let event = Event {
        reason: "ValidationError",
        warning: true,
        message: format!(
            "this operator can't read the resource, what runs of it goes on: {}. Install the \
             CustomResourceDefinition of the operator's version, and correct the resource",
            invalid.error
        ),
        key: format!("unreadable {}", metadata.generation.unwrap_or(0)),
    };
    let name = event.name(&identity);
    if !memory.is_published(&name) {
        tracing::warn!(application = ?key, error = %invalid.error, "a resource can't be read");
        apply::publish(&context.client, &identity, &event, &now(context)).await?;
        memory.published(name);
    }
    Ok(())
}
