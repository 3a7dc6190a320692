//! Election in a store: a log of claims for the cluster says who leads, and a hint (`hint`) that
//! the leader writes says where. Not here: when a candidate stops waiting: its `turn` decides.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::Clock;
use thalweg_core::ids::{JobId, cluster_log_id};
use thalweg_rpc::{LeaderAddress, LeaderView};
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::log::{ClaimOutcome, Leader, Log, LogError, LogErrorKind, WriterId};
use thalweg_storage::{BlobStore, layout, sealed};
use tokio::sync::watch;

use super::hint::{FORMAT_VERSION, HintDecision, HintWatch, LeaderHint};
use super::{
    Campaign, ElectionError, HighAvailabilityError, HintTurn, LeaderElection, Leadership, Loss,
    Turn,
};
use crate::rest::KnownLeader;

/// The hint of a cluster, if there is one.
///
/// # Errors
/// The store fails, or what is there isn't one.
pub async fn read_hint(
    store: &dyn BlobStore,
    cluster_id: &str,
) -> Result<Option<LeaderHint>, HighAvailabilityError> {
    read_hint_of(store, cluster_log_id(cluster_id)).await
}

/// The same, by the cluster's log.
///
/// # Errors
/// As [`read_hint`].
pub async fn read_hint_of(
    store: &dyn BlobStore,
    cluster: JobId,
) -> Result<Option<LeaderHint>, HighAvailabilityError> {
    let path = layout::leader(cluster)?;
    match store.get(&path).await {
        Ok(bytes) => Ok(Some(sealed::from_bytes(&bytes, FORMAT_VERSION, path.as_str())?)),
        Err(error) if error.kind == BlobErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A candidate, then a leader.
pub struct StoreElection {
    store: Arc<dyn BlobStore>,
    cluster_id: String,
    /// Where TaskManagers find this process.
    address: String,
    /// Where REST is found at this process; empty if it serves none.
    rest_address: String,
    /// Tells whom this one sees leading.
    seen: watch::Sender<Option<KnownLeader>>,
    /// The same for those who ask at `address`, and while it leads itself.
    view: LeaderView,
    /// The machine's name.
    machine: String,
    /// What it runs; empty where there are no revisions.
    revision: String,
    writer: WriterId,
    turn: Box<dyn Turn>,
    period: Duration,
    clock: Arc<dyn Clock>,
    leader: Option<Leader>,
    counter: u64,
    /// Whether the hint says what it should.
    shown: bool,
}

impl std::fmt::Debug for StoreElection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreElection({} at {})", self.cluster_id, self.address)
    }
}

impl StoreElection {
    /// A candidate, who listens at `address` on `machine` already. A leader that hasn't shown
    /// itself for `lease` counts as gone; the hint is looked at, or written, every `period`.
    pub fn new(
        store: Arc<dyn BlobStore>,
        cluster_id: String,
        (address, machine): (String, String),
        writer: WriterId,
        (lease, period): (Duration, Duration),
        clock: Arc<dyn Clock>,
    ) -> Self {
        let watch = HintWatch::new((&address, &machine), lease, period);
        Self {
            store,
            cluster_id,
            address,
            rest_address: String::new(),
            seen: watch::Sender::new(None),
            view: LeaderView::default(),
            machine,
            revision: String::new(),
            writer,
            turn: Box::new(HintTurn::new(watch)),
            period,
            clock,
            leader: None,
            counter: 0,
            shown: false,
        }
    }

    /// Something else than the hint says whose turn it is.
    pub fn by_turn(mut self, turn: Box<dyn Turn>) -> Self {
        self.turn = turn;
        self
    }

    /// It runs this revision of the application; TaskManagers of others don't follow it.
    pub fn of_revision(mut self, revision: String) -> Self {
        self.revision = revision;
        self
    }

    /// REST is found at this host and port of this process, and wants to know who leads.
    pub fn serves_rest(
        mut self,
        rest_address: String,
        seen: watch::Sender<Option<KnownLeader>>,
    ) -> Self {
        (self.rest_address, self.seen) = (rest_address, seen);
        self
    }

    /// Who asks at this process's address is told whom this one sees leading.
    pub fn answers_with(mut self, view: LeaderView) -> Self {
        self.view = view;
        self
    }

    fn see(&self, hint: Option<&LeaderHint>) {
        // Its own address is that of its place's former process.
        let leads = |hint: &&LeaderHint| !hint.released && hint.address != self.address;
        let leader = hint.filter(leads);
        self.view.sees(leader.map(|hint| LeaderAddress {
            address: hint.address.clone(),
            epoch: hint.epoch,
            revision: hint.revision.clone(),
        }));
        let leads = |hint: &&LeaderHint| !hint.released && !hint.rest_address.is_empty();
        // Its own is that of its place's former process.
        let other = |hint: &&LeaderHint| hint.rest_address != self.rest_address;
        let known = hint
            .filter(leads)
            .filter(other)
            .map(|hint| KnownLeader { rest_address: hint.rest_address.clone(), epoch: hint.epoch });
        self.seen.send_replace(known);
    }

