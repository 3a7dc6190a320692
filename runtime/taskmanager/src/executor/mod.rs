//! The TaskExecutor: a TaskManager's endpoint. One loop with one mailbox; what to do about a
//! message is decided by `table` and `connection`, and done here.
//!
//! It finds its JobManager and registers, runs the tasks that are deployed, tells how they are,
//! makes their snapshots durable, and obeys only the highest epoch that it has seen. Without a
//! JobManager its tasks go on until `taskmanager.registration.timeout`; then the process ends.
//!
//! Its mail comes from three sides: the JobManager through the bounded link, tasks and work aside
//! through the `inbox`, and the time.

mod ahead;
mod code;
mod connection;
mod event;
mod inbox;
mod leave;
mod local_copies;
mod messages;
mod prepare;
mod restore;
mod slots;
mod stores;
mod table;
mod tasks;
mod upload;
mod wiring;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::Clock;
use thalweg_core::configuration::options::{checkpointing, heartbeat, taskmanager};
use thalweg_core::configuration::{Configuration, Location};
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId, TaskManagerId};
use thalweg_network::{NetworkEnvironment, NetworkMemory};
use thalweg_rpc::message::{
    Notice, Registration, TaskManagerHeartbeat, TaskManagerMessage, TaskManagerResources,
    ToTaskManager,
};
use thalweg_rpc::{
    ConnectError, Connector, EpochGuard, LeaderAddress, LinkReceiver, Outbox, ReconnectDecision,
};
use thalweg_storage::BlobStoreOpener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use code::{CodeError, CodeProvider};

use crate::driver::TaskDriver;
use crate::metrics::MetricsRegistry;
use crate::task::Mailbox;
use ahead::SnapshotAhead;
use code::CodeCache;
use connection::{Connection, Due};
use event::Event;
use inbox::Inbox;
use leave::{Facts, Leave};
use local_copies::LocalCopies;
use prepare::Deployment;
use slots::SlotBudgets;
use stores::Stores;
use table::TaskTable;
use upload::{Gathering, StoredRuns, StoredSnapshot};

/// How often the loop looks at the time.
const TICK: Duration = Duration::from_millis(100);
/// How long tasks may take to end when the process does.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a TaskManager has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// The JobManager said so: everything is done.
    ShutDown {
        /// Why, for people.
        reason: String,
    },
    /// The process was told to end.
    Stopped {
        /// Why, for people.
        reason: String,
    },
    /// The JobManager doesn't want it.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// No JobManager for longer than `taskmanager.registration.timeout`.
    RegistrationTimedOut {
        /// What the last attempt said.
        reason: String,
    },
}

impl std::fmt::Display for ExitReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ShutDown { reason } => write!(f, "the JobManager ended this process: {reason}"),
            Self::Stopped { reason } => write!(f, "the process was told to end: {reason}"),
            Self::Refused { reason } => {
                write!(f, "the JobManager refuses this TaskManager: {reason}")
            }
            Self::RegistrationTimedOut { reason } => write!(
                f,
                "no JobManager for longer than taskmanager.registration.timeout; last: {reason}; \
                 check jobmanager.rpc.address and jobmanager.rpc.port"
            ),
        }
    }
}

/// What an executor is made of.
pub(crate) struct ExecutorParts {
    pub(crate) id: TaskManagerId,
    pub(crate) configuration: Configuration,
    pub(crate) resources: TaskManagerResources,
    pub(crate) slots: u32,
    pub(crate) process_id: u32,
    pub(crate) build_id: u64,
    pub(crate) connector: Connector,
    pub(crate) network: Arc<NetworkEnvironment>,
    pub(crate) memory: NetworkMemory,
    pub(crate) slot_state_bytes: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) codes: Arc<dyn CodeProvider>,
    pub(crate) stores: Arc<dyn BlobStoreOpener>,
    pub(crate) driver: Arc<dyn TaskDriver>,
    pub(crate) metrics: Arc<MetricsRegistry>,
    pub(crate) runtime: Handle,
}

/// An execution that hasn't ended.
struct Live {
    deployment: Deployment,
    subtask: thalweg_operators::contract::SubtaskInfo,
    mailbox: Option<Arc<Mailbox>>,
    /// Channels whose memory it holds.
    channels: usize,
    /// The runs of its operators in the checkpoints that its next snapshots may go on from.
    stored: StoredRuns,
    /// The snapshot that its task still writes, of which parts are here already.
    ahead: Option<SnapshotAhead>,
}

/// The process is ending.
struct Stopping {
    exit: ExitReason,
    deadline: Duration,
}

