//! Drives the operators of one task.
//!
//! A chain is a tree: the head is fed from outside (or is a source), every other operator is fed
//! by one operator before it. Each operator has an inbox. [`Chain::run`] always works at the
//! place that is furthest downstream, one element at a time, so at most one batch is on its way
//! per operator, nothing recurses, and an operator whose output is full is simply not called
//! before the output was carried away. Order within the tree is the order of emission.
//!
//! Not here: where elements come from and go to (the task gives a [`Downstream`]), threads,
//! checkpoints' coordination.

mod build;
mod node;
mod run;
mod runs;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_core::Batch;
use thalweg_core::element::{Barrier, Control, MAX_WATERMARK, StreamElement};
use thalweg_core::ids::{CheckpointId, OperatorId};

pub use build::{ChainBuilder, EdgeTarget};
pub use snapshot::{ChainSnapshot, OperatorSnapshot, RefusedSnapshot, RunPart};

use crate::contract::{OperatorError, OperatorMetrics, SourceStatus};
use node::Node;
use snapshot::SnapshotUnderWay;

/// Where the elements go that leave the chain.
pub trait Downstream {
    /// Whether everything that was emitted so far fits. When false nothing more is emitted by the
    /// chain than what one call of an operator makes.
    fn is_available(&self) -> bool;
    /// A batch for an edge.
    fn batch(&mut self, edge: usize, batch: Batch) -> Result<(), DownstreamError>;
    /// A control element for an edge.
    fn control(&mut self, edge: usize, control: Control) -> Result<(), DownstreamError>;
}

/// An element couldn't be handed to the network.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DownstreamError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The chain can't go on.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// An operator failed.
    #[error("operator {name:?}: {source}")]
    Operator {
        /// The operator's name.
        name: Arc<str>,
        /// What went wrong.
        source: Box<OperatorError>,
    },
    /// What an operator emitted couldn't be handed on.
    #[error(transparent)]
    Downstream(#[from] DownstreamError),
}

/// What the chain can do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainStatus {
    /// Nothing is on its way: give it an element, or poll its source.
    Idle,
    /// There is more to do.
    Busy,
    /// It waits for room downstream.
    Blocked,
}

/// The operators of one task.
pub struct Chain {
    nodes: Vec<Node>,
    /// The operator that is being called; for the name in the report of a panic.
    current: usize,
    snapshot: Option<Box<SnapshotUnderWay>>,
    refused: Option<RefusedSnapshot>,
    /// Operators that the end of input hasn't passed yet.
    open_ends: usize,
    ended: bool,
}

impl Chain {
    /// Whether its head is a source.
    pub fn has_source(&self) -> bool {
        self.nodes.first().is_some_and(Node::is_source)
    }

    /// Gives the head an element that came in at `input`.
    pub fn push(&mut self, input: usize, element: StreamElement) {
        if let Some(head) = self.nodes.first_mut() {
            head.push(input, element);
        }
    }

    /// Asks for a snapshot at the head; for sources, and for tasks whose input has ended.
    pub fn push_barrier(&mut self, barrier: Barrier) {
        self.push(0, StreamElement::Control(Control::Barrier(barrier)));
    }

    /// The end of input had passed all operators before they were restored: nothing is done about
    /// it again.
    pub fn resume_ended(&mut self) {
        self.nodes.iter_mut().for_each(Node::resume_ended);
        self.open_ends = 0;
        self.ended = true;
    }

    /// Whether the end of input has passed all operators.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The name of the operator that was called last.
    pub fn current_operator(&self) -> Arc<str> {
        self.nodes.get(self.current).map_or_else(|| "".into(), |n| n.name.clone())
    }

    /// Ids, names and counters of its operators.
    pub fn operators(
        &self,
    ) -> impl Iterator<Item = (OperatorId, &Arc<str>, &Arc<OperatorMetrics>)> {
        self.nodes.iter().map(|n| (n.id, &n.name, &n.metrics))
    }

    /// When the next processing-time timer is due: ms since 1970.
    pub fn next_processing_time(&self) -> Option<i64> {
        self.nodes.iter().filter_map(Node::next_processing_time).min()
    }

    /// Polls the source, which must be there; nothing may be on its way.
    pub fn poll_source(
        &mut self,
        now_ms: i64,
        downstream: &mut dyn Downstream,
    ) -> Result<SourceStatus, ChainError> {
        self.current = 0;
        let Some(node) = self.nodes.first_mut() else {
            return Ok(SourceStatus::Pending { until: None });
        };
        let status = node.poll(now_ms)?;
        if status == SourceStatus::End {
            node.push(0, StreamElement::Control(Control::EndOfInput));
        }
        self.carry_away(0, downstream)?;
        Ok(status)
    }

    /// Ends the source's stream here, as if it had nothing more: event time reaches its end, so all
    /// that waits for it fires. Nothing may be on its way.
    pub fn end_source(&mut self) {
        self.push(0, StreamElement::Control(Control::Watermark(MAX_WATERMARK)));
        self.push(0, StreamElement::Control(Control::EndOfInput));
    }

    /// The checkpoint was published: sinks commit.
    pub fn checkpoint_completed(&mut self, checkpoint: CheckpointId) -> Result<(), ChainError> {
        for at in 0..self.nodes.len() {
            self.current = at;
            self.nodes[at].checkpoint_completed(checkpoint)?;
        }
        Ok(())
    }

    /// The next snapshots of these operators hold all of their state.
    pub fn write_bases(&mut self, operators: &BTreeSet<OperatorId>) {
        for node in &mut self.nodes {
            node.write_base_if(|operator| operators.contains(&operator));
        }
    }

    /// All input has ended and checkpoints are off: sinks make everything visible.
    pub fn commit_without_checkpoints(&mut self) -> Result<(), ChainError> {
        for at in 0..self.nodes.len() {
            self.current = at;
            self.nodes[at].commit_without_checkpoints()?;
        }
        Ok(())
    }

    /// What its operators hand to the caller of `execute`: operator, name, value. Once, at the end.
    pub fn take_results(&mut self) -> Vec<(OperatorId, String, Vec<u8>)> {
        let of = |n: &mut Node| {
            let id = n.id;
            n.results().into_iter().map(move |(name, value)| (id, name, value))
        };
        self.nodes.iter_mut().flat_map(of).collect()
    }

    /// Closes all operators.
    pub fn close(&mut self) {
        for (at, node) in self.nodes.iter_mut().enumerate() {
            self.current = at;
            node.close();
        }
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.nodes.iter().map(|n| &n.name)).finish()
    }
}
