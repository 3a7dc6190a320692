//! A job's facts.

use std::collections::BTreeMap;

use thalweg_core::ids::{OperatorId, TriggerId};
use thalweg_core::job_graph::JobVertex;
use thalweg_core::status::JobStatus;
use thalweg_rpc::message::{Accumulator, FailureKind, MetricScope};

use super::{ClusterDescription, MetricIndex};
use crate::checkpoint_coordinator::{Operation, OperationState};
use crate::job_master::execution_graph::{Execution, ExecutionGraph};
use crate::job_master::{Failure, JobMaster, JobResult, RescaleOutcome};
use crate::rest::model::{
    AccumulatorFacts, ExceptionFacts, ExecutionConfigFacts, InputFacts, JobFacts, JobType, Metrics,
    OperationFacts, OperationOutcome, OperatorFacts, SubtaskFacts, VertexFacts,
    operator_metric_name,
};

pub(super) fn facts(
    cluster: &ClusterDescription,
    job: &JobMaster,
    metrics: &MetricIndex<'_>,
) -> JobFacts {
    let information = job.information();
    let graph = job.graph();
    let vertices = 0..graph.graph.vertices.len();
    let history = job.coordinator().history();
    let checkpoints = history.facts(&cluster.state_backend, &cluster.checkpoint_storage);
    let shown = information.checkpointing || checkpoints.counts.total() > 0;
    let count = |of: u64| i64::try_from(of).unwrap_or(i64::MAX);
    let (rescales, relocations) = (count(job.rescales()), count(job.relocations()));
    JobFacts {
        id: information.job_id.to_string(),
        name: information.job_name.clone(),
        job_type: JobType::Streaming,
        state: job.status(),
        timestamps: graph.timestamps.clone(),
        max_parallelism: None,
        restarts: job.restarts(),
        vertices: vertices.map(|vertex| vertex_facts(graph, vertex, metrics)).collect(),
        checkpoints: Some(checkpoints).filter(|_| shown),
        rescale: job.last_rescale().map(rescale),
        operations: job.coordinator().operations().iter().map(operation).collect(),
        exceptions: job.failures().iter().map(exception).collect(),
        exceptions_truncated: job.failures().is_truncated(),
        execution_config: ExecutionConfigFacts {
            restart_strategy: job.restart_strategy(),
            parallelism: cluster.default_parallelism,
            object_reuse: true,
            user_config: BTreeMap::new(),
        },
        accumulators: accumulators(graph.tasks().flat_map(|(_, e)| &e.accumulators)),
        metrics: Metrics::from([
            ("numRescales".to_owned(), rescales.into()),
            ("numRelocations".to_owned(), relocations.into()),
        ]),
    }
}

/// A job of which only the result is known.
pub(super) fn recorded(result: &JobResult) -> JobFacts {
    let exception = result
        .error
        .as_ref()
        .map(|info| exception(&Failure::of_job(info.to_string(), info.kind, result.ended_ms)));
    JobFacts {
        id: result.job.to_string(),
        name: result.name.clone(),
        job_type: JobType::Streaming,
        state: result.status,
        timestamps: BTreeMap::from([
            (JobStatus::Initializing, result.ended_ms - result.runtime_ms),
            (result.status, result.ended_ms),
        ]),
        max_parallelism: None,
        restarts: result.restarts,
        vertices: Vec::new(),
        checkpoints: None,
        rescale: None,
        operations: Vec::new(),
        exceptions: exception.into_iter().collect(),
        exceptions_truncated: false,
        execution_config: ExecutionConfigFacts::default(),
        accumulators: accumulators(result.accumulators.iter()),
        metrics: Metrics::new(),
    }
}

fn rescale(last: &RescaleOutcome) -> (TriggerId, OperationOutcome) {
    let outcome = match &last.result {
        None => OperationOutcome::InProgress,
        Some(Ok(())) => OperationOutcome::Completed { checkpoint: 0, location: String::new() },
        Some(Err(message)) => OperationOutcome::Failed { message: message.clone() },
    };
    (last.id, outcome)
}

fn operation(operation: &Operation) -> OperationFacts {
    OperationFacts {
        trigger: operation.request.id,
        is_savepoint: operation.request.kind.is_savepoint(),
        outcome: match &operation.state {
            OperationState::InProgress => OperationOutcome::InProgress,
            OperationState::Completed { checkpoint, location } => {
                OperationOutcome::Completed { checkpoint: checkpoint.0, location: location.clone() }
            }
            OperationState::Failed(message) => {
                OperationOutcome::Failed { message: message.clone() }
            }
        },
    }
}