/// A TaskManager's endpoint.
pub(crate) struct TaskExecutor {
    parts: ExecutorParts,
    codes: Arc<CodeCache>,
    stores: Arc<Stores>,
    /// The checkpoints whose objects' local copies are kept.
    copies_of: BTreeMap<JobId, CheckpointId>,
    /// Jobs that had tasks here and have none, and since when: they may be restarting.
    idle_jobs: BTreeMap<JobId, Duration>,
    budgets: SlotBudgets,
    table: TaskTable,
    live: BTreeMap<ExecutionAttemptId, Live>,
    guard: EpochGuard,
    outbox: Outbox,
    connection: Connection,
    receiver: Option<LinkReceiver<ToTaskManager>>,
    heartbeat_seen: u64,
    inbox: Arc<Inbox>,
    /// Small runs on their way to a store.
    gathering: Gathering<StoredSnapshot>,
    /// Notices with the end of an execution, by their numbers.
    ends_told: BTreeMap<u64, ExecutionAttemptId>,
    expired_at: Duration,
    leaving: Option<Leave>,
    stopping: Option<Stopping>,
}

impl TaskExecutor {
    /// An executor that isn't connected yet.
    pub(crate) fn new(parts: ExecutorParts) -> Self {
        let now = parts.clock.elapsed();
        let configuration = &parts.configuration;
        let connection = Connection::new(
            configuration.get(&taskmanager::REGISTRATION_TIMEOUT),
            configuration.get(&heartbeat::INTERVAL),
            configuration.get(&heartbeat::TIMEOUT),
            now,
            xxhash_rust::xxh3::xxh3_64(parts.id.0.as_bytes()),
        );
        let copies = configuration.get(&checkpointing::LOCAL_BACKUP_DIRECTORY);
        let copies = copies.as_ref().and_then(Location::local_path).map(LocalCopies::new);
        Self {
            codes: Arc::new(CodeCache::new(Arc::clone(&parts.codes))),
            stores: Arc::new(Stores::new(Arc::clone(&parts.stores), copies)),
            copies_of: BTreeMap::new(),
            idle_jobs: BTreeMap::new(),
            budgets: SlotBudgets::new(parts.slots, parts.slot_state_bytes),
            table: TaskTable::new(parts.slots),
            live: BTreeMap::new(),
            guard: EpochGuard::default(),
            outbox: Outbox::default(),
            connection,
            receiver: None,
            heartbeat_seen: 0,
            inbox: Arc::default(),
            gathering: Gathering::default(),
            ends_told: BTreeMap::new(),
            expired_at: now,
            leaving: None,
            stopping: None,
            parts,
        }
    }

    /// Runs until everything has ended. `leave` is SIGTERM, or whatever else ends the process;
    /// `stop` is the same without any delay.
    pub(crate) async fn run(
        mut self,
        mut leave: oneshot::Receiver<String>,
        mut stop: oneshot::Receiver<String>,
    ) -> ExitReason {
        let inbox = Arc::clone(&self.inbox);
        self.watch_leader();
        let mut next_tick = tokio::time::Instant::now();
        let (mut leave_asked, mut stop_asked) = (false, false);
        loop {
            let small_due = self.until_small_due();
            let events = tokio::select! {
                biased;
                () = tokio::time::sleep_until(next_tick) => {
                    next_tick = tokio::time::Instant::now() + TICK;
                    vec![Event::Tick]
                }
                reason = &mut stop, if !stop_asked => {
                    stop_asked = true;
                    let reason = reason.unwrap_or_else(|_| "its handle was dropped".to_owned());
                    vec![Event::Stop(reason)]
                }
                reason = &mut leave, if !leave_asked => {
                    leave_asked = true;
                    // Its handle was dropped: then so was the other one.
                    reason.map(Event::Leave).into_iter().collect()
                }
                () = sleep(small_due) => vec![Event::SmallDue],
                () = inbox.changed() => inbox.take(),
                received = receive(&mut self.receiver) => vec![Event::Received(received)],
            };
            for event in events {
                if let Some(exit) = self.handle(event) {
                    return exit;
                }
            }
        }
    }

