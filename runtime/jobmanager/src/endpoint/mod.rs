//! The edge of the control plane: one task that owns the dispatcher, with one bounded mailbox and
//! one match, and performs what it decides. Not here: decisions.

mod connections;
mod disposal;
mod handle;
mod log;
pub(crate) mod mail;
mod newer_checkpoint;
mod options;
mod preparation;
mod recorded;
mod rescale;
mod savepoint;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use thalweg_core::Clock;
use thalweg_core::ids::JobId;
use thalweg_core::status::JobStatus;
use thalweg_rpc::Acceptor;
use thalweg_storage::log::Leader;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

pub use handle::{EndReason, JobManagerHandle};
pub use mail::{CancelError, CheckpointCommand, CommandError, CommandKind, SubmitError};
pub use newer_checkpoint::newer_checkpoint;
pub use options::{CheckpointStore, JobManagerOptions, StoreOpener};
pub use preparation::Preparation;
pub use savepoint::{Savepoint, SavepointError, open_savepoint};

use crate::checkpoint_coordinator::CompletedCheckpoint;
use crate::dispatcher::{Action, Dispatcher, DispatcherOptions, Event, PreparedJob};
use crate::facts::ClusterDescription;
use crate::high_availability::job_log::JobLog;
use crate::high_availability::{ElectionError, leftovers};
use crate::job_master::JobResult;
use crate::moment::Moment;
use crate::resource_manager::{ResourceManagerDriver, ResourceManagerOptions, WorkerEvents};
use crate::rest::model::ClusterFacts;
use connections::{Connections, disconnection};
use disposal::Disposals;
use mail::Mail;
use recorded::Recorded;

/// How many messages wait in the mailbox; whoever sends more waits.
const MAILBOX_MAX: usize = 4096;
/// How often the facts that REST reads are renewed at most.
const FACTS_INTERVAL: Duration = Duration::from_millis(100);
/// How long TaskManagers have to read that everything ends.
const FAREWELL: Duration = Duration::from_millis(100);
/// How long deletions of old checkpoints may hold up the end.
const DISCARDS_MAX: Duration = Duration::from_secs(5);

type Submitter = oneshot::Sender<Result<JobResult, SubmitError>>;

/// The endpoint.
#[derive(Debug)]
pub struct JobManager {
    dispatcher: Dispatcher,
    connections: Connections,
    mailbox: mpsc::Receiver<Mail>,
    acceptor: Acceptor,
    /// Whether the acceptor may still give connections.
    accepting: bool,
    driver: Box<dyn ResourceManagerDriver>,
    store: Option<CheckpointStore>,
    stores: Arc<dyn StoreOpener>,
    /// How many commands had no id of their own.
    commands: u64,
    discards: store::Discards,
    recorded: Recorded,
    disposals: Arc<Disposals>,
    /// Results of jobs that weren't run, as they had ended before: one for each `execute()`.
    ended_before: Vec<JobResult>,
    submitters: BTreeMap<JobId, Submitter>,
    description: ClusterDescription,
    facts: Arc<RwLock<Arc<ClusterFacts>>>,
    facts_renewed: Option<Duration>,
    facts_stale: bool,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    weak_mailbox: mpsc::WeakSender<Mail>,
}

