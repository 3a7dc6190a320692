//! The StreamGraph: what the application has described so far, one node per operator.
//!
//! Nodes are only ever added, and only with inputs that are there: their order is topological.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_core::RowType;
use thalweg_core::job_graph::{DeliveryGuarantee, ShipStrategy};
use thalweg_operators::OperatorFactory;
use thalweg_operators::code::{CustomPartition, Enumerate};
use thalweg_operators::functions::KeyHashes;

use crate::generate::GraphError;

/// Whether a node may share a task with what feeds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChainingStrategy {
    /// Wherever it can.
    #[default]
    Always,
    /// It begins a chain: others may follow it.
    Head,
    /// It is alone.
    Never,
}

/// How rows get from one node to the next.
#[derive(Clone)]
pub struct Partition {
    /// The strategy.
    pub ship: ShipStrategy,
    /// For `Hash`.
    pub keys: Option<Arc<dyn KeyHashes>>,
    /// For `Custom`.
    pub custom: Option<Arc<dyn CustomPartition>>,
}

impl Partition {
    /// A strategy that needs nothing else.
    pub fn plain(ship: ShipStrategy) -> Self {
        Self { ship, keys: None, custom: None }
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Partition({})", self.ship.name())
    }
}

/// What makes a node a source.
#[derive(Clone)]
pub struct SourceNode {
    /// Finds its splits.
    pub enumerate: Arc<dyn Enumerate>,
    /// Whether it ends.
    pub bounded: bool,
}

/// An operator.
#[derive(Clone)]
pub struct StreamNode {
    /// Its name, for people.
    pub name: String,
    /// The user's uid.
    pub uid: Option<String>,
    /// Makes its instances.
    pub factory: Arc<dyn OperatorFactory>,
    /// None: the environment's.
    pub parallelism: Option<u32>,
    /// None: the environment's.
    pub max_parallelism: Option<u32>,
    /// None: that of its inputs, if they agree, else `default`.
    pub slot_sharing_group: Option<String>,
    /// Whether it may be chained.
    pub chaining: ChainingStrategy,
    /// Whether it keeps state between records.
    pub stateful: bool,
    /// What it promises, when it is a source or a sink.
    pub guarantee: Option<DeliveryGuarantee>,
    /// Set for sources.
    pub source: Option<SourceNode>,
}

/// An edge between two nodes.
#[derive(Debug, Clone)]
pub struct StreamEdge {
    /// The producing node.
    pub from: usize,
    /// None: its main output.
    pub tag: Option<Arc<str>>,
    /// The consuming node.
    pub to: usize,
    /// Its input: 0, or 1.
    pub input: u8,
    /// None: forward where the parallelism is equal, else rebalance.
    pub partition: Option<Partition>,
    /// The type of its rows.
    pub row_type: RowType,
}

/// What the application has described so far.
#[derive(Clone, Default)]
pub struct StreamGraph {
    /// The operators.
    pub nodes: Vec<StreamNode>,
    /// The edges, in the order of their consumers.
    pub edges: Vec<StreamEdge>,
    /// The first thing that is wrong with it.
    pub refused: Option<GraphError>,
    /// How many graphs this environment described before: a stream belongs to one of them.
    pub generation: u64,
}

impl std::fmt::Debug for StreamGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.nodes.iter().map(|n| &n.name).collect();
        f.debug_struct("StreamGraph").field("nodes", &names).field("edges", &self.edges).finish()
    }
}

/// Where a stream's rows come from: an output of a node, and how they leave it.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) generation: u64,
    pub(crate) node: usize,
    pub(crate) tag: Option<Arc<str>>,
    pub(crate) partition: Option<Partition>,
}

/// The graph, shared by an environment and its streams. An application describes its streams on
/// one thread.
pub(crate) type SharedGraph = Rc<RefCell<StreamGraph>>;

impl StreamNode {
    /// A node with defaults.
    pub(crate) fn new(name: &str, stateful: bool, factory: Arc<dyn OperatorFactory>) -> Self {
        Self {
            name: name.into(),
            uid: None,
            factory,
            parallelism: None,
            max_parallelism: None,
            slot_sharing_group: None,
            chaining: ChainingStrategy::default(),
            stateful,
            guarantee: None,
            source: None,
        }
    }
}

impl StreamGraph {
    /// Gives the graph away and begins the next one.
    pub(crate) fn finish(&mut self) {
        *self = Self { generation: self.generation + 1, ..Self::default() };
    }

    /// Adds a node, fed by `inputs` (number of the input, outputs that feed it, row type).
    pub(crate) fn add(&mut self, node: StreamNode, inputs: &[(u8, &[Upstream], RowType)]) -> usize {
        let to = self.nodes.len();
        self.nodes.push(node);
        for (input, upstreams, row_type) in inputs {
            for upstream in *upstreams {
                if upstream.generation != self.generation {
                    let operator = self.nodes[to].name.clone();
                    self.refused.get_or_insert(GraphError::StaleStream { operator });
                    continue;
                }
                self.edges.push(StreamEdge {
                    from: upstream.node,
                    tag: upstream.tag.clone(),
                    to,
                    input: *input,
                    partition: upstream.partition.clone(),
                    row_type: *row_type,
                });
            }
        }
        to
    }
}
