//! The ResourceManager: which TaskManagers there are, whether they live, how many are needed.
//!
//! Its parts: [`slot_manager`] (who gets which slot) and [`driver`] (who starts TaskManagers). Not
//! here: what runs on them.

pub mod driver;
mod leave;
mod liveness;
pub mod slot_manager;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{heartbeat, slots, taskmanager};
use thalweg_core::ids::TaskManagerId;
use thalweg_rpc::message::{ExecutionReport, MetricGroup, Registration};

use crate::moment::{Moment, earlier};
pub use driver::{
    LocalDriver, ResourceManagerDriver, StandaloneDriver, WorkerEvent, WorkerEvents, WorkerOptions,
};
pub use liveness::Reception;
pub use slot_manager::{RequestId, SlotAction, SlotEvent, SlotManager, SlotRequest};

/// A connection, as the endpoint numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// How a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnection {
    /// The peer closed it. Nearly always its process has ended.
    Closed,
    /// It broke, or was closed here: the peer may well live.
    Broken,
}

/// Times that the ResourceManager goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceManagerOptions {
    /// `heartbeat.interval`.
    pub heartbeat_interval: Duration,
    /// `heartbeat.timeout`.
    pub heartbeat_timeout: Duration,
    /// How long a TaskManager may be without a connection that broke before it counts as lost:
    /// long enough to connect again after a hiccup of the network.
    pub reconnect_grace: Duration,
    /// The same for one that it has closed: a killed process is noticed at once, and one that lives
    /// and wants another connection has just enough time to make it.
    pub close_grace: Duration,
    /// `slot.request.timeout`.
    pub slot_request_timeout: Duration,
    /// `resourcemanager.taskmanager-timeout`.
    pub unused_timeout: Duration,
    /// How long a TaskManager that is about to go stays, where only the driver says that it is.
    pub leave_time: Duration,
}

impl ResourceManagerOptions {
    /// Those that the configuration gives.
    pub fn of(configuration: &Configuration) -> Self {
        let heartbeat_timeout = configuration.get(&heartbeat::TIMEOUT);
        Self {
            heartbeat_interval: configuration.get(&heartbeat::INTERVAL),
            heartbeat_timeout,
            reconnect_grace: heartbeat_timeout.min(Duration::from_secs(1)),
            close_grace: heartbeat_timeout.min(Duration::from_millis(100)),
            slot_request_timeout: configuration.get(&slots::REQUEST_TIMEOUT),
            unused_timeout: configuration.get(&slots::TASKMANAGER_TIMEOUT),
            leave_time: taskmanager::time_to_leave(configuration),
        }
    }
}

/// A registered TaskManager.
#[derive(Debug, Clone)]
pub struct TaskManager {
    /// What it said of itself.
    pub registration: Registration,
    /// Its connection; None while it is expected to connect again.
    pub connection: Option<ConnectionId>,
    /// When it was last heard.
    pub last_heard: Moment,
    /// Its latest metrics.
    pub metrics: Vec<MetricGroup>,
    /// It is about to go.
    pub leave: Option<Leave>,
    disconnected: Option<(Disconnection, Duration)>,
    sequence: u64,
}

/// A TaskManager is about to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leave {
    /// When it goes, whatever is still there.
    pub until: Duration,
    /// Why it needn't wait for that, once it needn't.
    pub dismissed: Option<String>,
}

/// What the ResourceManager decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceAction {
    /// About slots.
    Slots(SlotAction),
    /// This TaskManager is gone, with all that ran on it. A connection that it still has is to be
    /// closed.
    Lost {
        /// Which.
        task_manager: TaskManagerId,
        /// Its connection.
        connection: Option<ConnectionId>,
        /// Why, for people.
        cause: String,
    },
    /// Tell the driver that this many are needed altogether.
    RequireWorkers(u32),
    /// Tell the driver that one has registered, or is gone.
    WorkerChanged(TaskManagerId, bool),
    /// Tell the driver that this one isn't needed.
    ReleaseWorker(TaskManagerId),
    /// This TaskManager is about to go, and works on until then: what runs there is to be moved.
    Leaving {
        /// Which.
        task_manager: TaskManagerId,
        /// Why, for people.
        reason: String,
        /// When it goes.
        until: Duration,
        /// Until when other slots may come: at once, where nobody starts TaskManagers.
        slots_until: Duration,
    },
}

/// TaskManagers and their slots.
#[derive(Debug, Clone)]
pub struct ResourceManager {
    options: ResourceManagerOptions,
    /// What the driver starts; None: nothing.
    workers: Option<WorkerOptions>,
    task_managers: BTreeMap<TaskManagerId, TaskManager>,
    slot_manager: SlotManager,
    /// How many workers the driver was told to have.
    required: u32,
}