    fn handle(&mut self, event: Event) -> Option<ExitReason> {
        let now = self.parts.clock.elapsed();
        match event {
            Event::Tick => return self.tick(now),
            Event::Leave(reason) => return self.leave(reason, now),
            Event::Stop(reason) => return self.say_goodbye(reason, now),
            Event::Connected(Ok(link)) => {
                self.receiver = Some(link.receiver);
                self.connection.connected(link.sender, now);
                self.send_due(now);
            }
            Event::Connected(Err(error)) => return self.connect_failed(&error, now),
            Event::Leader(leader) => return self.leader_shown(&leader, now),
            Event::Received(Ok(message)) => return self.message(message, now),
            Event::Received(Err(error)) => return self.link_lost(&error.to_string(), now),
            Event::Prepared(attempt, prepared) => self.prepared(attempt, prepared, now),
            Event::Task(attempt, event) => self.task_event(attempt, event, now),
            Event::LargeStored(snapshot) => self.large_stored(*snapshot, now),
            Event::SmallDue => self.store_due(now),
            Event::Stored(Ok(ack)) => {
                if let Some(live) = self.live.get_mut(&ack.attempt) {
                    live.stored.insert(ack.checkpoint, ack.handles.clone());
                }
                self.notice(Notice::CheckpointAcknowledged(ack), now);
            }
            Event::Stored(Err(decline)) => {
                tracing::warn!(checkpoint = %decline.checkpoint, "{:?}", decline.reason);
                self.notice(Notice::CheckpointDeclined(decline), now);
            }
        }
        self.stopped(now)
    }

    /// How long small runs still wait for others.
    fn until_small_due(&self) -> Option<Duration> {
        let due = self.gathering.next_due()?;
        Some(due.saturating_sub(self.parts.clock.elapsed()))
    }

    /// Has it told who leads, where that can change.
    fn watch_leader(&self) {
        let (connector, inbox) = (self.parts.connector.clone(), Arc::downgrade(&self.inbox));
        self.parts.runtime.spawn(async move {
            let tell = |leader| inbox.upgrade().map(|inbox| inbox.leader(leader)).is_some();
            connector.watch(tell).await;
        });
    }

    /// A leader that stands still keeps its connections open: who finds another one leaves it.
    fn leader_shown(&mut self, leader: &LeaderAddress, now: Duration) -> Option<ExitReason> {
        if self.connection.is_registered() && leader.epoch > self.guard.epoch() {
            let reason = format!("the JobManager at {} leads now", leader.address);
            return self.link_lost(&reason, now);
        }
        self.stopped(now)
    }

    fn tick(&mut self, now: Duration) -> Option<ExitReason> {
        self.parts.metrics.set_registered(self.connection.is_registered());
        if now.saturating_sub(self.expired_at) >= Duration::from_secs(1) {
            self.expired_at = now;
            self.parts.network.registry().expire(now);
            self.parts.metrics.sample(now);
            self.publish_memory();
        }
        let exit = self.send_due(now).or_else(|| self.look_whether_to_go(now));
        if self.connection.is_registered() {
            for (number, notice) in self.outbox.due(now, Duration::from_secs(1)) {
                self.send(TaskManagerMessage::Notice { number, notice }, now);
            }
        }
        exit.or_else(|| self.stopped(now))
    }

    /// Does what is due on the connection.
    fn send_due(&mut self, now: Duration) -> Option<ExitReason> {
        match self.connection.due(now) {
            Due::Nothing => {}
            Due::Connect => self.connect(),
            Due::Register => {
                let registration = self.registration(now);
                self.send(TaskManagerMessage::Register(registration), now);
            }
            Due::Heartbeat => self.beat(now),
            Due::Lost => return self.link_lost("the JobManager is silent", now),
        }
        None
    }

    fn connect(&mut self) {
        self.connection.connecting();
        let (connector, inbox) = (self.parts.connector.clone(), Arc::clone(&self.inbox));
        let runtime = self.parts.runtime.clone();
        self.parts.runtime.spawn(async move {
            inbox.connected(connector.connect(&runtime).await);
        });
    }

    fn connect_failed(&mut self, error: &ConnectError, now: Duration) -> Option<ExitReason> {
        if let ConnectError::Refused { cause, .. } = error {
            return self.stop(ExitReason::Refused { reason: cause.clone() }, now);
        }
        tracing::debug!("{error}");
        match self.connection.failed(now) {
            ReconnectDecision::RetryAfter(_) => None,
            ReconnectDecision::GiveUp => {
                let reason = error.to_string();
                self.stop(ExitReason::RegistrationTimedOut { reason }, now)
            }
        }
    }

    fn link_lost(&mut self, reason: &str, now: Duration) -> Option<ExitReason> {
        tracing::warn!("the connection to the JobManager is lost: {reason}");
        self.receiver = None;
        if self.stopping.is_some() {
            // Nobody is there to take leave of.
            self.connection.close();
            return self.stopped(now);
        }
        match self.connection.lost(now) {
            ReconnectDecision::RetryAfter(_) => self.send_due(now),
            ReconnectDecision::GiveUp => {
                let reason = reason.to_owned();
                self.stop(ExitReason::RegistrationTimedOut { reason }, now)
            }
        }
    }

