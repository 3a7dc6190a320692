//! What the executor does about the JobManager's messages.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::element::Barrier;
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId};
use thalweg_rpc::Admission;
use thalweg_rpc::message::{
    CheckpointDecline, DeclineReason, Fenced, JobInformation, JobManagerHeartbeat,
    JobManagerMessage, Notice, RegistrationRefusal, SnapshotData, TaskDeployment, ToTaskManager,
};
use thalweg_storage::layout;

use super::prepare::Deployment;
use super::table::{CancelDecision, DeployDecision, Stamp};
use super::{ExitReason, TaskExecutor, upload};

/// How long local copies are kept for a job that has no task here: long enough for a restart, and
/// for another JobManager to come.
const IDLE_COPIES_KEPT: Duration = Duration::from_secs(300);

impl TaskExecutor {
    pub(super) fn message(&mut self, message: ToTaskManager, now: Duration) -> Option<ExitReason> {
        let Fenced { epoch, sequence, message } = message;
        match self.guard.admit(epoch) {
            Admission::Stale => {
                tracing::debug!(epoch = epoch.0, "a message of a former leader is dropped");
                return None;
            }
            Admission::NewLeader => self.new_leader(now),
            Admission::Obey => {}
        }
        self.connection.heard(now);
        let at = (epoch, sequence);
        match message {
            JobManagerMessage::Registered { heartbeat_interval_ms, heartbeat_timeout_ms } => {
                let interval = Duration::from_millis(heartbeat_interval_ms.max(1));
                let timeout = Duration::from_millis(heartbeat_timeout_ms.max(1));
                self.registered(interval, timeout, now);
            }
            JobManagerMessage::Refused(refusal) => {
                let reason = refusal.to_string();
                let over = matches!(refusal, RegistrationRefusal::ShuttingDown);
                let exit = if over {
                    ExitReason::ShutDown { reason }
                } else {
                    ExitReason::Refused { reason }
                };
                return self.stop(exit, now);
            }
            JobManagerMessage::Heartbeat(heartbeat) => return self.heartbeat(at, &heartbeat, now),
            JobManagerMessage::Received { numbers } => {
                self.outbox.acknowledge(&numbers);
                for number in numbers {
                    if let Some(attempt) = self.ends_told.remove(&number) {
                        self.table.end_delivered(attempt);
                    }
                }
            }
            JobManagerMessage::DeployTasks { job, tasks } => {
                for task in tasks {
                    self.deploy(at, &job, task, now);
                }
            }
            JobManagerMessage::CancelTask { attempt } => self.cancel(at, attempt, now),
            JobManagerMessage::TriggerCheckpoint { job, attempt, barrier } => {
                self.trigger(job, barrier, attempt, now);
            }
            JobManagerMessage::EndInput { attempt } => {
                let live = self.live.get(&attempt);
                if let Some(mailbox) = live.and_then(|live| live.mailbox.as_ref()) {
                    mailbox.end_input();
                }
            }
            JobManagerMessage::CheckpointCompleted { job, checkpoint } => {
                self.completed(job, checkpoint);
            }
            JobManagerMessage::RewriteRuns { job, checkpoint, objects } => {
                self.rewrite(job, checkpoint, &objects);
            }
            JobManagerMessage::CheckpointAborted { job, checkpoint } => {
                self.aborted(job, checkpoint);
            }
            JobManagerMessage::ShutDown { reason } => {
                return self.stop(ExitReason::ShutDown { reason }, now);
            }
        }
        self.stopped(now)
    }

    /// Follows another leader: it knows nothing of what was said to the former one.
    fn new_leader(&mut self, now: Duration) {
        self.heartbeat_seen = 0;
        self.outbox.clear();
        self.ends_told.clear();
        self.connection.register_anew(now);
        for attempt in self.table.new_leader() {
            self.tell_state(attempt, now);
        }
    }

    fn registered(&mut self, interval: Duration, timeout: Duration, now: Duration) {
        if !self.connection.registered(interval, timeout, now) {
            return;
        }
        tracing::info!(epoch = self.guard.epoch().0, "registered at the JobManager");
        for (number, notice) in self.outbox.due(now, Duration::ZERO) {
            let message = thalweg_rpc::message::TaskManagerMessage::Notice { number, notice };
            self.send(message, now);
        }
        self.send_due(now);
    }

    fn heartbeat(
        &mut self,
        at: Stamp,
        heartbeat: &JobManagerHeartbeat,
        now: Duration,
    ) -> Option<ExitReason> {
        let decision = self.table.heartbeat(at, &heartbeat.expected);
        if decision.stale {
            return self.stopped(now);
        }
        self.heartbeat_seen = at.1;
        for attempt in decision.cancel {
            tracing::info!(%attempt, "the JobManager doesn't expect this execution: cancelled");
            self.cancel_live(attempt, now);
        }
        for job in decision.jobs_gone {
            self.codes.forget(job);
            self.idle_jobs.insert(job, now);
            self.gathering.forget(job);
        }
        self.forget_copies_of_idle_jobs(now);
        self.forget_metrics();
        for progress in &heartbeat.jobs {
            self.completed(progress.job, progress.completed);
            let aborted = match progress.pending {
                Some(pending) => CheckpointId(pending.0.saturating_sub(1)),
                None => progress.begun,
            };
            self.aborted(progress.job, aborted);
        }
        match &heartbeat.dismissed {
            Some(why) => self.dismissed(why, now),
            None => self.stopped(now),
        }
    }

