//! Connects a task to the network: its gate and its writers, from what its deployment says.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::Batch;
use thalweg_core::batch::RowTypeMismatch;
use thalweg_core::ids::ExecutionAttemptId;
use thalweg_core::job_graph::ShipStrategy;
use thalweg_network::partitioner::{HashPartitioner, RebalancePartitioner, ShufflePartitioner};
use thalweg_network::{
    ChannelId, ChannelTarget, CustomPartitioner, GateOptions, InputChannelSpec, KeyHasher,
    NetworkEnvironment, NetworkError, Partitioner, Waker, WriterOptions,
};
use thalweg_operators::code::{CustomPartition, EdgeCode, JobCode};
use thalweg_operators::functions::KeyHashes;
use thalweg_rpc::message::{OutputDeployment, TaskDeployment};

use crate::task::{TaskInput, TaskOutput};

/// How rows travel, from the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct WiringOptions {
    pub(super) batch_rows: usize,
    pub(super) linger: Duration,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum WiringError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the graph has no edge {0}; this is a bug in the engine")]
    NoSuchEdge(u32),
    #[error("edge {edge} is {strategy} but the program gives no code for that; this is a bug")]
    NoCode { edge: u32, strategy: &'static str },
}

/// The two sides of a task.
pub(super) struct Wiring {
    pub(super) input: Option<Box<dyn TaskInput>>,
    pub(super) outputs: Vec<Box<dyn TaskOutput>>,
}

/// Makes the gate and the writers; all of them wake the task by `waker`.
pub(super) fn wire(
    network: &NetworkEnvironment,
    code: &JobCode,
    task: &TaskDeployment,
    options: WiringOptions,
    waker: &Waker,
) -> Result<Wiring, WiringError> {
    let input = match task.inputs.is_empty() {
        true => None,
        false => Some(gate(network, code, task, options, waker)?),
    };
    let writer = |output| writer(network, code, task, output, options, waker);
    let outputs = task.outputs.iter().map(writer).collect::<Result<_, _>>()?;
    Ok(Wiring { input, outputs })
}

/// Channels that take network memory: all inputs, and outputs to other processes.
pub(super) fn channels_to_reserve(network: &NetworkEnvironment, task: &TaskDeployment) -> usize {
    let outputs = task.outputs.iter().flat_map(|output| &output.channels);
    let remote = outputs.filter(|channel| channel.consumer_address != network.address());
    task.inputs.len() + remote.count()
}

fn gate(
    network: &NetworkEnvironment,
    code: &JobCode,
    task: &TaskDeployment,
    options: WiringOptions,
    waker: &Waker,
) -> Result<Box<dyn TaskInput>, WiringError> {
    let channel = |input: &thalweg_rpc::message::InputChannelDeployment| {
        let id = ChannelId {
            consumer: task.attempt,
            edge: input.edge,
            producer_subtask: input.producer_subtask,
            consumer_subtask: task.subtask,
        };
        let row_type = edge(code, input.edge)?.row_type;
        Ok(InputChannelSpec { id, input: input.input, row_type })
    };
    let channels = task.inputs.iter().map(channel).collect::<Result<Vec<_>, WiringError>>()?;
    let gate_options = GateOptions { batch_rows: options.batch_rows };
    Ok(Box::new(network.create_gate(&channels, gate_options, Arc::clone(waker))?))
}

fn writer(
    network: &NetworkEnvironment,
    code: &JobCode,
    task: &TaskDeployment,
    output: &OutputDeployment,
    options: WiringOptions,
    waker: &Waker,
) -> Result<Box<dyn TaskOutput>, WiringError> {
    let edge = edge(code, output.edge)?;
    let target = |(consumer, subtask, address): (ExecutionAttemptId, u32, &String)| ChannelTarget {
        address: address.clone(),
        id: ChannelId {
            consumer,
            edge: output.edge,
            producer_subtask: task.subtask,
            consumer_subtask: subtask,
        },
    };
    let channels = output.channels.iter();
    let targets: Vec<_> = channels
        .map(|c| target((c.consumer_attempt, c.consumer_subtask, &c.consumer_address)))
        .collect();
    let writer_options = WriterOptions {
        batch_rows: options.batch_rows,
        linger: options.linger,
        ..WriterOptions::default()
    };
    let partitioner = partitioner(edge, task, output)?;
    let waker = Arc::clone(waker);
    let writer =
        network.create_writer(edge.row_type, partitioner, &targets, writer_options, waker)?;
    Ok(Box::new(writer))
}

fn edge(code: &JobCode, index: u32) -> Result<&EdgeCode, WiringError> {
    code.edges.get(index as usize).ok_or(WiringError::NoSuchEdge(index))
}

fn partitioner(
    edge: &EdgeCode,
    task: &TaskDeployment,
    output: &OutputDeployment,
) -> Result<Partitioner, WiringError> {
    let no_code = || WiringError::NoCode { edge: output.edge, strategy: output.ship.name() };
    Ok(match output.ship {
        ShipStrategy::Forward => Partitioner::Forward,
        ShipStrategy::Hash => {
            let keys = edge.keys.clone().ok_or_else(no_code)?;
            Partitioner::Hash(HashPartitioner::new(
                Box::new(Hasher(keys)),
                output.consumer_max_parallelism,
                output.consumer_parallelism,
            ))
        }
        ShipStrategy::Rebalance => Partitioner::Rebalance(RebalancePartitioner::new(task.subtask)),
        ShipStrategy::Rescale => Partitioner::Rescale(RebalancePartitioner::new(task.subtask)),
        ShipStrategy::Shuffle => {
            let seed = u64::from(output.edge);
            Partitioner::Shuffle(ShufflePartitioner::new(seed, task.subtask))
        }
        ShipStrategy::Broadcast => Partitioner::Broadcast,
        ShipStrategy::Global => Partitioner::Global,
        ShipStrategy::Custom => {
            let custom = edge.custom.clone().ok_or_else(no_code)?;
            Partitioner::Custom(Box::new(Custom(custom)))
        }
    })
}

struct Hasher(Arc<dyn KeyHashes>);

impl KeyHasher for Hasher {
    fn hash(&self, batch: &Batch) -> Result<Vec<u64>, RowTypeMismatch> {
        let mut hashes = Vec::with_capacity(batch.len());
        self.0.hashes(batch, &mut hashes)?;
        Ok(hashes)
    }
}

struct Custom(Arc<dyn CustomPartition>);

impl CustomPartitioner for Custom {
    fn partition(
        &mut self,
        batch: &Batch,
        channels: u32,
        destinations: &mut Vec<u32>,
    ) -> Result<(), RowTypeMismatch> {
        self.0.partition(batch, channels, destinations)
    }
}
