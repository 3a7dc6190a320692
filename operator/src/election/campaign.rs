//! The election at the API server. Not here: what is decided (`elector`).

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, Client};
use thalweg_core::clock::Clock;
use tokio::sync::watch;

use super::{Elector, LEASE, LeaseRecord, LeaseTimes, Looked, Step};

/// How long the API server has for an answer at most.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an operator ends that has led.
#[derive(Debug, thiserror::Error)]
pub enum ElectionError {
    /// It must not go on; its pod's next process stands by.
    #[error("this operator ({identity}) doesn't lead any more and ends: {why}")]
    Lost {
        /// Who it was.
        identity: String,
        /// What has happened.
        why: String,
    },
}

/// An operator that campaigns.
pub struct Campaign {
    leases: Api<Lease>,
    elector: Elector,
    times: LeaseTimes,
    clock: Arc<dyn Clock>,
    /// The Lease as it was written last.
    held: Option<Lease>,
    leading: watch::Sender<bool>,
    /// What was waited for last: it is logged once.
    waits_for: String,
}

impl std::fmt::Debug for Campaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Campaign({})", self.elector.identity())
    }
}

impl Campaign {
    /// That of `identity`, in `namespace`. `leading` is told when it leads.
    pub fn new(
        client: Client,
        namespace: &str,
        identity: String,
        clock: Arc<dyn Clock>,
        leading: watch::Sender<bool>,
    ) -> Campaign {
        let times = LeaseTimes::default();
        Campaign {
            leases: Api::namespaced(client, namespace),
            elector: Elector::new(identity, times),
            times,
            clock,
            held: None,
            leading,
            waits_for: String::new(),
        }
    }

    /// Campaigns, then leads, until that is lost.
    pub async fn run(&mut self) -> ElectionError {
        let mut changes =
            Some(Box::pin(watch_object(self.leases.clone(), LEASE).default_backoff()));
        let mut looked = self.look().await;
        loop {
            let now = self.clock.elapsed();
            let pause = match self.elector.step(looked, now) {
                Step::Create => self.write(None, now).await,
                Step::Write(_) => self.write(self.held.clone(), now).await,
                Step::LookAgainAfter(pause, why) => {
                    if why != self.waits_for {
                        tracing::info!("waiting for the Lease {LEASE}: {why}");
                        self.waits_for = why;
                    }
                    pause
                }
                Step::Lost(why) => {
                    self.leading.send_replace(false);
                    let identity = self.elector.identity().to_owned();
                    return ElectionError::Lost { identity, why };
                }
            };
            if self.elector.leads() {
                changes = None;
            }
            tokio::select! {
                () = tokio::time::sleep(self.within_deadline(pause)) => {}
                () = freed(changes.as_mut()) => {}
            }
            looked = self.look().await;
        }
    }

    /// Gives the Lease up, if this process holds it: another one takes over at once.
    pub async fn release(&mut self) {
        self.leading.send_replace(false);
        if !matches!(self.look().await, Looked::There(_)) {
            return;
        }
        let Some(mut lease) = self.held.take() else { return };
        if record(&lease).held_by() != Some(self.elector.identity()) {
            return;
        }
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        let parameters = PostParams::default();
        let replaced = self.leases.replace(LEASE, &parameters, &lease);
        match tokio::time::timeout(REQUEST_TIMEOUT, replaced).await {
            Ok(Ok(_)) => tracing::info!("the Lease {LEASE} is given up"),
            Ok(Err(error)) => tracing::warn!(%error, "the Lease {LEASE} isn't given up"),
            Err(_) => tracing::warn!("the Lease {LEASE} isn't given up: no answer"),
        }
    }

    /// Never beyond the moment at which a leader has to end.
    fn within_deadline(&self, pause: Duration) -> Duration {
        self.elector.time_left(self.clock.elapsed()).map_or(pause, |left| pause.min(left))
    }

    async fn look(&mut self) -> Looked {
        let answer_in = self.within_deadline(REQUEST_TIMEOUT);
        match tokio::time::timeout(answer_in, self.leases.get_opt(LEASE)).await {
            Ok(Ok(Some(lease))) => {
                let record = record(&lease);
                self.held = Some(lease);
                Looked::There(record)
            }
            Ok(Ok(None)) => Looked::Absent,
            Ok(Err(error)) => Looked::Unknown(error.to_string()),
            Err(_) => Looked::Unknown(format!("no answer in {answer_in:?}")),
        }
    }

    /// Writes this process into the Lease as it was read, or into a new one; when to look again.
    async fn write(&mut self, read: Option<Lease>, now: Duration) -> Duration {
        let is_new = read.is_none();
        let lease = self.with_holder(read);
        let parameters = PostParams::default();
        let answer_in = self.within_deadline(REQUEST_TIMEOUT);
        let outcome = tokio::time::timeout(answer_in, async {
            match is_new {
                true => self.leases.create(&parameters, &lease).await,
                false => self.leases.replace(LEASE, &parameters, &lease).await,
            }
        });
        match outcome.await {
            Ok(Ok(written)) => {
                if !self.elector.leads() {
                    tracing::info!("{} leads", self.elector.identity());
                }
                self.held = Some(written);
                self.waits_for.clear();
                let pause = self.elector.written(now);
                self.leading.send_replace(true);
                pause
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the Lease {LEASE} isn't written");
                self.elector.not_written()
            }
            Err(_) => self.elector.not_written(),
        }
    }

    fn with_holder(&self, read: Option<Lease>) -> Lease {
        let identity = self.elector.identity().to_owned();
        let mut lease = read.unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(LEASE.to_owned()), ..Default::default() },
            spec: None,
        });
        let now = MicroTime(Timestamp::now());
        let spec: &mut LeaseSpec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(identity.as_str()) {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |before| before + 1));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(identity);
        spec.renew_time = Some(now);
        spec.lease_duration_seconds = i32::try_from(self.times.duration.as_secs()).ok();
        lease
    }
}

/// Waits until nobody holds the Lease any more; for ever without a watch.
async fn freed(changes: Option<impl Stream<Item = Result<Option<Lease>, watcher::Error>> + Unpin>) {
    if let Some(mut changes) = changes {
        while let Some(change) = changes.next().await {
            let held = |lease: &Lease| record(lease).held_by().is_some();
            if change.is_ok_and(|lease| !lease.as_ref().is_some_and(held)) {
                return;
            }
        }
    }
    std::future::pending().await
}

fn record(lease: &Lease) -> LeaseRecord {
    LeaseRecord {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()),
    }
}