    fn deploy(
        &mut self,
        at: Stamp,
        job: &Arc<JobInformation>,
        task: TaskDeployment,
        now: Duration,
    ) {
        if self.stopping.is_some() {
            return;
        }
        let attempt = task.attempt;
        match self.table.deploy(at, job.job_id, &task) {
            DeployDecision::Ignore => {
                tracing::debug!(%attempt, "a deployment that isn't news is ignored");
            }
            DeployDecision::Refuse => self.tell_state(attempt, now),
            DeployDecision::Start => {
                let (job, task) = (Arc::clone(job), Arc::new(task));
                self.start(Deployment { job, task, epoch: at.0 }, now);
            }
        }
    }

    fn cancel(&mut self, at: Stamp, attempt: ExecutionAttemptId, now: Duration) {
        match self.table.cancel(at, attempt) {
            CancelDecision::Cancel => {
                self.cancel_live(attempt, now);
                self.tell_state(attempt, now);
            }
            CancelDecision::Ignore => {}
            CancelDecision::ReportCanceled => self.tell_state(attempt, now),
        }
    }

    fn trigger(
        &mut self,
        job: JobId,
        barrier: Barrier,
        attempt: ExecutionAttemptId,
        now: Duration,
    ) {
        match self.live.get(&attempt).and_then(|live| live.mailbox.as_ref()) {
            Some(mailbox) => mailbox.trigger_checkpoint(barrier),
            None => {
                let checkpoint = barrier.checkpoint;
                let reason = DeclineReason::NotReady;
                let decline = CheckpointDecline { job, checkpoint, attempt, reason };
                self.notice(Notice::CheckpointDeclined(decline), now);
            }
        }
    }

    fn completed(&mut self, job: JobId, checkpoint: CheckpointId) {
        if checkpoint == CheckpointId(0) {
            return;
        }
        for mailbox in self.mailboxes_of(job) {
            mailbox.checkpoint_completed(checkpoint);
        }
        self.retain_copies(job, checkpoint);
    }

    /// Has operators write all of their state the next time, which then need nothing of these
    /// objects any more.
    fn rewrite(&self, job: JobId, checkpoint: CheckpointId, objects: &[String]) {
        for attempt in self.table.live_attempts_of(job) {
            let Some(live) = self.live.get(&attempt) else { continue };
            let operators = upload::operators_in(&live.stored, checkpoint, objects);
            if let Some(mailbox) = live.mailbox.as_ref().filter(|_| !operators.is_empty()) {
                mailbox.write_bases(&operators);
            }
        }
    }

    /// Lets local copies go that no task here would restart from, now that this checkpoint is
    /// published. Those of tasks that have failed stay until the next one is.
    fn retain_copies(&mut self, job: JobId, checkpoint: CheckpointId) {
        let before = self.copies_of.insert(job, checkpoint);
        let (Some(copies), Ok(folder)) = (self.stores.copies(), layout::job_folder(job)) else {
            return;
        };
        if before == Some(checkpoint) {
            return;
        }
        let live = self.table.live_attempts_of(job).into_iter();
        let stored = live.filter_map(|attempt| Some(&self.live.get(&attempt)?.stored));
        let handles = stored.flat_map(|stored| stored.values().flatten());
        let objects = handles.filter_map(|handle| match &handle.data {
            SnapshotData::Object { path, .. } => Some(path.clone()),
            SnapshotData::Inline(_) => None,
        });
        copies.retain_in(&folder, &objects.collect());
    }

    /// Lets local copies go of jobs that had no task here for a while. One that restarts, or whose
    /// JobManager is being replaced, has none for a moment, and reads them then.
    fn forget_copies_of_idle_jobs(&mut self, now: Duration) {
        let table = &self.table;
        self.idle_jobs.retain(|job, _| !table.knows_job(*job));
        let long_idle = |since: Duration| now.saturating_sub(since) >= IDLE_COPIES_KEPT;
        let idle: Vec<JobId> =
            self.idle_jobs.iter().filter(|(_, at)| long_idle(**at)).map(|(job, _)| *job).collect();
        for job in idle {
            self.idle_jobs.remove(&job);
            self.forget_copies(job);
        }
    }

    /// Lets all local copies of a job go.
    pub(super) fn forget_copies(&mut self, job: JobId) {
        self.copies_of.remove(&job);
        if let (Some(copies), Ok(folder)) = (self.stores.copies(), layout::job_folder(job)) {
            copies.retain_in(&folder, &BTreeSet::new());
        }
    }

    fn aborted(&mut self, job: JobId, checkpoint: CheckpointId) {
        if checkpoint == CheckpointId(0) {
            return;
        }
        for mailbox in self.mailboxes_of(job) {
            mailbox.checkpoint_aborted(checkpoint);
        }
    }

    fn mailboxes_of(&self, job: JobId) -> impl Iterator<Item = &crate::task::Mailbox> {
        let live = self.table.live_attempts_of(job).into_iter();
        live.filter_map(|attempt| self.live.get(&attempt)?.mailbox.as_deref())
    }
}
