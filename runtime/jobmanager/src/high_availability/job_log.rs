//! The one place that appends to a job's log: a task that owns the job's [`Leader`] and does one
//! thing after the other. Checkpoints are published, then committed; garbage is collected; the
//! end is recorded. What isn't known is found out, however long that takes; being fenced ends the
//! JobManager. Not here: any decision about checkpoints or entries.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::ids::{Epoch, JobId};
use thalweg_core::job_graph::JobGraph;
use thalweg_core::status::JobStatus;
use thalweg_storage::BlobPath;
use thalweg_storage::log::{Leader, LogError, LogErrorKind};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::garbage::{self, Roots};
use super::recorded_result::terminal_status;
use super::{Loss, Records};
use crate::checkpoint_coordinator::{CheckpointEvent, CompletedCheckpoint};
use crate::endpoint::mail::Mail;
use crate::endpoint::store::write_manifest;
use crate::job_master::JobResult;

/// A checkpoint that is published and the job's end: there's never more to do.
const REQUESTS_MAX: usize = 4;
/// Pauses between two attempts double from the first to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What is to be recorded.
#[derive(Debug)]
enum Request {
    Publish(Box<CompletedCheckpoint>),
    End(Box<JobResult>),
}

/// A job's log, as the endpoint sees it. Dropped, it ends after what it is doing.
#[derive(Debug)]
pub(crate) struct JobLog {
    requests: mpsc::Sender<Request>,
}

/// How the endpoint is told. It may have ended.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    pub(crate) mailbox: mpsc::WeakSender<Mail>,
}

impl Reports {
    /// False if nobody is there any more.
    async fn send(&self, mail: Mail) -> bool {
        match self.mailbox.upgrade() {
            Some(mailbox) => mailbox.send(mail).await.is_ok(),
            None => false,
        }
    }

    fn is_closed(&self) -> bool {
        self.mailbox.upgrade().is_none_or(|mailbox| mailbox.is_closed())
    }
}

impl JobLog {
    /// Takes over what was claimed, collects what former leaders left, and waits for requests.
    /// `retained` published checkpoints are kept.
    pub(crate) fn start(
        runtime: &Handle,
        records: Records,
        leader: Leader,
        graph: Arc<JobGraph>,
        retained: usize,
        reports: Reports,
    ) -> Self {
        let (requests, received) = mpsc::channel(REQUESTS_MAX);
        let (job, roots) = (graph.job_id, Roots::new(retained));
        let keeper = Keeper { records, leader, graph, job, roots, reports };
        runtime.spawn(keeper.run(received));
        Self { requests }
    }

    /// Publishes a checkpoint: answered by [`Mail::Publication`] once it is known what became of
    /// it, and its output may be committed.
    pub(crate) fn publish(&self, checkpoint: CompletedCheckpoint) {
        self.request(Request::Publish(Box::new(checkpoint)));
    }

    /// Records the job's end: answered by [`Mail::JobRecorded`].
    pub(crate) fn end(&self, result: JobResult) {
        self.request(Request::End(Box::new(result)));
    }

    fn request(&self, request: Request) {
        if let Err(error) = self.requests.try_send(request) {
            tracing::error!("the job's log is out of step, this is a bug: {error}");
        }
    }
}

/// Nothing more is to be done: another one leads, the log is damaged, or the JobManager ends.
struct Stop;

struct Keeper {
    records: Records,
    leader: Leader,
    graph: Arc<JobGraph>,
    job: JobId,
    roots: Roots,
    reports: Reports,
}