impl JobManager {
    /// Starts a JobManager on the runtime that the options name, once it leads. It ends with
    /// [`JobManagerHandle::shutdown`].
    ///
    /// # Errors
    /// When it can't campaign.
    pub async fn start(mut options: JobManagerOptions) -> Result<JobManagerHandle, ElectionError> {
        let leadership = preparation::campaign(&mut options).await?;
        if let Some(records) = &options.records {
            leftovers::collect_at_takeover(records).await;
        }
        let now = Moment::of(options.clock.as_ref());
        let dispatcher_options = DispatcherOptions {
            epoch: leadership.epoch,
            build_id: options.build_id,
            seed: options.seed,
            resources: ResourceManagerOptions::of(&options.configuration),
            workers: options.driver.workers(),
        };
        let dispatcher = Dispatcher::new(dispatcher_options, now);
        let description = ClusterDescription::new(
            &options.configuration,
            options.version,
            options.commit,
            options.store.as_ref().map(|store| store.name.clone()),
        );
        let facts = Arc::new(RwLock::new(Arc::new(description.facts(&dispatcher, &[]))));
        let (sender, mailbox) = mpsc::channel(MAILBOX_MAX);
        let handle = JobManagerHandle {
            mailbox: sender.clone(),
            facts: Arc::clone(&facts),
            clock: Arc::clone(&options.clock),
            configuration: Arc::new(options.configuration),
            build_id: options.build_id,
            store: options.store.clone(),
            stores: Arc::clone(&options.stores),
            unread: Arc::default(),
            disposals: Arc::default(),
            records: options.records.clone(),
            end: Arc::default(),
            epoch: leadership.epoch,
            earlier: Arc::default(),
        };
        let weak_mailbox = sender.downgrade();
        options.driver.started(WorkerEvents::new(weak_mailbox.clone()), leadership.epoch);
        if let Some(records) = options.records.clone() {
            options.runtime.spawn(leftovers::watch(records, weak_mailbox.clone()));
        }
        let held = recorded::hold(options.election, weak_mailbox.clone(), &options.runtime);
        let this = Self {
            dispatcher,
            discards: store::Discards::default(),
            recorded: Recorded::new(options.records, held, Arc::clone(&handle.end)),
            weak_mailbox,
            connections: Connections::new(options.runtime.clone(), sender),
            mailbox,
            acceptor: options.acceptor,
            accepting: true,
            driver: options.driver,
            store: options.store,
            stores: options.stores,
            commands: 0,
            ended_before: Vec::new(),
            disposals: Arc::clone(&handle.disposals),
            submitters: BTreeMap::new(),
            description,
            facts,
            facts_renewed: None,
            facts_stale: true,
            clock: options.clock,
            runtime: options.runtime.clone(),
        };
        options.runtime.spawn(this.run());
        Ok(handle)
    }

    async fn run(mut self) {
        loop {
            let now = Moment::of(self.clock.as_ref());
            self.renew_facts(now);
            let wake = self.wake_at(now.elapsed).saturating_sub(now.elapsed);
            tokio::select! {
                biased;
                mail = self.mailbox.recv() => match mail {
                    Some(Mail::ShutDown(reason, reply)) => {
                        self.say_farewell(reason).await;
                        self.recorded.release(EndReason::ShutDown).await;
                        // Whoever asked may have gone.
                        let _ = reply.send(());
                        return;
                    }
                    Some(Mail::Suspend(reason, reply)) => {
                        self.recorded.release(EndReason::Suspended(reason)).await;
                        // Whoever asked may have gone.
                        let _ = reply.send(());
                        return;
                    }
                    // TaskManagers aren't told: they follow the one that leads.
                    Some(Mail::LeadershipLost(loss)) => return self.recorded.lost(loss),
                    Some(mail) => self.receive(mail),
                    None => return,
                },
                accepted = self.acceptor.accept(), if self.accepting => match accepted {
                    Some(accepted) => self.connections.add(accepted),
                    None => self.accepting = false,
                },
                () = tokio::time::sleep(wake) => self.handle(Event::Tick),
            }
        }
    }

    fn wake_at(&self, now: Duration) -> Duration {
        let decide = self.dispatcher.deadline(now);
        match self.facts_renewed.filter(|_| self.facts_stale) {
            Some(renewed) => decide.min(renewed + FACTS_INTERVAL),
            None => decide,
        }
    }

