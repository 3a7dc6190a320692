//! The slots of the cluster: which there are, who has them, who waits.
//!
//! It decides who gets which slot and nothing else: what runs in a slot is the JobMaster's, and
//! whether a TaskManager is alive is the ResourceManager's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_core::ids::{AllocationId, JobId, TaskManagerId};

use crate::job_master::execution_graph::AssignedSlot;
use crate::moment::earlier;

/// The number of a JobMaster's request.
pub type RequestId = u64;

/// Slots that a job needs, all of them or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRequest {
    /// The job.
    pub job: JobId,
    /// Its number; a job has one open request at most.
    pub id: RequestId,
    /// One for each slot.
    pub allocations: Vec<AllocationId>,
    /// Slots that the job has, of TaskManagers that are about to go, in whose place these are.
    pub replaces: Vec<AllocationId>,
    /// Until when it waits, at most; None: for `slot.request.timeout`.
    pub until: Option<Duration>,
}

/// What happened to slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotEvent {
    /// A TaskManager is there (or still there).
    Registered {
        /// Which.
        task_manager: TaskManagerId,
        /// Number of its slots.
        slots: u32,
        /// Its data address.
        data_address: String,
        /// Slots in which something runs already, ascending.
        busy: Vec<u32>,
        /// It is about to go.
        leaving: bool,
    },
    /// Slots of a TaskManager in which something runs, wanted or not. It is connected.
    Reported {
        /// Which.
        task_manager: TaskManagerId,
        /// The slots, ascending.
        busy: Vec<u32>,
    },
    /// A TaskManager has no connection: it may come back, with its slots, or be lost.
    Disconnected(TaskManagerId),
    /// A TaskManager is about to go: no slot of it is given any more.
    Leaving(TaskManagerId),
    /// A TaskManager and its slots are gone.
    Lost(TaskManagerId),
    /// A job needs slots.
    Requested(SlotRequest),
    /// A job doesn't wait any more.
    Withdrawn(JobId),
    /// A job gives slots back.
    Released(Vec<AllocationId>),
    /// Time has passed.
    Tick,
}

/// What is to be done about slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotAction {
    /// The request is fulfilled.
    Granted {
        /// The job.
        job: JobId,
        /// The request.
        request: RequestId,
        /// A slot for each allocation, in the request's order.
        slots: Vec<AssignedSlot>,
    },
    /// The request waited for too long.
    TimedOut {
        /// The job.
        job: JobId,
        /// The request.
        request: RequestId,
        /// What was missing and what helps.
        message: String,
    },
}

#[derive(Debug, Clone)]
struct Slot {
    allocation: Option<(JobId, AllocationId)>,
    busy: bool,
}

#[derive(Debug, Clone)]
struct Slots {
    data_address: String,
    slots: Vec<Slot>,
    connected: bool,
    leaving: bool,
    /// Since when no job has one of them.
    unused_since: Option<Duration>,
}

#[derive(Debug, Clone)]
struct Waiting {
    request: SlotRequest,
    since: Duration,
    deadline: Duration,
}

/// The slots and the requests for them.
#[derive(Debug, Clone)]
pub struct SlotManager {
    request_timeout: Duration,
    task_managers: BTreeMap<TaskManagerId, Slots>,
    waiting: Vec<Waiting>,
    /// Slots in whose place jobs have been given others.
    replaced: BTreeSet<AllocationId>,
}

impl SlotManager {
    /// Without slots. `request_timeout` is `slot.request.timeout`.
    pub fn new(request_timeout: Duration) -> Self {
        Self {
            request_timeout,
            task_managers: BTreeMap::new(),
            waiting: Vec::new(),
            replaced: BTreeSet::new(),
        }
    }