    async fn wait_for_turn(&mut self) {
        let mut told = false;
        loop {
            let hint = match read_hint(self.store.as_ref(), &self.cluster_id).await {
                Ok(hint) => hint,
                // One that can't be read is waited for like one that doesn't change.
                Err(HighAvailabilityError::Sealed(error)) => {
                    tracing::warn!("the leader hint can't be read: {error}");
                    Some(LeaderHint::default())
                }
                Err(error) => {
                    tracing::warn!("the leader hint can't be read, it is tried again: {error}");
                    tokio::time::sleep(self.period).await;
                    continue;
                }
            };
            self.see(hint.as_ref());
            let leader = hint.as_ref().map(|hint| hint.address.clone()).unwrap_or_default();
            match self.turn.look(hint, self.clock.elapsed()).await {
                HintDecision::Claim => return,
                HintDecision::LookAgainAfter(pause) => {
                    if self.turn.needs_hints() && !std::mem::replace(&mut told, true) {
                        tracing::info!("standing by: the JobManager at {leader} leads");
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn claim(&mut self) -> Result<Leadership, ElectionError> {
        loop {
            self.wait_for_turn().await;
            let log = Log::new(Arc::clone(&self.store), cluster_log_id(&self.cluster_id));
            match Leader::claim(log, self.writer, &self.address).await {
                Ok(ClaimOutcome::Leads(leader)) => {
                    let epoch = leader.leadership().epoch();
                    self.leader = Some(*leader);
                    let (address, revision) = (self.address.clone(), self.revision.clone());
                    self.view.leads(LeaderAddress { address, epoch, revision });
                    self.show(false).await;
                    tracing::info!(epoch = epoch.0, "this JobManager leads");
                    return Ok(Leadership { epoch });
                }
                Ok(ClaimOutcome::Finished(entry)) => {
                    let place = entry.header.position;
                    let reason = format!("the cluster's log has ended at {place}; it never should");
                    return Err(ElectionError(reason));
                }
                Err(error) if error.kind() == LogErrorKind::Retry => {
                    tracing::warn!("leadership can't be claimed, it is tried again: {error}");
                    tokio::time::sleep(self.period).await;
                }
                Err(error) => return Err(ElectionError(error.to_string())),
            }
        }
    }

    /// Writes the hint. What fails is written again in a while.
    async fn show(&mut self, released: bool) {
        let Some(leader) = &self.leader else { return };
        self.counter += 1;
        let hint = LeaderHint {
            cluster_id: self.cluster_id.clone(),
            address: self.address.clone(),
            rest_address: self.rest_address.clone(),
            machine: self.machine.clone(),
            epoch: leader.leadership().epoch(),
            counter: self.counter,
            released,
            revision: self.revision.clone(),
        };
        let written = async {
            let path = layout::leader(cluster_log_id(&self.cluster_id))?;
            let bytes = sealed::to_bytes(&hint, hint.format_version(), path.as_str())?;
            self.store.put(&path, bytes).await?;
            Ok::<_, HighAvailabilityError>(())
        };
        let written = written.await;
        self.shown = written.is_ok();
        if let Err(error) = written {
            tracing::warn!("the leader hint can't be written, it is tried again: {error}");
        }
    }

    /// Looks whether this process still leads. That it can't be seen changes nothing: it is
    /// checked at each publish, commit and deletion anyway.
    async fn fenced(&mut self) -> Option<String> {
        match self.leader.as_mut()?.check().await {
            Err(error @ LogError::Refused(_)) => Some(error.to_string()),
            Err(error) => {
                tracing::warn!("the cluster's log can't be read, it is tried again: {error}");
                None
            }
            Ok(()) => None,
        }
    }
}

impl LeaderElection for StoreElection {
    fn campaign(&mut self) -> Campaign<'_> {
        Box::pin(self.claim())
    }

    fn hold(&mut self) -> std::pin::Pin<Box<dyn Future<Output = Loss> + Send + '_>> {
        Box::pin(async move {
            loop {
                tokio::time::sleep(self.period).await;
                let lost = match self.fenced().await {
                    Some(reason) => Some(Loss::Fenced(reason)),
                    None => self.turn.keep(self.clock.elapsed()).await.map(Loss::Turn),
                };
                if let Some(loss) = lost {
                    self.view.sees(None);
                    return loss;
                }
                if !self.shown || self.turn.needs_hints() {
                    self.show(false).await;
                }
            }
        })
    }

    fn release(&mut self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.view.sees(None);
            // Somebody else's hint isn't this one's to change.
            if self.fenced().await.is_none() {
                self.show(true).await;
                self.turn.release().await;
            }
        })
    }
}
