//! The ExecutionGraph: the JobGraph spread out into subtasks, with the current attempt of each.
//!
//! It is bookkeeping: it knows and is asked. Decisions are the scheduler's and the checkpoint
//! coordinator's.

mod execution;
mod region;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::ids::{Epoch, ExecutionAttemptId};
use thalweg_core::job_graph::{JobGraph, JobVertex};
use thalweg_core::status::{ExecutionState, JobStatus};

pub use execution::{AssignedSlot, Correspondence, Execution};
pub use region::{Region, Regions};

use crate::moment::Moment;

/// A subtask, by its vertex's place in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskIndex {
    /// The vertex's place.
    pub vertex: usize,
    /// The subtask.
    pub subtask: u32,
}

/// Why a graph can't be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// It has no vertices.
    #[error("the job has no operators; add a source and a sink before execute()")]
    Empty,
    /// A vertex has no subtask or more than key groups.
    #[error(
        "{vertex:?} has parallelism {parallelism} and max parallelism {max_parallelism}; a \
         parallelism is from 1 to the max parallelism"
    )]
    Parallelism {
        /// Its name.
        vertex: String,
        /// Number of subtasks.
        parallelism: u32,
        /// Number of key groups.
        max_parallelism: u32,
    },
    /// An edge is between vertices that don't exist or stand in the wrong order.
    #[error("edge {0} of the job graph doesn't lead from an earlier to a later vertex")]
    Edge(usize),
    /// A forward edge between different parallelisms.
    #[error(
        "the forward edge from {from:?} (parallelism {producers}) to {to:?} (parallelism \
         {consumers}) needs equal parallelism; use rebalance()"
    )]
    Forward {
        /// The producer's name.
        from: String,
        /// Its parallelism.
        producers: u32,
        /// The consumer's name.
        to: String,
        /// Its parallelism.
        consumers: u32,
    },
}

/// A job's subtasks and their current attempts.
#[derive(Debug, Clone)]
pub struct ExecutionGraph {
    /// What it was made from.
    pub graph: Arc<JobGraph>,
    /// The job's state.
    pub status: JobStatus,
    /// When each state of the job was last entered, in ms since the epoch.
    pub timestamps: BTreeMap<JobStatus, i64>,
    regions: Regions,
    tasks: Vec<Vec<Execution>>,
    by_attempt: BTreeMap<ExecutionAttemptId, TaskIndex>,
    id_prefix: String,
}

impl ExecutionGraph {
    /// Checks the graph and spreads it out; all executions are CREATED. Attempt ids derive from
    /// the job, the epoch, `seed` (another for every JobManager process) and the subtask.
    pub fn new(
        graph: Arc<JobGraph>,
        epoch: Epoch,
        seed: u64,
        now: Moment,
    ) -> Result<Self, GraphError> {
        check(&graph)?;
        let regions = Regions::of(&graph);
        let id_prefix = format!("{}/{}/{seed:016x}", graph.job_id, epoch.0);
        let mut this = Self {
            status: JobStatus::Initializing,
            timestamps: BTreeMap::from([(JobStatus::Initializing, now.wall_ms)]),
            regions,
            tasks: Vec::new(),
            by_attempt: BTreeMap::new(),
            id_prefix,
            graph: Arc::clone(&graph),
        };
        this.create_all(0, now);
        Ok(this)
    }