impl Keeper {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        // For people only: the job runs without it too.
        if let Err(error) = self.records.record_graph(&self.graph, self.epoch()).await {
            tracing::warn!(job = %self.job, "the job's graph can't be stored: {error}");
        }
        if self.collect(None).await.is_err() {
            return;
        }
        while let Some(request) = requests.recv().await {
            let done = match request {
                Request::Publish(checkpoint) => self.publish(&checkpoint).await,
                Request::End(result) => self.end(*result).await,
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn epoch(&self) -> Epoch {
        self.leader.leadership().epoch()
    }

    /// 1. The manifest is stored under a name that no other leader makes. If that fails the
    ///    checkpoint certainly isn't published.
    /// 2. The log decides. An unknown outcome is settled: until then the checkpoint neither counts
    ///    nor has failed.
    /// 3. Only with a permit, taken from the log after that, it is told: then sinks commit.
    /// 4. What it superseded is collected.
    async fn publish(&mut self, checkpoint: &CompletedCheckpoint) -> Result<(), Stop> {
        let (id, job) = (checkpoint.id, self.job);
        let store = self.records.checkpoints().clone();
        let epoch = Some(self.epoch());
        let written = write_manifest(&store, &self.graph, checkpoint, epoch).await;
        let (path, bytes) = match written {
            Ok(written) => written,
            Err(cause) => return self.report_failed(checkpoint, cause).await,
        };
        if let Err(error) = self.leader.publish(id, &path).await {
            if self.leader.leadership().in_doubt().is_some() {
                self.settle(error).await?;
            } else {
                let error = self.stop_if_final(error).await?;
                return self.report_failed(checkpoint, error.to_string()).await;
            }
        }
        self.permit().await?;
        let path = format!("{}/{path}", store.name);
        let event = CheckpointEvent::Published { checkpoint: id, path, bytes };
        self.report(Mail::Publication(job, event)).await?;
        self.collect(None).await
    }

    async fn report_failed(
        &self,
        checkpoint: &CompletedCheckpoint,
        cause: String,
    ) -> Result<(), Stop> {
        let event = CheckpointEvent::PublishFailed { checkpoint: checkpoint.id, cause };
        self.report(Mail::Publication(self.job, event)).await
    }

    /// Waits until the right to have the last published checkpoint committed is there.
    async fn permit(&mut self) -> Result<(), Stop> {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.leader.permit_commit().await {
                Ok(_permit) => return Ok(()),
                Err(error) => self.wait(error, &mut pause).await?,
            }
        }
    }

    /// Finds out whether the entry in doubt is in the log.
    async fn settle(&mut self, first: LogError) -> Result<(), Stop> {
        let (mut error, mut pause) = (first, PAUSE_FIRST);
        loop {
            self.wait(error, &mut pause).await?;
            match self.leader.settle().await {
                Ok(()) => return Ok(()),
                Err(again) => error = again,
            }
        }
    }

    /// Pauses after a failure that may pass.
    async fn wait(&self, error: LogError, pause: &mut Duration) -> Result<(), Stop> {
        let error = self.stop_if_final(error).await?;
        if error.kind() == LogErrorKind::Refused {
            let reason = format!("job {}: {error}; this is a bug", self.job);
            self.reports.send(Mail::LeadershipLost(Loss::Fenced(reason))).await;
            return Err(Stop);
        }
        if self.reports.is_closed() {
            return Err(Stop);
        }
        tracing::warn!(job = %self.job, "{error}");
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(PAUSE_MAX);
        Ok(())
    }

    /// Being fenced is for good, and so is a damaged log: the JobManager is told, and does nothing
    /// more.
    async fn stop_if_final(&self, error: LogError) -> Result<LogError, Stop> {
        match error.kind() {
            LogErrorKind::Fenced | LogErrorKind::User => {
                let reason = format!("job {}: {error}", self.job);
                self.reports.send(Mail::LeadershipLost(Loss::Fenced(reason))).await;
                Err(Stop)
            }
            LogErrorKind::Retry | LogErrorKind::Refused => Ok(error),
        }
    }

    async fn report(&self, mail: Mail) -> Result<(), Stop> {
        if self.reports.send(mail).await { Ok(()) } else { Err(Stop) }
    }

    /// The result is stored, then the entry that names it, then what isn't needed any more is
    /// deleted, and it is told. All sinks have committed when a job has finished: each task
    /// does before it ends.
    async fn end(&mut self, result: JobResult) -> Result<(), Stop> {
        let Some(status) = terminal_status(result.status) else { return Ok(()) };
        let path = self.store_result(&result).await?;
        let published = self.leader.leadership().latest_publish();
        let committed = published.map(|published| published.checkpoint_id);
        let committed = committed.filter(|_| result.status == JobStatus::Finished);
        let failure = result.error.as_ref().map(|error| shortened(&error.to_string()));
        let mut pause = PAUSE_FIRST;
        loop {
            let ended = self.leader.terminal(status, failure.clone(), Some(&path), committed).await;
            match ended {
                Ok(()) => break,
                Err(error) if self.leader.leadership().in_doubt().is_some() => {
                    self.settle(error).await?;
                    break;
                }
                Err(error) => self.wait(error, &mut pause).await?,
            }
        }
        self.collect(Some(&path)).await?;
        self.report(Mail::JobRecorded(Box::new(result))).await
    }

    async fn store_result(&self, result: &JobResult) -> Result<BlobPath, Stop> {
        let mut pause = PAUSE_FIRST;
        loop {
            let error = match self.records.record_result(result, self.epoch()).await {
                Ok(path) => return Ok(path),
                Err(error) => error,
            };
            if self.reports.is_closed() {
                return Err(Stop);
            }
            tracing::warn!(job = %self.job, "the job's result can't be stored: {error}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Collects garbage; a failure leaves it for the next time.
    async fn collect(&mut self, result: Option<&BlobPath>) -> Result<(), Stop> {
        let view = match self.leader.collector_view(None).await {
            Ok(view) => view,
            Err(error) => {
                let error = self.stop_if_final(error).await?;
                tracing::warn!(job = %self.job, "nothing is collected for now: {error}");
                return Ok(());
            }
        };
        let log = self.leader.log();
        match garbage::collect(&self.records, log, &view, &mut self.roots, result).await {
            Ok(0) => {}
            Ok(deleted) => tracing::debug!(job = %self.job, "{deleted} objects were collected"),
            Err(error) => tracing::warn!(job = %self.job, "garbage is left for later: {error}"),
        }
        Ok(())
    }
}

/// What fits an entry with room to spare.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 4096;
    text.chars().take(CHARACTERS_MAX).collect()
}
