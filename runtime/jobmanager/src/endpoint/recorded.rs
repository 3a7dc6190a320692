//! What the endpoint does for high availability: keeps the leadership, and knows which jobs have a
//! log. Not here: writing to the logs (`high_availability::job_log`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::checkpointing;
use thalweg_core::ids::JobId;
use thalweg_core::job_graph::JobGraph;
use thalweg_storage::log::Leader;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::handle::EndReason;
use super::mail::Mail;
use crate::dispatcher::PreparedJob;
use crate::high_availability::job_log::{JobLog, Reports};
use crate::high_availability::{LeaderElection, Loss, Records};

/// How long giving up the leadership may take; without it the next leader waits a little longer.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The leadership, kept by a task of its own.
#[derive(Debug)]
pub(super) struct Held {
    release: oneshot::Sender<()>,
    keeper: JoinHandle<()>,
}

/// Keeps the leadership; the mailbox is told when it is lost.
pub(super) fn hold(
    mut election: Box<dyn LeaderElection>,
    mailbox: mpsc::WeakSender<Mail>,
    runtime: &Handle,
) -> Held {
    let (release, released) = oneshot::channel();
    let keeper = runtime.spawn(async move {
        tokio::select! {
            // In this order, so that a simulation repeats itself.
            biased;
            loss = election.hold() => {
                if let Some(mailbox) = mailbox.upgrade() {
                    // The JobManager may have ended.
                    let _ = mailbox.send(Mail::LeadershipLost(loss)).await;
                }
                return;
            }
            _ = released => {}
        }
        election.release().await;
    });
    Held { release, keeper }
}

/// How many published checkpoints are kept.
pub(super) fn retained(configuration: &Configuration) -> usize {
    configuration.get(&checkpointing::NUM_RETAINED).max(1) as usize
}

/// A job that was claimed and has no log yet.
struct Claimed {
    leader: Leader,
    graph: Arc<JobGraph>,
    retained: usize,
}

/// What is recorded.
pub(super) struct Recorded {
    records: Option<Records>,
    held: Option<Held>,
    end: Arc<Mutex<Option<EndReason>>>,
    claimed: BTreeMap<JobId, Claimed>,
    logs: BTreeMap<JobId, JobLog>,
}

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recorded({} logs)", self.logs.len())
    }
}

impl Recorded {
    pub(super) fn new(
        records: Option<Records>,
        held: Held,
        end: Arc<Mutex<Option<EndReason>>>,
    ) -> Self {
        let (claimed, logs) = (BTreeMap::new(), BTreeMap::new());
        Self { records, held: Some(held), end, claimed, logs }
    }

    /// A job was claimed, and is about to be taken in.
    pub(super) fn claimed(&mut self, leader: Leader, job: &PreparedJob) {
        let graph = Arc::clone(&job.information.graph);
        let retained = retained(&job.configuration);
        self.claimed.insert(graph.job_id, Claimed { leader, graph, retained });
    }

    /// The log of a job, if it is recorded; begun if it wasn't yet.
    pub(super) fn log_of(
        &mut self,
        job: JobId,
        runtime: &Handle,
        mailbox: &mpsc::WeakSender<Mail>,
    ) -> Option<&JobLog> {
        if let (Some(claimed), Some(records)) = (self.claimed.remove(&job), &self.records) {
            let Claimed { leader, graph, retained } = claimed;
            let reports = Reports { mailbox: mailbox.clone() };
            let records = records.clone();
            let log = JobLog::start(runtime, records, leader, graph, retained, reports);
            self.logs.insert(job, log);
        }
        self.logs.get(&job)
    }

    /// Whether jobs have logs: then nothing is published or deleted but by these.
    pub(super) fn is_on(&self) -> bool {
        self.records.is_some()
    }

    /// The job's end is recorded: its log is closed, once it has been cleaned up.
    pub(super) fn forget(&mut self, job: JobId) {
        self.logs.remove(&job);
    }

    /// The JobManager ends; whoever waits for the leadership needn't wait longer.
    pub(super) async fn release(&mut self, reason: EndReason) {
        self.end.lock().get_or_insert(reason);
        let Some(Held { release, keeper }) = self.held.take() else { return };
        // It has ended already if the leadership is lost.
        let _ = release.send(());
        if tokio::time::timeout(RELEASE_TIMEOUT, keeper).await.is_err() {
            tracing::warn!("the leadership isn't released; the next leader waits for its time-out");
        }
    }

    /// Another one leads, or is to.
    pub(super) fn lost(&mut self, loss: Loss) {
        tracing::error!("this JobManager doesn't lead any more: {}", loss.reason());
        self.end.lock().get_or_insert(EndReason::LeadershipLost(loss));
        if let Some(Held { keeper, .. }) = self.held.take() {
            keeper.abort();
        }
    }
}