    /// The same job at another parallelism, in the state that it is in: all executions are CREATED
    /// anew, with numbers above all former ones.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn rescaled(&self, graph: Arc<JobGraph>, now: Moment) -> Result<Self, GraphError> {
        check(&graph)?;
        let number = self.tasks().map(|(_, execution)| execution.number + 1).max().unwrap_or(0);
        let mut this = Self {
            status: self.status,
            timestamps: self.timestamps.clone(),
            regions: Regions::of(&graph),
            tasks: Vec::new(),
            by_attempt: BTreeMap::new(),
            id_prefix: self.id_prefix.clone(),
            graph,
        };
        this.create_all(number, now);
        Ok(this)
    }

    /// Makes the first executions, all with this number.
    fn create_all(&mut self, number: u32, now: Moment) {
        let graph = Arc::clone(&self.graph);
        for (vertex, description) in graph.vertices.iter().enumerate() {
            let subtasks = 0..description.parallelism;
            let executions = subtasks.map(|subtask| {
                let task = TaskIndex { vertex, subtask };
                Execution::new(self.attempt_id(task, number), number, now)
            });
            let executions: Vec<Execution> = executions.collect();
            for (subtask, execution) in (0..).zip(&executions) {
                self.by_attempt.insert(execution.id, TaskIndex { vertex, subtask });
            }
            self.tasks.push(executions);
        }
    }

    fn attempt_id(&self, task: TaskIndex, number: u32) -> ExecutionAttemptId {
        let TaskIndex { vertex, subtask } = task;
        let vertex = self.graph.vertices[vertex].id;
        ExecutionAttemptId::derive(&format!("{}/{vertex}/{subtask}/{number}", self.id_prefix))
    }

    /// Enters a state of the job; tells whether it is another one.
    pub fn transition(&mut self, to: JobStatus, now: Moment) -> bool {
        let changed = self.status != to && !self.status.is_globally_terminal();
        if changed {
            self.status = to;
            self.timestamps.insert(to, now.wall_ms);
        }
        changed
    }

    /// All subtasks, vertex by vertex.
    pub fn tasks(&self) -> impl Iterator<Item = (TaskIndex, &Execution)> {
        self.tasks.iter().enumerate().flat_map(|(vertex, executions)| {
            let numbered = (0..).zip(executions);
            numbered.map(move |(subtask, e)| (TaskIndex { vertex, subtask }, e))
        })
    }

    /// The current attempts of all subtasks of a vertex.
    pub fn executions(&self, vertex: usize) -> &[Execution] {
        &self.tasks[vertex]
    }

    /// The current attempt of a subtask.
    pub fn execution(&self, task: TaskIndex) -> &Execution {
        &self.tasks[task.vertex][task.subtask as usize]
    }

    /// The current attempt of a subtask, to change it.
    pub fn execution_mut(&mut self, task: TaskIndex) -> &mut Execution {
        &mut self.tasks[task.vertex][task.subtask as usize]
    }

    /// The vertex of a subtask.
    pub fn vertex(&self, task: TaskIndex) -> &JobVertex {
        &self.graph.vertices[task.vertex]
    }

    /// The subtask whose current attempt this is.
    pub fn find(&self, attempt: ExecutionAttemptId) -> Option<TaskIndex> {
        self.by_attempt.get(&attempt).copied()
    }

    /// The regions.
    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    /// The tasks that get no barrier any more, given which have `ended` (for each vertex and
    /// subtask): all producers of theirs have. Sources are among them.
    pub fn without_barriers(&self, ended: &[Vec<bool>]) -> Vec<TaskIndex> {
        let all: Vec<bool> = ended.iter().map(|subtasks| subtasks.iter().all(|e| *e)).collect();
        let place = |id| self.graph.vertices.iter().position(|v| v.id == id);
        let closed = |task: TaskIndex| {
            let consumer = self.vertex(task);
            self.graph.inputs(consumer.id).all(|(_, edge)| {
                let Some(from) = place(edge.from) else { return true };
                let producers = self.graph.vertices[from].parallelism;
                let connects =
                    |p| edge.ship.connects(p, producers, task.subtask, consumer.parallelism);
                all[from]
                    || !region::all_to_all(edge.ship)
                        && (0..producers).all(|p| ended[from][p as usize] || !connects(p))
            })
        };
        self.tasks().map(|(task, _)| task).filter(|task| closed(*task)).collect()
    }

    /// A name for people: `vertex (2/4)`.
    pub fn task_name(&self, task: TaskIndex) -> String {
        let vertex = self.vertex(task);
        format!("{} ({}/{})", vertex.name, task.subtask + 1, vertex.parallelism)
    }

    /// Replaces an ended attempt by a new one in state CREATED. One that hasn't ended stays: two
    /// attempts of a subtask never live at a time.
    pub fn new_attempt(&mut self, task: TaskIndex, now: Moment) {
        let old = self.execution(task);
        if !old.state.is_terminal() {
            return;
        }
        let number = old.number + 1;
        let (old, id) = (old.id, self.attempt_id(task, number));
        self.by_attempt.remove(&old);
        self.by_attempt.insert(id, task);
        *self.execution_mut(task) = Execution::new(id, number, now);
    }

    /// Whether all tasks are in a state for which `holds`.
    pub fn all(&self, holds: impl Fn(ExecutionState) -> bool) -> bool {
        self.tasks.iter().flatten().all(|execution| holds(execution.state))
    }
}

fn check(graph: &JobGraph) -> Result<(), GraphError> {
    if graph.vertices.is_empty() {
        return Err(GraphError::Empty);
    }
    for vertex in &graph.vertices {
        let (parallelism, max_parallelism) = (vertex.parallelism, vertex.max_parallelism);
        if !(1..=max_parallelism).contains(&parallelism) {
            let vertex = vertex.name.clone();
            return Err(GraphError::Parallelism { vertex, parallelism, max_parallelism });
        }
    }
    let place = |id| graph.vertices.iter().position(|v| v.id == id);
    for (index, edge) in graph.edges.iter().enumerate() {
        let (from, to) = match (place(edge.from), place(edge.to)) {
            (Some(from), Some(to)) if from < to => (&graph.vertices[from], &graph.vertices[to]),
            _ => return Err(GraphError::Edge(index)),
        };
        let forward = edge.ship == thalweg_core::job_graph::ShipStrategy::Forward;
        if forward && from.parallelism != to.parallelism {
            return Err(GraphError::Forward {
                from: from.name.clone(),
                producers: from.parallelism,
                to: to.name.clone(),
                consumers: to.parallelism,
            });
        }
    }
    Ok(())
}
