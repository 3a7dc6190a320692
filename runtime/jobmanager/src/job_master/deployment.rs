//! Builds the deployments of a region's tasks. Pure: everything comes from the graph, the slots
//! that its executions were given, the splits, and the checkpoint to restore from.

use thalweg_core::job_graph::JobGraph;
use thalweg_rpc::message::{
    ConsumerChannel, InputChannelDeployment, OutputDeployment, TaskDeployment,
};

use super::execution_graph::{Execution, ExecutionGraph, TaskIndex};
use crate::checkpoint_coordinator::CompletedCheckpoint;
use crate::source_coordinator::SourceCoordinator;

/// The deployment of `task`; None unless its execution and those that it has channels with have
/// slots.
pub(super) fn deployment(
    graph: &ExecutionGraph,
    task: TaskIndex,
    sources: &SourceCoordinator,
    restore: Option<&CompletedCheckpoint>,
) -> Option<TaskDeployment> {
    let vertex = graph.vertex(task);
    let execution = graph.execution(task);
    let slot = execution.slot.as_ref()?;
    // A source that the checkpoint knows finds its splits in its state.
    let new = vertex
        .operators
        .iter()
        .filter(|operator| restore.is_none_or(|checkpoint| !checkpoint.has_operator(operator.id)));
    let source_splits = new
        .filter_map(|operator| {
            let splits = sources.initial_splits(operator.id, task.subtask)?;
            Some((operator.id, splits.to_vec()))
        })
        .collect();
    Some(TaskDeployment {
        attempt: execution.id,
        attempt_number: execution.number,
        vertex: vertex.id,
        subtask: task.subtask,
        allocation: slot.allocation,
        slot: slot.slot,
        inputs: inputs(graph, task)?,
        outputs: outputs(graph, task)?,
        source_splits,
        restore: restore.map(|checkpoint| checkpoint.restore(vertex, task.subtask)),
    })
}

fn place(graph: &JobGraph, id: thalweg_core::ids::JobVertexId) -> Option<usize> {
    graph.vertices.iter().position(|vertex| vertex.id == id)
}

fn address(execution: &Execution) -> Option<String> {
    execution.slot.as_ref().map(|slot| slot.data_address.clone())
}

fn inputs(graph: &ExecutionGraph, task: TaskIndex) -> Option<Vec<InputChannelDeployment>> {
    let consumer = graph.vertex(task);
    let mut inputs = Vec::new();
    for (index, edge) in graph.graph.inputs(consumer.id) {
        let producers = graph.executions(place(&graph.graph, edge.from)?);
        let count = u32::try_from(producers.len()).ok()?;
        for (producer_subtask, producer) in (0..).zip(producers) {
            if edge.ship.connects(producer_subtask, count, task.subtask, consumer.parallelism) {
                inputs.push(InputChannelDeployment {
                    edge: u32::try_from(index).ok()?,
                    input: edge.input,
                    producer_subtask,
                    producer_attempt: producer.id,
                    producer_address: address(producer)?,
                });
            }
        }
    }
    Some(inputs)
}

fn outputs(graph: &ExecutionGraph, task: TaskIndex) -> Option<Vec<OutputDeployment>> {
    let producer = graph.vertex(task);
    let mut outputs = Vec::new();
    for (index, edge) in graph.graph.outputs(producer.id) {
        let to = place(&graph.graph, edge.to)?;
        let consumer = &graph.graph.vertices[to];
        let mut channels = Vec::new();
        for (consumer_subtask, execution) in (0..).zip(graph.executions(to)) {
            let (producers, consumers) = (producer.parallelism, consumer.parallelism);
            if edge.ship.connects(task.subtask, producers, consumer_subtask, consumers) {
                channels.push(ConsumerChannel {
                    consumer_subtask,
                    consumer_attempt: execution.id,
                    consumer_address: address(execution)?,
                });
            }
        }
        outputs.push(OutputDeployment {
            edge: u32::try_from(index).ok()?,
            operator_index: u32::try_from(edge.from_operator).ok()?,
            tag: edge.tag.clone(),
            ship: edge.ship,
            consumer_parallelism: consumer.parallelism,
            consumer_max_parallelism: consumer.max_parallelism,
            channels,
        });
    }
    Some(outputs)
}