impl ResourceManager {
    /// Without TaskManagers.
    pub fn new(options: ResourceManagerOptions, workers: Option<WorkerOptions>) -> Self {
        Self {
            options,
            workers,
            task_managers: BTreeMap::new(),
            slot_manager: SlotManager::new(options.slot_request_timeout),
            required: 0,
        }
    }

    /// The times that it goes by.
    pub fn options(&self) -> &ResourceManagerOptions {
        &self.options
    }

    /// The slots.
    pub fn slots(&self) -> &SlotManager {
        &self.slot_manager
    }

    /// The registered TaskManagers.
    pub fn task_managers(&self) -> &BTreeMap<TaskManagerId, TaskManager> {
        &self.task_managers
    }

    /// The connection of a registered TaskManager, while it has one.
    pub fn connection(&self, id: &TaskManagerId) -> Option<ConnectionId> {
        self.task_managers.get(id)?.connection
    }

    /// Passes an event on to the slots; then asks for workers if slots are missing.
    pub fn slot_event(&mut self, event: SlotEvent, now: Moment) -> Vec<ResourceAction> {
        let actions = self.slot_manager.handle(event, now.elapsed);
        let mut actions: Vec<_> = actions.into_iter().map(ResourceAction::Slots).collect();
        actions.extend(self.size_cluster(now));
        actions
    }

    /// What runs on a TaskManager, by its own account.
    fn report_busy(
        &mut self,
        id: &TaskManagerId,
        executions: &[ExecutionReport],
        now: Moment,
    ) -> Vec<ResourceAction> {
        let busy = busy_slots(executions);
        self.slot_event(SlotEvent::Reported { task_manager: id.clone(), busy }, now)
    }

    /// All jobs have ended, and no more come: all workers go, whatever they last said of
    /// themselves, and one that comes late goes, too.
    pub fn no_more_jobs(&mut self, now: Moment) -> Vec<ResourceAction> {
        self.options.unused_timeout = Duration::ZERO;
        self.workers = self.workers.map(|workers| WorkerOptions { spare: 0, ..workers });
        if !self.workers.is_some_and(|workers| workers.released) {
            return Vec::new();
        }
        let all = self.slot_manager.take_all();
        let mut actions: Vec<_> = all.into_iter().map(ResourceAction::ReleaseWorker).collect();
        actions.extend(self.size_cluster(now));
        actions
    }

    /// Decides how many workers there are to be, and which one to end:
    ///
    /// 1. Only where the driver starts any.
    /// 2. Those that jobs have slots of and that stay, as many as the slots need that are waited
    ///    for or move, and spare ones.
    /// 3. Of the others, one that no job has used for the time-out is released.
    fn size_cluster(&mut self, now: Moment) -> Vec<ResourceAction> {
        let Some((keep, released)) = self.unused_to_keep() else { return Vec::new() };
        let mut actions = Vec::new();
        let since = now.elapsed.checked_sub(self.options.unused_timeout).filter(|_| released);
        let unused = since.map(|since| self.slot_manager.take_unused(since, keep));
        actions.extend(unused.into_iter().flatten().map(ResourceAction::ReleaseWorker));
        let more = keep.saturating_sub(self.slot_manager.unused());
        let required = u32::try_from(self.slot_manager.staying() + more).unwrap_or(u32::MAX);
        if required != self.required {
            self.required = required;
            actions.push(ResourceAction::RequireWorkers(required));
        }
        actions
    }

    /// How many workers without work there are to be, and whether others are released.
    fn unused_to_keep(&self) -> Option<(usize, bool)> {
        let WorkerOptions { slots, spare, released } = self.workers?;
        let needed = self.slot_manager.needed_of_unused().div_ceil(slots.max(1) as usize);
        Some((needed + spare as usize, released))
    }

    /// When something is to be decided if nothing happens before.
    pub fn deadline(&self) -> Option<Duration> {
        let of_task_managers = self.task_managers.values().map(|tm| self.lost_at(tm));
        let first = of_task_managers.min();
        let keep = self.unused_to_keep().and_then(|(keep, released)| released.then_some(keep));
        let unused = keep.and_then(|keep| self.slot_manager.unused_since(keep));
        let released = unused.map(|since| since + self.options.unused_timeout);
        earlier(first, earlier(released, self.slot_manager.deadline()))
    }
}

/// The slots in which something runs, ascending.
fn busy_slots(executions: &[ExecutionReport]) -> Vec<u32> {
    let live = executions.iter().filter(|report| !report.state.is_terminal());
    let mut busy: Vec<u32> = live.map(|report| report.slot).collect();
    busy.sort_unstable();
    busy
}
