//! The JobGraph: what is to run, as plain data.
//!
//! It holds no code. The code of an operator is found by its [`OperatorId`] in the registry that
//! capturing the program fills, in the same binary. Not here: how the graph is made
//! (`datastream`) and how it is run (`jobmanager`).

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::ids::{JobId, JobVertexId, OperatorId};

/// How the rows of one vertex reach the subtasks of the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ShipStrategy {
    /// Subtask i to subtask i; needs equal parallelism.
    Forward,
    /// By the key group of the row's key.
    Hash,
    /// Round robin over all.
    Rebalance,
    /// Round robin over the subtasks that are near: as few channels as possible.
    Rescale,
    /// By a hash of the row's place: evenly, in no order that repeats over subtasks.
    Shuffle,
    /// Every row to every subtask.
    Broadcast,
    /// Every row to subtask 0.
    Global,
    /// By a function of the application.
    Custom,
}

impl ShipStrategy {
    /// Flink's name, as REST and plans show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "FORWARD",
            Self::Hash => "HASH",
            Self::Rebalance => "REBALANCE",
            Self::Rescale => "RESCALE",
            Self::Shuffle => "SHUFFLE",
            Self::Broadcast => "BROADCAST",
            Self::Global => "GLOBAL",
            Self::Custom => "CUSTOM",
        }
    }

    /// Whether producer subtask `from` of `producers` has a channel to consumer subtask `to` of
    /// `consumers`.
    pub fn connects(self, from: u32, producers: u32, to: u32, consumers: u32) -> bool {
        match self {
            Self::Forward => from == to,
            Self::Global => to == 0,
            Self::Rescale if producers >= consumers => {
                u64::from(from) * u64::from(consumers) / u64::from(producers) == u64::from(to)
            }
            Self::Rescale => {
                u64::from(to) * u64::from(producers) / u64::from(consumers) == u64::from(from)
            }
            _ => true,
        }
    }
}

/// What a connector promises when the job restarts from a checkpoint. The weakest comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryGuarantee {
    /// Rows may be lost or repeated.
    None,
    /// Rows may be repeated.
    AtLeastOnce,
    /// A source reads every row again that isn't in the checkpoint, and no other; every output of
    /// a sink is visible exactly once.
    ExactlyOnce,
}

impl DeliveryGuarantee {
    /// Its name in plans and job info.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::AtLeastOnce => "AT_LEAST_ONCE",
            Self::ExactlyOnce => "EXACTLY_ONCE",
        }
    }
}

/// Where an operator's output goes within its chain or out of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChainedEdge {
    /// None = the main output, else the side output's name.
    pub tag: Option<String>,
    /// Index of the receiving operator in the vertex's `operators`.
    pub to: usize,
}

/// One operator of a vertex.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OperatorNode {
    /// Its id.
    pub id: OperatorId,
    /// The user's uid, when one was given.
    pub uid: Option<String>,
    /// Its name, for people.
    pub name: String,
    /// Whether it keeps state between records.
    pub stateful: bool,
    /// What it promises, when it is a source or a sink.
    pub guarantee: Option<DeliveryGuarantee>,
    /// Operators of the same vertex that its outputs go to.
    pub chained: Vec<ChainedEdge>,
}

/// A vertex: a chain (in general a tree) of operators that run in one task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobVertex {
    /// Its id, derived from the head operator's.
    pub id: JobVertexId,
    /// The names of its operators, as Flink writes them: `a -> (b, c)`.
    pub name: String,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// Number of key groups, and the most subtasks it can ever have.
    pub max_parallelism: u32,
    /// Subtasks of vertices of the same group may share a slot.
    pub slot_sharing_group: String,
    /// Its operators; the first is the head, every other one stands after what feeds it.
    pub operators: Vec<OperatorNode>,
    /// Set when the head is a source: whether its input ends.
    pub source_bounded: Option<bool>,
}

/// An edge between two vertices.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobEdge {
    /// The producing vertex.
    pub from: JobVertexId,
    /// Index of the producing operator in that vertex.
    pub from_operator: usize,
    /// None = that operator's main output, else the side output's name.
    pub tag: Option<String>,
    /// The consuming vertex.
    pub to: JobVertexId,
    /// The input of the consuming vertex's head: 0, or 1 for the second of two inputs.
    pub input: u8,
    /// How rows find their subtask.
    pub ship: ShipStrategy,
}

/// A job, ready to be submitted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobGraph {
    /// The job's id.
    pub job_id: JobId,
    /// Its name, for people.
    pub name: String,
    /// Its vertices, sources first; an edge goes from an earlier to a later one.
    pub vertices: Vec<JobVertex>,
    /// Its edges. The place in this list is the edge's index.
    pub edges: Vec<JobEdge>,
    /// Fingerprint of record schemas, in the order of `edges`.
    pub edge_schemas: Vec<u64>,
}

impl JobGraph {
    /// The vertex with this id.
    pub fn vertex(&self, id: JobVertexId) -> Option<&JobVertex> {
        self.vertices.iter().find(|v| v.id == id)
    }

    /// What the job as a whole promises: the weakest guarantee of its sources and sinks.
    pub fn guarantee(&self) -> Option<DeliveryGuarantee> {
        let operators = self.vertices.iter().flat_map(|vertex| &vertex.operators);
        operators.filter_map(|operator| operator.guarantee).min()
    }

    /// Edges into the vertex, with their indexes.
    pub fn inputs(&self, id: JobVertexId) -> impl Iterator<Item = (usize, &JobEdge)> {
        self.edges.iter().enumerate().filter(move |(_, e)| e.to == id)
    }

    /// Edges out of the vertex, with their indexes.
    pub fn outputs(&self, id: JobVertexId) -> impl Iterator<Item = (usize, &JobEdge)> {
        self.edges.iter().enumerate().filter(move |(_, e)| e.from == id)
    }

    /// A number that differs when operators, edges, or record schemas differ. Parallelism isn't
    /// part of it: it may change between two runs of the same program.
    pub fn fingerprint(&self) -> u64 {
        let mut text = String::new();
        for v in &self.vertices {
            for o in &v.operators {
                text.push_str(&format!("o{}{}{:?};", o.id, o.name, o.chained));
            }
        }
        for (e, schema) in self.edges.iter().zip(&self.edge_schemas) {
            text.push_str(&format!("e{e:?}{schema};"));
        }
        xxh3_64(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::ShipStrategy;

    #[test]
    fn rescale_gives_every_subtask_a_channel_and_no_more_than_needed() {
        for producers in 1..9 {
            for consumers in 1..9 {
                let mut channels = 0;
                let on = |p, c| ShipStrategy::Rescale.connects(p, producers, c, consumers);
                for p in 0..producers {
                    assert!((0..consumers).any(|c| on(p, c)));
                    channels += (0..consumers).filter(|c| on(p, *c)).count() as u32;
                }
                assert!((0..consumers).all(|c| (0..producers).any(|p| on(p, c))));
                assert_eq!(channels, producers.max(consumers));
            }
        }
    }
}
