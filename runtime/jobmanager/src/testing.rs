//! Graphs and reports for tests.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::configuration::Configuration;
use thalweg_core::ids::{
    CheckpointId, Epoch, ExecutionAttemptId, JobId, JobVertexId, OperatorId, TaskManagerId,
};
use thalweg_core::job_graph::{JobEdge, JobGraph, JobVertex, OperatorNode, ShipStrategy};
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{ExecutionReport, JobInformation};

use crate::job_master::JobDescription;
use crate::job_master::execution_graph::AssignedSlot;
use crate::moment::Moment;
use crate::source_coordinator::SourceCoordinator;

pub(crate) fn at(ms: u64) -> Moment {
    Moment { elapsed: Duration::from_millis(ms), wall_ms: 1_000_000 + ms as i64 }
}

pub(crate) fn job_id() -> JobId {
    JobId::derive("job")
}

/// A vertex `name` with one operator; one that `is_source` is bounded.
pub(crate) fn vertex(name: &str, parallelism: u32, is_source: bool) -> JobVertex {
    JobVertex {
        id: JobVertexId::derive(name),
        name: name.to_owned(),
        parallelism,
        max_parallelism: 128,
        slot_sharing_group: "default".to_owned(),
        operators: vec![OperatorNode {
            id: OperatorId::derive(name),
            uid: None,
            name: name.to_owned(),
            stateful: true,
            guarantee: None,
            chained: Vec::new(),
        }],
        source_bounded: is_source.then_some(true),
    }
}

/// A chain of vertices, the first a source, with these edges between them.
pub(crate) fn chain(vertices: &[(&str, u32)], ships: &[ShipStrategy]) -> Arc<JobGraph> {
    let names: Vec<_> = vertices.iter().map(|(name, _)| JobVertexId::derive(name)).collect();
    let edge = |(i, ship): (usize, &ShipStrategy)| JobEdge {
        from: names[i],
        from_operator: 0,
        tag: None,
        to: names[i + 1],
        input: 0,
        ship: *ship,
    };
    let edges: Vec<_> = ships.iter().enumerate().map(edge).collect();
    Arc::new(JobGraph {
        job_id: job_id(),
        name: "job".to_owned(),
        vertices: vertices.iter().enumerate().map(|(i, (n, p))| vertex(n, *p, i == 0)).collect(),
        edge_schemas: vec![0; edges.len()],
        edges,
    })
}

pub(crate) fn configuration(settings: &[(&str, &str)]) -> Configuration {
    let mut configuration = Configuration::new();
    for (key, value) in settings {
        configuration.set_str(key, value).unwrap();
    }
    configuration
}

pub(crate) fn information(graph: &Arc<JobGraph>, checkpointing: bool) -> Arc<JobInformation> {
    Arc::new(JobInformation {
        job_id: graph.job_id,
        job_name: graph.name.clone(),
        graph: Arc::clone(graph),
        graph_fingerprint: graph.fingerprint(),
        build_id: 7,
        arguments: Vec::new(),
        execute_ordinal: 0,
        earlier_results: Vec::new(),
        once_values: Default::default(),
        configuration: Default::default(),
        checkpointing,
        checkpoint_directory: checkpointing.then(|| "/checkpoints".to_owned()),
        log_epoch: None,
    })
}

pub(crate) fn description(graph: &Arc<JobGraph>, configuration: Configuration) -> JobDescription {
    let checkpointing =
        crate::checkpoint_coordinator::CheckpointOptions::of(&configuration).is_periodic();
    JobDescription {
        information: information(graph, checkpointing),
        configuration,
        epoch: Epoch(1),
        seed: 1,
        sources: SourceCoordinator::default(),
        restore: None,
        highest_checkpoint: CheckpointId(0),
        requirements: Vec::new(),
    }
}

pub(crate) fn task_manager(name: &str) -> TaskManagerId {
    TaskManagerId(name.to_owned())
}

pub(crate) fn slot(
    allocation: thalweg_core::ids::AllocationId,
    on: &str,
    slot: u32,
) -> AssignedSlot {
    AssignedSlot {
        allocation,
        task_manager: task_manager(on),
        slot,
        data_address: format!("{on}:1"),
    }
}

pub(crate) fn report(attempt: ExecutionAttemptId, state: ExecutionState) -> ExecutionReport {
    ExecutionReport {
        job: job_id(),
        attempt,
        slot: 0,
        state,
        failure: None,
        input_ended: state == ExecutionState::Finished,
        checkpoint: CheckpointId(0),
        accumulators: Vec::new(),
    }
}
