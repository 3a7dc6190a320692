//! The scheduler's bookkeeping: which region is deployed, which waits for what, which slots the job
//! holds. Not here: performing it; the JobMaster turns it into actions (`deployment`, `failover`).

mod leaving;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_core::ids::{AllocationId, TaskManagerId};
use thalweg_core::job_graph::JobGraph;
use thalweg_core::status::ExecutionState;

use super::execution_graph::{AssignedSlot, ExecutionGraph, TaskIndex};
use super::message::JobAction;
use crate::resource_manager::RequestId;

/// A slot that subtasks of one slot sharing group share: the group's place and the subtask's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedSlot {
    /// The slot sharing group, numbered in the order of its first vertex.
    pub group: usize,
    /// The subtask's index: two subtasks of a vertex never share.
    pub index: u32,
}

/// How far a region is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionPhase {
    /// To be deployed: not before this moment, nor before its former attempts have ended.
    Waiting {
        /// When its backoff ends.
        not_before: Duration,
    },
    /// Deployed.
    Deployed,
}

/// What the next step of scheduling is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask for these slots.
    Request(SlotDemand),
    /// Deploy these regions: all their slots are there.
    Deploy(Vec<usize>),
    /// Nothing now.
    Nothing,
}

/// Slots to ask for, all of them or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotDemand {
    /// The request's number.
    pub request: RequestId,
    /// One for each slot.
    pub allocations: Vec<AllocationId>,
    /// Slots on TaskManagers that are about to go, in whose place some of these are.
    pub replaces: Vec<AllocationId>,
}

impl SlotDemand {
    /// The same as something to be done; waits until then, if not for the usual time.
    pub fn into_action(self, until: Option<Duration>) -> JobAction {
        let Self { request, allocations, replaces } = self;
        JobAction::RequestSlots { request, allocations, replaces, until }
    }
}

#[derive(Debug, Clone)]
struct HeldSlot {
    slot: AssignedSlot,
    /// Since when nothing of the job needs it.
    idle_since: Option<Duration>,
}

/// Regions and slots of a job.
#[derive(Debug, Clone)]
pub struct Scheduler {
    phases: Vec<RegionPhase>,
    groups: Vec<usize>,
    held: BTreeMap<SharedSlot, HeldSlot>,
    /// TaskManagers without a connection: they come back, or are lost.
    unconnected: BTreeSet<TaskManagerId>,
    /// TaskManagers that are about to go.
    leaving: BTreeSet<TaskManagerId>,
    /// Slots on these in whose place others are held; tasks may still run in them.
    left: Vec<AssignedSlot>,
    /// The open request: its number, and the slot for each of its allocations.
    open: Option<(RequestId, Vec<(SharedSlot, AllocationId)>)>,
    requests: u64,
    /// Slots that a change of parallelism is going to need.
    reserved: BTreeSet<SharedSlot>,
    allocation_prefix: String,
    idle_timeout: Duration,
    /// Whether any region has ever been deployed.
    pub started: bool,
}

impl Scheduler {
    /// All regions wait from `now` on. Allocation ids derive from `prefix` and a running number.
    pub fn new(
        graph: &ExecutionGraph,
        prefix: String,
        idle_timeout: Duration,
        now: Duration,
    ) -> Self {
        Self {
            phases: vec![RegionPhase::Waiting { not_before: now }; graph.regions().list.len()],
            groups: sharing_groups(&graph.graph),
            held: BTreeMap::new(),
            unconnected: BTreeSet::new(),
            leaving: BTreeSet::new(),
            left: Vec::new(),
            open: None,
            requests: 0,
            reserved: BTreeSet::new(),
            allocation_prefix: prefix,
            idle_timeout,
            started: false,
        }
    }

    /// How far a region is.
    pub fn phase(&self, region: usize) -> RegionPhase {
        self.phases[region]
    }

    /// Whether every region is deployed.
    pub fn all_deployed(&self) -> bool {
        self.phases.iter().all(|phase| *phase == RegionPhase::Deployed)
    }

    /// A region is to be deployed again, not before `not_before`.
    pub fn restart(&mut self, region: usize, not_before: Duration) {
        self.phases[region] = RegionPhase::Waiting { not_before };
    }

    /// A region was deployed.
    pub fn deployed(&mut self, region: usize) {
        self.phases[region] = RegionPhase::Deployed;
        self.started = true;
    }