    fn receive(&mut self, mail: Mail) {
        match mail {
            Mail::Peer(connection, message) => {
                self.handle(Event::Received(connection, *message));
            }
            Mail::PeerGone(connection, error) => {
                tracing::debug!(peer = self.connections.peer(connection), "{error}");
                self.connections.close(connection);
                self.handle(Event::Disconnected(connection, disconnection(&error)));
            }
            Mail::Submit(job, leader, reply) => self.submit(job, leader, reply),
            Mail::Cancel(job, reply) => {
                let answer = self.cancel(job);
                // Whoever asked may have gone.
                let _ = reply.send(answer);
            }
            Mail::Checkpoint(job, command, reply) => {
                let answer = self.command(job, command);
                // Who asks for the answer next has to find the operation.
                self.renew_facts_now();
                // Whoever asked may have gone.
                let _ = reply.send(answer);
            }
            Mail::Rescale(job, trigger, parallelism, reply) => {
                let answer = self.rescale(job, trigger, &parallelism);
                self.renew_facts_now();
                // Whoever asked may have gone.
                let _ = reply.send(answer);
            }
            Mail::Dispose(path, trigger, reply) => {
                let answer = self.dispose(path, trigger);
                // Whoever asked may have gone.
                let _ = reply.send(answer);
            }
            Mail::SavepointWritten(checkpoint) => self.publish_own(*checkpoint),
            Mail::Worker(id, event) => self.handle(Event::Worker(id, event)),
            Mail::Publication(job, event) => self.handle(Event::Publication(job, event)),
            Mail::EndedBefore(result) => {
                self.ended_before.push(*result);
                self.renew_facts_now();
            }
            Mail::JobRecorded(result) => {
                self.recorded.forget(result.job);
                self.answer(*result);
            }
            Mail::NoMoreJobs => self.handle(Event::NoMoreJobs),
            // Handled by `run`, which ends with them.
            Mail::ShutDown(..) | Mail::Suspend(..) | Mail::LeadershipLost(_) => {}
        }
    }

    fn submit(&mut self, job: Box<PreparedJob>, leader: Option<Box<Leader>>, reply: Submitter) {
        let id = job.information.job_id;
        if self.dispatcher.job(id).is_some() || self.submitters.contains_key(&id) {
            // Whoever asked may have gone.
            let _ = reply.send(Err(SubmitError::Duplicate(id)));
            return;
        }
        self.submitters.insert(id, reply);
        if let Some(leader) = leader {
            self.recorded.claimed(*leader, &job);
        }
        self.handle(Event::Submitted(job));
        self.log_of(id);
    }

    /// The log of a job that is recorded, once the job was taken in.
    fn log_of(&mut self, job: JobId) -> Option<&JobLog> {
        self.dispatcher.job(job)?;
        self.recorded.log_of(job, &self.runtime, &self.weak_mailbox)
    }

    fn cancel(&mut self, job: JobId) -> Result<(), CancelError> {
        match self.dispatcher.job(job).map(|job| job.status()) {
            None => Err(CancelError::Unknown),
            Some(JobStatus::Canceled) => Ok(()),
            Some(status) if status.is_globally_terminal() => Err(CancelError::HasEnded(status)),
            Some(_) => {
                self.handle(Event::Cancel(job));
                Ok(())
            }
        }
    }

