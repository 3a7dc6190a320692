//! Pipelined regions: tasks that can only run, and only restart, together.
//!
//! All exchanges are pipelined, so a region is a connected component over channels between
//! subtasks. A chain of forward edges at parallelism 4 is four regions, and the failure of one
//! task restarts a quarter of the job.

use thalweg_core::job_graph::{JobGraph, ShipStrategy};

use super::TaskIndex;

/// Tasks that run together, in the graph's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The tasks, ascending.
    pub tasks: Vec<TaskIndex>,
}

/// The regions of a graph, ordered by their first task, and each task's region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions {
    /// The regions.
    pub list: Vec<Region>,
    /// For each vertex and subtask the index in `list`.
    of_task: Vec<Vec<usize>>,
}

impl Regions {
    /// The regions of `graph`, whose edges must name vertices of it.
    pub fn of(graph: &JobGraph) -> Self {
        let mut offsets = Vec::with_capacity(graph.vertices.len());
        let mut count = 0usize;
        for vertex in &graph.vertices {
            offsets.push(count);
            count += vertex.parallelism as usize;
        }
        let mut sets = DisjointSets::new(count);
        let place = |id| graph.vertices.iter().position(|v| v.id == id);
        for edge in &graph.edges {
            let (Some(from), Some(to)) = (place(edge.from), place(edge.to)) else { continue };
            let producers = graph.vertices[from].parallelism;
            let consumers = graph.vertices[to].parallelism;
            if all_to_all(edge.ship) {
                // Joining both sides with one task joins all; listing the pairs would be quadratic.
                (0..producers).for_each(|p| sets.join(offsets[from] + p as usize, offsets[to]));
                (0..consumers).for_each(|c| sets.join(offsets[from], offsets[to] + c as usize));
                continue;
            }
            for p in 0..producers {
                for c in (0..consumers).filter(|c| edge.ship.connects(p, producers, *c, consumers))
                {
                    sets.join(offsets[from] + p as usize, offsets[to] + c as usize);
                }
            }
        }
        let mut region_of_root = vec![usize::MAX; count];
        let mut list: Vec<Region> = Vec::new();
        let mut of_task = Vec::with_capacity(graph.vertices.len());
        for (vertex, offset) in offsets.iter().enumerate() {
            let mut regions = Vec::new();
            for subtask in 0..graph.vertices[vertex].parallelism {
                let root = sets.root(offset + subtask as usize);
                if region_of_root[root] == usize::MAX {
                    region_of_root[root] = list.len();
                    list.push(Region { tasks: Vec::new() });
                }
                list[region_of_root[root]].tasks.push(TaskIndex { vertex, subtask });
                regions.push(region_of_root[root]);
            }
            of_task.push(regions);
        }
        Self { list, of_task }
    }

    /// The region of a task.
    pub fn of_task(&self, task: TaskIndex) -> usize {
        self.of_task[task.vertex][task.subtask as usize]
    }
}

/// Whether every producer has a channel to every consumer.
pub(super) fn all_to_all(ship: ShipStrategy) -> bool {
    match ship {
        ShipStrategy::Hash
        | ShipStrategy::Rebalance
        | ShipStrategy::Shuffle
        | ShipStrategy::Broadcast
        | ShipStrategy::Custom => true,
        ShipStrategy::Forward | ShipStrategy::Rescale | ShipStrategy::Global => false,
    }
}

/// Union-find with path halving.
struct DisjointSets(Vec<usize>);

impl DisjointSets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, mut of: usize) -> usize {
        while self.0[of] != of {
            self.0[of] = self.0[self.0[of]];
            of = self.0[of];
        }
        of
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        // The lower one stays root, so that the result doesn't depend on the order of edges.
        self.0[a.max(b)] = a.min(b);
    }
}