    /// The shared slot of a task.
    pub fn shared_slot(&self, task: TaskIndex) -> SharedSlot {
        SharedSlot { group: self.groups[task.vertex], index: task.subtask }
    }

    /// The slot that the job holds for a task.
    pub fn slot(&self, task: TaskIndex) -> Option<&AssignedSlot> {
        self.held.get(&self.shared_slot(task)).map(|held| &held.slot)
    }

    /// Decides the next step:
    ///
    /// 1. A region is ready when its backoff is over and none of its former attempts lives.
    /// 2. All ready regions are deployed together, once the job holds a slot for each of their
    ///    tasks. Slots of the former attempts are used again, where they are still there: one whose
    ///    TaskManager has no connection is waited for until it is known whether it is, and one
    ///    whose TaskManager is about to go isn't used.
    /// 3. What is missing is asked for in one request. While one is open no other is made; regions
    ///    that have all their slots don't wait for it.
    pub fn step(&mut self, graph: &ExecutionGraph, now: Duration) -> Step {
        let idle = |task: &TaskIndex| {
            let state = graph.execution(*task).state;
            state.is_terminal() || state < ExecutionState::Deploying
        };
        let regions = graph.regions();
        let ready: Vec<usize> = (0..self.phases.len())
            .filter(|region| match self.phases[*region] {
                RegionPhase::Waiting { not_before } => now >= not_before,
                RegionPhase::Deployed => false,
            })
            .filter(|region| regions.list[*region].tasks.iter().all(idle))
            .collect();
        let complete = |region: &usize| {
            let usable = |slot: &AssignedSlot| {
                let on = &slot.task_manager;
                !self.unconnected.contains(on) && !self.leaving.contains(on)
            };
            regions.list[*region].tasks.iter().all(|task| self.slot(*task).is_some_and(usable))
        };
        let deployable: Vec<usize> = ready.iter().copied().filter(complete).collect();
        // Before anything ran, parts of the job don't start ahead of the others.
        if !deployable.is_empty() && (self.started || deployable.len() == ready.len()) {
            return Step::Deploy(deployable);
        }
        if ready.is_empty() || self.open.is_some() {
            return Step::Nothing;
        }
        let tasks = ready.iter().flat_map(|region| &regions.list[*region].tasks);
        let mut missing: Vec<SharedSlot> = tasks.map(|task| self.shared_slot(*task)).collect();
        missing.retain(|shared| !self.stays(shared));
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Step::Nothing;
        }
        Step::Request(self.ask_for(&missing))
    }

    fn ask_for(&mut self, missing: &[SharedSlot]) -> SlotDemand {
        self.requests += 1;
        let request = self.requests;
        let claim = |(number, shared): (usize, &SharedSlot)| {
            let text = format!("{}/{request}/{number}", self.allocation_prefix);
            (*shared, AllocationId::derive(&text))
        };
        let claims: Vec<_> = missing.iter().enumerate().map(claim).collect();
        let allocations = claims.iter().map(|(_, allocation)| *allocation).collect();
        self.open = Some((request, claims));
        let held = missing.iter().filter_map(|shared| self.held.get(shared));
        let replaces = held.map(|held| held.slot.allocation).collect();
        SlotDemand { request, allocations, replaces }
    }

    /// Keeps the slots that `graph`, the job at another parallelism, is going to need. Gives the
    /// request for those that are missing.
    ///
    /// # Errors
    /// Another request is open, so there can't be one.
    pub fn reserve(&mut self, graph: &JobGraph) -> Result<Option<SlotDemand>, String> {
        if self.open.is_some() {
            return Err("the job waits for slots already".to_owned());
        }
        self.reserved = needed(graph);
        let is_missing = |shared: &&SharedSlot| !self.stays(shared);
        let missing: Vec<SharedSlot> = self.reserved.iter().filter(is_missing).copied().collect();
        if missing.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.ask_for(&missing)))
    }

    /// What was kept isn't needed after all; it is given back when it has been idle for a while.
    pub fn release_reservation(&mut self) {
        self.reserved.clear();
    }

    /// The job has another parallelism: all its regions wait from `now` on. Gives up the slots that
    /// aren't needed any more.
    pub fn rescaled(&mut self, graph: &ExecutionGraph, now: Duration) -> Vec<AllocationId> {
        let not_before = now;
        self.phases = vec![RegionPhase::Waiting { not_before }; graph.regions().list.len()];
        self.groups = sharing_groups(&graph.graph);
        self.reserved.clear();
        let needed = needed(&graph.graph);
        let held = std::mem::take(&mut self.held).into_iter();
        let (keep, unneeded): (Vec<_>, Vec<_>) = held.partition(|(s, _)| needed.contains(s));
        self.held = keep.into_iter().collect();
        unneeded.into_iter().map(|(_, held)| held.slot.allocation).collect()
    }

    /// Slots were given, some perhaps in the place of others. Gives back those that aren't wanted
    /// any more.
    pub fn granted(&mut self, request: RequestId, slots: Vec<AssignedSlot>) -> Vec<AllocationId> {
        let Some((_, claims)) = self.open.take_if(|(open, _)| *open == request) else {
            return slots.into_iter().map(|slot| slot.allocation).collect();
        };
        for slot in slots {
            let claim = claims.iter().find(|(_, allocation)| *allocation == slot.allocation);
            if let Some((shared, _)) = claim {
                let before = self.held.insert(*shared, HeldSlot { slot, idle_since: None });
                self.left.extend(before.map(|before| before.slot));
            }
        }
        Vec::new()
    }

    /// The open request was given up; tells whether it was this one.
    pub fn request_failed(&mut self, request: RequestId) -> bool {
        self.open.take_if(|(open, _)| *open == request).is_some()
    }

    /// A TaskManager has no connection.
    pub fn disconnected(&mut self, id: TaskManagerId) {
        self.unconnected.insert(id);
    }

    /// A TaskManager has a connection.
    pub fn connected(&mut self, id: &TaskManagerId) {
        self.unconnected.remove(id);
    }

    /// A TaskManager and its slots are gone.
    pub fn lost(&mut self, id: &TaskManagerId) {
        self.unconnected.remove(id);
        self.leaving.remove(id);
        self.left.retain(|slot| slot.task_manager != *id);
        self.held.retain(|_, held| held.slot.task_manager != *id);
    }

    /// Gives up all slots and the open request.
    pub fn release_all(&mut self) -> (bool, Vec<AllocationId>) {
        let held = std::mem::take(&mut self.held);
        let held = held.into_values().map(|held| held.slot);
        let slots = held.chain(std::mem::take(&mut self.left)).map(|slot| slot.allocation);
        let slots = slots.collect();
        (self.open.take().is_some(), slots)
    }

    /// Gives up slots that nothing of the job has needed for the idle time-out: those all of whose
    /// tasks have finished.
    pub fn release_idle(&mut self, graph: &ExecutionGraph, now: Duration) -> Vec<AllocationId> {
        let mut needed: Vec<SharedSlot> = graph
            .tasks()
            .filter(|(_, execution)| execution.state != ExecutionState::Finished)
            .map(|(task, _)| self.shared_slot(task))
            .chain(self.reserved.iter().copied())
            .collect();
        needed.sort_unstable();
        let mut released = Vec::new();
        let timeout = self.idle_timeout;
        self.held.retain(|shared, held| {
            if needed.binary_search(shared).is_ok() {
                held.idle_since = None;
                return true;
            }
            let since = *held.idle_since.get_or_insert(now);
            let keep = now.saturating_sub(since) < timeout;
            if !keep {
                released.push(held.slot.allocation);
            }
            keep
        });
        released
    }

    /// When something is to be decided if nothing happens before.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        let backoffs = self.phases.iter().filter_map(|phase| match phase {
            RegionPhase::Waiting { not_before } => Some(*not_before).filter(|at| *at > now),
            RegionPhase::Deployed => None,
        });
        let idle = self.held.values().filter_map(|held| held.idle_since);
        backoffs.chain(idle.map(|since| since + self.idle_timeout)).min()
    }
}

/// The slots that a job needs.
fn needed(graph: &JobGraph) -> BTreeSet<SharedSlot> {
    let groups = sharing_groups(graph).into_iter().zip(&graph.vertices);
    let of_vertex = |(group, vertex): (usize, &thalweg_core::job_graph::JobVertex)| {
        (0..vertex.parallelism).map(move |index| SharedSlot { group, index })
    };
    groups.flat_map(of_vertex).collect()
}

/// For each vertex the number of its slot sharing group, in the order of first appearance.
fn sharing_groups(graph: &JobGraph) -> Vec<usize> {
    let mut names: Vec<&str> = Vec::new();
    let mut groups = Vec::with_capacity(graph.vertices.len());
    for vertex in &graph.vertices {
        let name = vertex.slot_sharing_group.as_str();
        let group = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        groups.push(group);
    }
    groups
}