fn vertex_facts(graph: &ExecutionGraph, place: usize, metrics: &MetricIndex<'_>) -> VertexFacts {
    let vertex = &graph.graph.vertices[place];
    let executions = graph.executions(place);
    let inputs = graph.graph.inputs(vertex.id).map(|(_, edge)| InputFacts {
        vertex_id: edge.from.to_string(),
        ship_strategy: edge.ship.name().to_owned(),
        exchange: "pipelined_bounded".to_owned(),
    });
    let subtasks = (0u32..).zip(executions);
    VertexFacts {
        id: vertex.id.to_string(),
        name: vertex.name.clone(),
        parallelism: vertex.parallelism,
        max_parallelism: vertex.max_parallelism,
        slot_sharing_group_id: group_id(&vertex.slot_sharing_group),
        subtasks: subtasks.map(|(index, e)| subtask(vertex, index, e, metrics)).collect(),
        inputs: inputs.collect(),
        operators: operators(vertex),
        accumulators: accumulators(executions.iter().flat_map(|e| &e.accumulators)),
        coordinator_metrics: Metrics::new(),
    }
}

/// The name as an id, of the same form as the others.
fn group_id(name: &str) -> String {
    OperatorId::derive(name).to_string()
}

fn operators(vertex: &JobVertex) -> Vec<OperatorFacts> {
    let feeding = |place: usize| {
        vertex.operators.iter().position(|o| o.chained.iter().any(|edge| edge.to == place))
    };
    let facts =
        |(place, operator): (usize, &thalweg_core::job_graph::OperatorNode)| OperatorFacts {
            id: operator.id.to_string(),
            name: operator.name.clone(),
            description: String::new(),
            guarantee: operator.guarantee,
            chained_to: feeding(place),
        };
    vertex.operators.iter().enumerate().map(facts).collect()
}

fn subtask(
    vertex: &JobVertex,
    index: u32,
    execution: &Execution,
    index_of_metrics: &MetricIndex<'_>,
) -> SubtaskFacts {
    let mut metrics = Metrics::new();
    for (name, value) in index_of_metrics.get(MetricScope::Task(execution.id)) {
        metrics.insert(name.to_owned(), value);
    }
    for operator in &vertex.operators {
        for (name, value) in index_of_metrics.get(MetricScope::Operator(execution.id, operator.id))
        {
            metrics.insert(operator_metric_name(&operator.name, name), value);
        }
    }
    let slot = execution.slot.as_ref();
    SubtaskFacts {
        index,
        attempt: execution.number,
        attempt_id: execution.id.to_string(),
        state: execution.state,
        task_manager_id: slot.map(|slot| slot.task_manager.to_string()),
        endpoint: slot.map(|slot| endpoint(&slot.data_address)),
        timestamps: execution.timestamps.clone(),
        metrics,
    }
}

/// `host:port`; the port is -1 within one process.
fn endpoint(data_address: &str) -> String {
    let has_port =
        data_address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { data_address.to_owned() } else { format!("{data_address}:-1") }
}

fn accumulators<'a>(all: impl Iterator<Item = &'a Accumulator>) -> Vec<AccumulatorFacts> {
    let mut sizes = BTreeMap::<&str, usize>::new();
    for accumulator in all {
        *sizes.entry(&accumulator.name).or_default() += accumulator.value.len();
    }
    let facts = |(name, bytes): (&str, usize)| AccumulatorFacts {
        name: name.to_owned(),
        kind: "Bytes".to_owned(),
        value: format!("{bytes} bytes"),
    };
    sizes.into_iter().map(facts).collect()
}

fn exception(failure: &Failure) -> ExceptionFacts {
    let name = match failure.info.kind {
        FailureKind::User => "UserCodeException",
        FailureKind::Environment | FailureKind::Connection => "EnvironmentException",
        FailureKind::Deployment => "DeploymentException",
    };
    ExceptionFacts {
        name: name.to_owned(),
        stacktrace: failure.info.to_string(),
        timestamp_ms: failure.at_ms,
        task_name: failure.task.clone(),
        endpoint: failure.address.as_deref().map(endpoint),
        task_manager_id: failure.task_manager.as_ref().map(ToString::to_string),
        failure_labels: BTreeMap::new(),
        concurrent: failure.concurrent.iter().map(exception).collect(),
    }
}
