//! A candidate's turn by its application's Lease, at the API server. Not here: what is decided
//! (`elector`), and the claim in the store that follows.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use thalweg_core::Clock;
use thalweg_jobmanager::high_availability::{HintDecision, LeaderHint, Turn, TurnFuture};
use tokio::sync::watch;

use super::{
    Candidate, CandidateDecision, HolderPod, LeaderDecision, LeaseElector, LeaseRecord, LeaseTimes,
    PREPARING_ANNOTATION, REVISION_ANNOTATION,
};
use crate::api::{Outcome, asked};
use crate::task_manager_pods::PodPhase;

/// By a Lease.
pub struct LeaseTurn {
    leases: Api<Lease>,
    pods: Api<Pod>,
    name: String,
    times: LeaseTimes,
    elector: LeaseElector,
    clock: Arc<dyn Clock>,
    /// The Lease as it was written last.
    held: Option<Lease>,
    /// Told whether this candidate is to get ready.
    preparing: watch::Sender<bool>,
    /// What was waited for last: it is logged once.
    waits_for: String,
    warned: bool,
}

impl Debug for LeaseTurn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LeaseTurn({} of {})", self.elector.candidate().identity, self.name)
    }
}

impl LeaseTurn {
    /// That of a candidate for the Lease `name` in `namespace`.
    pub fn new(
        client: &Client,
        (namespace, name): (&str, String),
        candidate: Candidate,
        times: LeaseTimes,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            leases: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client.clone(), namespace),
            name,
            times,
            elector: LeaseElector::new(candidate, times),
            clock,
            held: None,
            preparing: watch::Sender::new(false),
            waits_for: String::new(),
            warned: false,
        }
    }

    /// Tells whether the candidate is to get ready while another revision's JobManager leads.
    pub fn preparation(&self) -> watch::Receiver<bool> {
        self.preparing.subscribe()
    }

    async fn wait(&mut self, now: Duration) -> HintDecision {
        let again = HintDecision::LookAgainAfter(self.times.retry_period);
        let lease = match asked(self.leases.get_opt(&self.name)).await {
            Outcome::Done(lease) => lease,
            Outcome::Conflict | Outcome::NotFound => None,
            Outcome::Failed(error) => {
                tracing::warn!("the Lease {} can't be read, it is tried again: {error}", self.name);
                return again;
            }
        };
        let record = lease.as_ref().map(record);
        let own = &self.elector.candidate().revision;
        let holder = match record.as_ref().filter(|record| record.admits(own)) {
            Some(record) => self.holder(record).await,
            None => HolderPod::Alive,
        };
        let decision = self.elector.wait(record, holder, now);
        self.preparing.send_if_modified(|told| {
            let before = std::mem::replace(told, self.elector.prepares());
            before != *told
        });
        match decision {
            CandidateDecision::LookAgainAfter(pause, why) => {
                if why != self.waits_for {
                    tracing::info!("standing by: {why}");
                    self.waits_for = why;
                }
                HintDecision::LookAgainAfter(pause)
            }
            CandidateDecision::Take(_) => {
                let Some(lease) = lease else { return again };
                if self.pod(&self.elector.candidate().identity).await == HolderPod::Gone {
                    // It missed the signal, or the time in which that comes: it would soon be
                    // killed, and its job restart once more.
                    tracing::info!("standing by: this pod is ending");
                    return again;
                }
                if self.write(lease, self.clock.elapsed()).await {
                    return HintDecision::Claim;
                }
                // Somebody was quicker, or nobody knows: the next look tells.
                HintDecision::LookAgainAfter(self.times.retry_period / 10)
            }
        }
    }

    /// Whether the pod that holds the Lease is still that pod, and stays.
    async fn holder(&self, lease: &LeaseRecord) -> HolderPod {
        match lease.held_by() {
            Some(held) => self.pod(held).await,
            None => HolderPod::Alive,
        }
    }

    /// Whether a candidate's pod is still there, and stays.
    async fn pod(&self, identity: &str) -> HolderPod {
        // A name has no underscore.
        let Some((name, uid)) = identity.rsplit_once('_') else { return HolderPod::Alive };
        match asked(self.pods.get_opt(name)).await {
            Outcome::Done(Some(pod)) => {
                let same = pod.metadata.uid.as_deref() == Some(uid);
                let going = pod.metadata.deletion_timestamp.is_some();
                let ended = crate::task_manager_pods::facts_of(&pod)
                    .is_some_and(|facts| PodPhase::has_ended(facts.phase));
                if same && !going && !ended { HolderPod::Alive } else { HolderPod::Gone }
            }
            Outcome::Done(None) | Outcome::NotFound => HolderPod::Gone,
            Outcome::Conflict | Outcome::Failed(_) => HolderPod::Alive,
        }
    }

    /// Writes this candidate into the Lease as it was read; tells whether that is certain.
    async fn write(&mut self, mut lease: Lease, now: Duration) -> bool {
        let identity = self.elector.candidate().identity.clone();
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(identity.as_str()) {
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default() + 1);
            spec.acquire_time = Some(MicroTime(Timestamp::now()));
        }
        spec.holder_identity = Some(identity);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        spec.lease_duration_seconds = i32::try_from(self.times.duration.as_secs()).ok();
        self.held = None;
        match asked(self.leases.replace(&self.name, &PostParams::default(), &lease)).await {
            Outcome::Done(written) => {
                self.held = Some(written);
                self.elector.taken(now);
                self.warned = false;
                true
            }
            Outcome::Conflict | Outcome::NotFound => false,
            Outcome::Failed(error) => {
                tracing::debug!("the Lease {} can't be written: {error}", self.name);
                false
            }
        }
    }

    /// Renews the Lease as it was written last; reads it when somebody has changed it.
    async fn renew(&mut self, now: Duration) -> Option<String> {
        if let Some(lease) = self.held.take()
            && self.write(lease, now).await
        {
            return None;
        }
        let lease = match asked(self.leases.get_opt(&self.name)).await {
            Outcome::Done(lease) => lease,
            Outcome::Conflict | Outcome::NotFound => None,
            Outcome::Failed(error) => {
                self.warn_if_overdue(&error, now);
                return None;
            }
        };
        match self.elector.keep(lease.as_ref().map(record))? {
            LeaderDecision::Lost(why) => Some(why),
            LeaderDecision::Renew(_) => {
                if let Some(lease) = lease {
                    self.write(lease, now).await;
                }
                None
            }
        }
    }

    fn warn_if_overdue(&mut self, error: &str, now: Duration) {
        if let Some(silent) = self.elector.overdue(now).filter(|_| !self.warned) {
            self.warned = true;
            tracing::warn!(
                "the Lease {} wasn't renewed for {silent:?}, the job goes on meanwhile: {error}",
                self.name
            );
        }
    }

    async fn give_up(&mut self) {
        let Some(mut lease) = self.held.take() else { return };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        let written = asked(self.leases.replace(&self.name, &PostParams::default(), &lease)).await;
        if let Outcome::Failed(error) = written {
            tracing::info!("the Lease {} isn't given up, it runs out: {error}", self.name);
        }
    }
}

fn record(lease: &Lease) -> LeaseRecord {
    let spec = lease.spec.as_ref();
    let annotations = lease.metadata.annotations.as_ref();
    LeaseRecord {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        revision: annotations.and_then(|all| all.get(REVISION_ANNOTATION)).cloned(),
        preparing: annotations.and_then(|all| all.get(PREPARING_ANNOTATION)).cloned(),
    }
}

impl Turn for LeaseTurn {
    fn look(&mut self, _: Option<LeaderHint>, now: Duration) -> TurnFuture<'_, HintDecision> {
        Box::pin(self.wait(now))
    }

    fn keep(&mut self, now: Duration) -> TurnFuture<'_, Option<String>> {
        Box::pin(self.renew(now))
    }

    fn release(&mut self) -> TurnFuture<'_, ()> {
        Box::pin(self.give_up())
    }

    fn needs_hints(&self) -> bool {
        false
    }
}