    /// Decides, and performs what was decided; what can't be performed is decided about in turn.
    fn handle(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let now = Moment::of(self.clock.as_ref());
            for action in self.dispatcher.handle(event, now) {
                events.extend(self.perform(action));
            }
        }
        self.facts_stale = true;
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Send(connection, message) => return self.connections.send(connection, message),
            Action::Disconnect(connection) => self.connections.close(connection),
            Action::Publish(checkpoint) => self.publish(checkpoint),
            // Where a job has a log, its collector finds what isn't needed.
            Action::DiscardCheckpoint { .. }
            | Action::DeleteObjects(_)
            | Action::DeleteAbandoned(_)
                if self.recorded.is_on() => {}
            Action::DiscardCheckpoint { checkpoint, kept_objects } => {
                let (discards, under_way) = (self.discards.clone(), self.discards.begin());
                self.with_store(move |store| async move {
                    let _under_way = under_way;
                    let done = discards.discard(&store, checkpoint, &kept_objects).await;
                    log::deletion(done);
                });
            }
            Action::DeleteObjects(objects) => {
                let (discards, under_way) = (self.discards.clone(), self.discards.begin());
                self.with_store(move |store| async move {
                    let _under_way = under_way;
                    log::deletion(discards.delete(&store, objects).await);
                });
            }
            Action::DeleteAbandoned(abandoned) => {
                let (discards, under_way) = (self.discards.clone(), self.discards.begin());
                self.with_store(move |store| async move {
                    let _under_way = under_way;
                    log::deletion(discards.delete_abandoned(&store, abandoned).await);
                });
            }
            Action::DeleteFromSavepoint(directory, objects) => {
                self.delete_from_savepoint(directory, objects);
            }
            Action::RequireWorkers(total) => self.driver.require_workers(total),
            Action::WorkerChanged(id, registered) => self.driver.worker_changed(&id, registered),
            Action::WorkerLeaving(id) => self.driver.worker_leaving(&id),
            Action::ReleaseWorker(id) => self.driver.release_worker(&id),
            Action::JobEnded(result) => {
                log::job_ended(&result);
                match self.log_of(result.job) {
                    // The program learns of it once it is recorded.
                    Some(log) => log.end(*result),
                    None => self.answer(*result),
                }
            }
            Action::Observe(job, observation) => log::job(job, &observation),
            Action::ObserveTaskManager(id, observation) => log::task_manager(&id, &observation),
        }
        None
    }

    /// Tells the program how its job has ended.
    fn answer(&mut self, result: JobResult) {
        let Some(submitter) = self.submitters.remove(&result.job) else { return };
        // Facts show the end before the program learns of it: it may exit at once.
        self.renew_facts_now();
        // The program may not wait for it.
        let _ = submitter.send(Ok(result));
    }

    /// Publishes a checkpoint. A savepoint is written first; one that the job goes on after isn't
    /// published.
    fn publish(&mut self, checkpoint: CompletedCheckpoint) {
        match checkpoint.directory {
            Some(_) => self.write_savepoint(checkpoint),
            None => self.publish_own(checkpoint),
        }
    }

    fn publish_own(&mut self, checkpoint: CompletedCheckpoint) {
        let job = checkpoint.job;
        if self.recorded.is_on() {
            self.log_of(job).into_iter().for_each(|log| log.publish(checkpoint.clone()));
            return;
        }
        let graph = self.dispatcher.job(job).map(|job| Arc::clone(&job.information().graph));
        let (Some(graph), Some(mailbox)) = (graph, self.weak_mailbox.upgrade()) else { return };
        self.with_store(move |store| async move {
            let event = store::publish(&store, &graph, &checkpoint).await;
            // The JobManager may have ended.
            let _ = mailbox.send(Mail::Publication(job, event)).await;
        });
    }

    /// A job that takes checkpoints was only taken in with a store.
    fn with_store<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(CheckpointStore) -> F,
    ) {
        if let Some(store) = &self.store {
            store::spawn(&self.runtime, store, work(store.clone()));
        }
    }

    fn renew_facts(&mut self, now: Moment) {
        let early = |at| now.elapsed < at + FACTS_INTERVAL;
        if !self.facts_stale || self.facts_renewed.is_some_and(early) {
            return;
        }
        *self.facts.write() =
            Arc::new(self.description.facts(&self.dispatcher, &self.ended_before));
        self.facts_renewed = Some(now.elapsed);
        self.facts_stale = false;
    }

    fn renew_facts_now(&mut self) {
        self.facts_renewed = None;
        self.facts_stale = true;
        let now = Moment::of(self.clock.as_ref());
        self.renew_facts(now);
    }

    async fn say_farewell(&mut self, reason: String) {
        self.handle(Event::ShutDown(reason));
        tokio::time::sleep(FAREWELL).await;
        self.discards.ended(DISCARDS_MAX).await;
    }
}