    /// Decides:
    ///
    /// 1. A request is fulfilled completely or not at all, so that jobs can't block each other
    ///    with parts of what they need. Older ones come first; one that can't be fulfilled now
    ///    doesn't hold up a smaller one after it.
    /// 2. A slot is free when no job has it and nothing runs in it: a TaskManager that was taken
    ///    for lost may still be ending tasks. None of a TaskManager without a connection is, nor of
    ///    one that is about to go.
    /// 3. Slots are spread evenly: each goes to the TaskManager with the most free slots, the
    ///    lowest id among equals, and the lowest slot on it.
    /// 4. A request that waits for the time-out is given up with the number that is missing.
    pub fn handle(&mut self, event: SlotEvent, now: Duration) -> Vec<SlotAction> {
        match event {
            SlotEvent::Registered { task_manager, slots, data_address, busy, leaving } => {
                let slot = |i| Slot { allocation: None, busy: busy.binary_search(&i).is_ok() };
                self.task_managers.entry(task_manager).or_insert_with(|| Slots {
                    data_address,
                    slots: (0..slots).map(slot).collect(),
                    connected: true,
                    leaving,
                    unused_since: Some(now),
                });
            }
            SlotEvent::Reported { task_manager, busy } => {
                if let Some(entry) = self.task_managers.get_mut(&task_manager) {
                    entry.connected = true;
                    for (index, slot) in (0u32..).zip(&mut entry.slots) {
                        slot.busy = busy.binary_search(&index).is_ok();
                    }
                }
            }
            SlotEvent::Disconnected(task_manager) => {
                if let Some(entry) = self.task_managers.get_mut(&task_manager) {
                    entry.connected = false;
                }
            }
            SlotEvent::Leaving(task_manager) => {
                if let Some(entry) = self.task_managers.get_mut(&task_manager) {
                    entry.leaving = true;
                }
            }
            SlotEvent::Lost(task_manager) => {
                self.task_managers.remove(&task_manager);
            }
            SlotEvent::Requested(request) => {
                self.waiting.retain(|w| w.request.job != request.job);
                let deadline = now + self.request_timeout;
                let deadline = request.until.map_or(deadline, |until| until.min(deadline));
                self.waiting.push(Waiting { request, since: now, deadline });
            }
            SlotEvent::Withdrawn(job) => self.waiting.retain(|w| w.request.job != job),
            SlotEvent::Released(allocations) => self.release(&allocations, now),
            SlotEvent::Tick => {}
        }
        self.forget_replaced();
        let mut actions = self.grant();
        actions.extend(self.expire(now));
        actions
    }

    fn release(&mut self, allocations: &[AllocationId], now: Duration) {
        for entry in self.task_managers.values_mut() {
            for slot in &mut entry.slots {
                slot.allocation.take_if(|(_, held)| allocations.contains(held));
            }
            let unused = entry.slots.iter().all(|slot| slot.allocation.is_none());
            entry.unused_since = entry.unused_since.filter(|_| unused).or(unused.then_some(now));
        }
    }