    /// Works on while the JobManager moves its tasks away.
    fn leave(&mut self, reason: String, now: Duration) -> Option<ExitReason> {
        let time = taskmanager::time_to_leave(&self.parts.configuration);
        if self.stopping.is_some() || self.leaving.is_some() {
            return self.stopped(now);
        }
        tracing::info!("{reason}: this TaskManager is about to go, in {time:?} at the latest");
        self.leaving = Some(Leave::new(reason, time, now));
        if self.connection.is_registered() {
            self.beat(now);
        }
        self.look_whether_to_go(now)
    }

    fn look_whether_to_go(&mut self, now: Duration) -> Option<ExitReason> {
        let (registered, tasks) = (self.connection.is_registered(), !self.live.is_empty());
        let leaving = self.leaving.as_mut().filter(|_| self.stopping.is_none())?;
        let over = leaving.over(Facts { registered, tasks }, now)?;
        self.say_goodbye(over, now)
    }

    /// The JobManager has nothing here any more, or can't move it.
    fn dismissed(&mut self, why: &str, now: Duration) -> Option<ExitReason> {
        let reason = match &self.leaving {
            Some(leaving) => leaving.dismissed(why),
            None => format!("it is about to be ended; {why}"),
        };
        self.say_goodbye(reason, now)
    }

    /// Ends everything, and tells the JobManager so first.
    fn say_goodbye(&mut self, reason: String, now: Duration) -> Option<ExitReason> {
        if self.stopping.is_none() {
            self.notice(Notice::Goodbye { reason: reason.clone() }, now);
        }
        self.stop(ExitReason::Stopped { reason }, now)
    }

    /// Cancels all tasks; the process ends when they have ended, or after some seconds.
    fn stop(&mut self, exit: ExitReason, now: Duration) -> Option<ExitReason> {
        if self.stopping.is_none() {
            tracing::info!("{exit}");
            self.stopping = Some(Stopping { exit, deadline: now + STOP_TIMEOUT });
            for attempt in self.table.live_attempts() {
                self.cancel_live(attempt, now);
            }
        }
        self.stopped(now)
    }

    /// Why the process can end now, if it can.
    fn stopped(&mut self, now: Duration) -> Option<ExitReason> {
        let stopping = self.stopping.as_ref()?;
        let waits_for_farewell = matches!(stopping.exit, ExitReason::Stopped { .. })
            && self.connection.is_registered()
            && !self.outbox.is_empty();
        let done = self.live.is_empty() && !waits_for_farewell;
        (done || now >= stopping.deadline).then(|| stopping.exit.clone())
    }

    fn registration(&self, now: Duration) -> Registration {
        Registration {
            id: self.parts.id.clone(),
            data_address: self.parts.network.address().to_owned(),
            slots: self.parts.slots,
            resources: self.parts.resources,
            build_id: self.parts.build_id,
            executions: self.table.summaries(|attempt| self.checkpoint_of(attempt)),
            process_id: self.parts.process_id,
            leaving: self.leaving.as_ref().map(|leaving| leaving.announced(now)),
        }
    }

    fn beat(&mut self, now: Duration) {
        let heartbeat = TaskManagerHeartbeat {
            id: self.parts.id.clone(),
            heartbeat_seen: self.heartbeat_seen,
            executions: self.table.summaries(|attempt| self.checkpoint_of(attempt)),
            metrics: self.parts.metrics.groups(now),
            leaving: self.leaving.as_ref().map(|leaving| leaving.announced(now)),
        };
        self.send(TaskManagerMessage::Heartbeat(heartbeat), now);
    }

    fn checkpoint_of(&self, attempt: ExecutionAttemptId) -> CheckpointId {
        self.parts.metrics.checkpoint(attempt)
    }

    /// Says something that must not be lost.
    fn notice(&mut self, notice: Notice, now: Duration) -> u64 {
        let number = self.outbox.push(notice.clone(), now);
        if self.connection.is_registered() {
            self.send(TaskManagerMessage::Notice { number, notice }, now);
        }
        number
    }

    fn send(&mut self, message: TaskManagerMessage, now: Duration) {
        self.connection.send(self.guard.epoch(), message, now);
    }

    fn publish_memory(&self) {
        let memory = &self.parts.memory;
        self.parts.metrics.set_memory(
            memory.reserved(),
            memory.total(),
            self.budgets.drawn(),
            self.budgets.limit(),
        );
    }
}

/// For ever, if there's no time.
async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

async fn receive(
    receiver: &mut Option<LinkReceiver<ToTaskManager>>,
) -> Result<ToTaskManager, thalweg_rpc::LinkError> {
    match receiver {
        Some(receiver) => receiver.receive().await,
        None => std::future::pending().await,
    }
}
