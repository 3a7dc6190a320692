//! StreamGraph to JobGraph: parallelism, chains, ids.
//!
//! In steps: `parallelism` settles what the program left open, `ids` gives every operator an
//! id, `chains` decides who shares a task, `vertices` puts it together, with the code beside
//! it.

mod chains;
mod ids;
mod parallelism;
#[cfg(test)]
mod tests;
mod vertices;

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::ids::JobId;
use thalweg_operators::code::{EdgeCode, JobCode};

use crate::stream_graph::StreamGraph;

/// What holds where the program says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// Of operators that set none.
    pub parallelism: u32,
    /// Of operators that set none.
    pub max_parallelism: u32,
    /// Whether operators are chained at all.
    pub chaining: bool,
}

/// The program describes a job that can't be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Nothing was described.
    #[error(
        "the job {0:?} has no operators: describe at least one stream before execute() (each \
         execute() runs what was described since the one before)"
    )]
    Empty(String),
    /// A parallelism can't be.
    #[error(
        "operator {operator:?} has parallelism {parallelism}, but its max parallelism is \
         {max_parallelism}: lower the parallelism, or set a higher max parallelism (at most \
         32768; it can't be changed once there is state)"
    )]
    Parallelism {
        /// The operator.
        operator: String,
        /// What was asked for.
        parallelism: u32,
        /// What there is.
        max_parallelism: u32,
    },
    /// A source's rate can't be.
    #[error("operator {operator:?} has the rate {rate}: it must be a number of rows above 0")]
    Rate {
        /// The source.
        operator: String,
        /// What was asked for, in rows per second.
        rate: String,
    },
    /// A max parallelism can't be.
    #[error("operator {operator:?} has max parallelism {max_parallelism}: it must be 1 to 32768")]
    MaxParallelism {
        /// The operator.
        operator: String,
        /// What was asked for.
        max_parallelism: u32,
    },
    /// A stream that was executed is used again.
    #[error(
        "operator {operator:?} reads a stream that was described before the last execute(): each \
         execute() runs a job of its own, so describe the stream again"
    )]
    StaleStream {
        /// The operator.
        operator: String,
    },
    /// Windows can't be made as they were asked for.
    #[error("operator {operator:?}: {reason}")]
    Window {
        /// The operator.
        operator: String,
        /// What is wrong with them.
        reason: String,
    },
    /// Two operators would be the same.
    #[error("two operators have the uid {uid:?} ({first:?} and {second:?}): uids must differ")]
    DuplicateUid {
        /// The uid.
        uid: String,
        /// One of them.
        first: String,
        /// The other one.
        second: String,
    },
    /// Forward needs equal parallelism.
    #[error(
        "{from:?} (parallelism {from_parallelism}) can't forward to {to:?} (parallelism \
         {to_parallelism}): use rebalance() or rescale(), or set the same parallelism"
    )]
    Forward {
        /// The producer.
        from: String,
        /// Its parallelism.
        from_parallelism: u32,
        /// The consumer.
        to: String,
        /// Its parallelism.
        to_parallelism: u32,
    },
}

/// The JobGraph of a stream graph, and its code.
///
/// # Errors
/// The graph can't be run.
pub fn job(
    graph: &StreamGraph,
    job: JobId,
    name: &str,
    defaults: &Defaults,
) -> Result<JobCode, GraphError> {
    if let Some(refused) = &graph.refused {
        return Err(refused.clone());
    }
    if graph.nodes.is_empty() {
        return Err(GraphError::Empty(name.into()));
    }
    let settled = parallelism::settle(graph, defaults)?;
    let ids = ids::assign(graph)?;
    let chains = chains::chain(graph, &settled, defaults.chaining);
    let job_graph = vertices::job_graph(graph, &settled, &ids, &chains, job, name);

    let operators = ids.iter().zip(&graph.nodes).map(|(id, n)| (*id, n.factory.clone())).collect();
    let mut sources = BTreeMap::new();
    for (id, node) in ids.iter().zip(&graph.nodes) {
        if let Some(source) = &node.source {
            sources.insert(*id, source.enumerate.clone());
        }
    }
    let between = graph.edges.iter().filter(|e| !chains.is_chained(e.to));
    let edges = between.map(|edge| EdgeCode {
        row_type: edge.row_type,
        keys: edge.partition.as_ref().and_then(|p| p.keys.clone()),
        custom: edge.partition.as_ref().and_then(|p| p.custom.clone()),
    });
    let edges = edges.collect();
    ids::warn_without_uid(graph);
    Ok(JobCode { graph: Arc::new(job_graph), operators, edges, sources })
}