    fn grant(&mut self) -> Vec<SlotAction> {
        let mut actions = Vec::new();
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|waiting| {
            let SlotRequest { job, id, allocations, replaces, .. } = &waiting.request;
            if self.free_slots() < allocations.len() {
                return true;
            }
            self.replaced.extend(replaces);
            let slots = allocations.iter().filter_map(|a| self.assign(*job, *a)).collect();
            actions.push(SlotAction::Granted { job: *job, request: *id, slots });
            false
        });
        self.waiting = waiting;
        actions
    }

    /// Gives the best free slot, if there is one.
    fn assign(&mut self, job: JobId, allocation: AllocationId) -> Option<AssignedSlot> {
        // `max_by_key` takes the last of equals; reversed, that is the lowest id.
        let givable = self.task_managers.iter_mut().rev().filter(|(_, entry)| entry.is_givable());
        let (id, entry) = givable.max_by_key(|(_, entry)| entry.unoccupied())?;
        let slot = entry.slots.iter().position(Slot::is_free)?;
        entry.slots[slot].allocation = Some((job, allocation));
        entry.unused_since = None;
        Some(AssignedSlot {
            allocation,
            task_manager: id.clone(),
            slot: u32::try_from(slot).unwrap_or(u32::MAX),
            data_address: entry.data_address.clone(),
        })
    }

    fn expire(&mut self, now: Duration) -> Vec<SlotAction> {
        let (registered, free) = (self.registered_slots(), self.free_slots());
        let task_managers = self.task_managers.len();
        let mut actions = Vec::new();
        self.waiting.retain(|waiting| {
            if now < waiting.deadline {
                return true;
            }
            let SlotRequest { job, id, allocations, .. } = &waiting.request;
            let waited = waiting.deadline.saturating_sub(waiting.since);
            let needed = allocations.len();
            let message = format!(
                "the job needs {needed} more slots; {registered} are registered by \
                 {task_managers} TaskManagers, {free} of them free, after waiting for {:?}. Start \
                 more TaskManagers, raise taskmanager.numberOfTaskSlots, or lower the parallelism",
                waited
            );
            actions.push(SlotAction::TimedOut { job: *job, request: *id, message });
            false
        });
        actions
    }

    /// Number of slots of all TaskManagers.
    pub fn registered_slots(&self) -> usize {
        self.task_managers.values().map(|entry| entry.slots.len()).sum()
    }

    /// Number of slots that could be given.
    pub fn free_slots(&self) -> usize {
        let givable = self.task_managers.values().filter(|entry| entry.is_givable());
        givable.map(Slots::unoccupied).sum()
    }

    /// Number of slots that are waited for, or are still to be replaced as their TaskManager is
    /// about to go, beyond those that are left on TaskManagers of which jobs have some. A slot in
    /// which something still runs will be free, and one without a connection comes back or is lost.
    pub fn needed_of_unused(&self) -> usize {
        let wanted: usize = self.waiting.iter().map(|w| w.request.allocations.len()).sum();
        let moving = self.allocations_leaving().filter(|held| !self.is_replaced(*held)).count();
        let used = self.task_managers.values().filter(|entry| !entry.leaving && entry.held() > 0);
        let left: usize = used.map(|entry| entry.slots.len() - entry.held()).sum();
        (wanted + moving).saturating_sub(left)
    }

    /// What jobs have of TaskManagers that are about to go.
    fn allocations_leaving(&self) -> impl Iterator<Item = AllocationId> {
        let leaving = self.task_managers.values().filter(|entry| entry.leaving);
        let held = leaving.flat_map(|entry| &entry.slots).filter_map(|slot| slot.allocation);
        held.map(|(_, allocation)| allocation)
    }

    /// Whether the job has another slot in its place, or waits for one.
    fn is_replaced(&self, held: AllocationId) -> bool {
        self.replaced.contains(&held)
            || self.waiting.iter().any(|waiting| waiting.request.replaces.contains(&held))
    }

    fn forget_replaced(&mut self) {
        if !self.replaced.is_empty() {
            let still: BTreeSet<AllocationId> = self.allocations_leaving().collect();
            self.replaced.retain(|replaced| still.contains(replaced));
        }
    }

    /// Number of TaskManagers that aren't about to go.
    pub fn staying(&self) -> usize {
        self.task_managers.values().filter(|entry| !entry.leaving).count()
    }

    /// Number of those that no job has a slot of.
    pub fn unused(&self) -> usize {
        self.task_managers.values().filter(|entry| entry.is_unused()).count()
    }

    /// TaskManagers no slot of which any job has had since `since`, but for `keep` of the unused
    /// ones, those that have been so for the shortest time. They count as about to go from now on.
    pub fn take_unused(&mut self, since: Duration, keep: usize) -> Vec<TaskManagerId> {
        let surplus = self.unused().saturating_sub(keep);
        let unused = self.task_managers.iter_mut().filter(|(_, entry)| entry.is_unused());
        let mut unused: Vec<_> = unused.collect();
        unused.sort_by_key(|(_, entry)| entry.unused_since);
        let late = |entry: &Slots| entry.unused_since.is_some_and(|at| at <= since);
        let late = unused.into_iter().take(surplus).filter(|(_, entry)| late(entry));
        let taken = late.map(|(id, entry)| {
            entry.leaving = true;
            id.clone()
        });
        taken.collect()
    }

    /// All TaskManagers that weren't about to go. From now on they are.
    pub fn take_all(&mut self) -> Vec<TaskManagerId> {
        let staying = self.task_managers.iter_mut().filter(|(_, entry)| !entry.leaving);
        let taken = staying.map(|(id, entry)| {
            entry.leaving = true;
            id.clone()
        });
        taken.collect()
    }

    /// Since when the first of those that `take_unused` could take has been unused.
    pub fn unused_since(&self, keep: usize) -> Option<Duration> {
        if self.unused() <= keep {
            return None;
        }
        let unused = self.task_managers.values().filter(|entry| entry.is_unused());
        unused.filter_map(|entry| entry.unused_since).min()
    }

    /// The jobs that have slots of a TaskManager, one entry per slot.
    pub fn jobs_on<'a>(&'a self, id: &TaskManagerId) -> impl Iterator<Item = JobId> + 'a {
        let slots = self.task_managers.get(id).into_iter().flat_map(|entry| &entry.slots);
        slots.filter_map(|slot| slot.allocation.map(|(job, _)| job))
    }

    /// When something is to be decided if nothing happens before.
    pub fn deadline(&self) -> Option<Duration> {
        self.waiting.iter().fold(None, |at, waiting| earlier(at, Some(waiting.deadline)))
    }
}

impl Slots {
    /// How many of them jobs have.
    fn held(&self) -> usize {
        self.slots.iter().filter(|slot| slot.allocation.is_some()).count()
    }

    fn is_givable(&self) -> bool {
        self.connected && !self.leaving
    }

    /// Whether it stays, and no job has a slot of it.
    fn is_unused(&self) -> bool {
        !self.leaving && self.held() == 0
    }

    /// How many of them nobody has.
    fn unoccupied(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_free()).count()
    }
}

impl Slot {
    fn is_free(&self) -> bool {
        self.allocation.is_none() && !self.busy
    }
}
