//! The network of a TaskManager: what its tasks' inputs and outputs are made by (Flink's
//! ShuffleEnvironment).

use std::sync::Arc;

use thalweg_core::RowType;

use crate::channel::{ChannelId, OutputChannel, Waker, WriterSignal};
use crate::error::NetworkError;
use crate::gate::{GateOptions, InputChannelSpec, InputGate};
use crate::partitioner::Partitioner;
use crate::registry::PartitionRegistry;
use crate::remote::DataClient;
use crate::writer::{RecordWriter, WriterOptions};

/// Where an output channel leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelTarget {
    /// The address of the consumer's TaskManager, as that one has announced it.
    pub address: String,
    /// The channel.
    pub id: ChannelId,
}

/// Makes gates and writers, whose channels lead to this process or another one.
#[derive(Debug)]
pub struct NetworkEnvironment {
    address: String,
    registry: Arc<PartitionRegistry>,
    client: Option<DataClient>,
}

impl NetworkEnvironment {
    /// The network of the process that others know as `address`. Without a client, all channels
    /// must lead to this process.
    pub fn new(
        address: impl Into<String>,
        registry: Arc<PartitionRegistry>,
        client: Option<DataClient>,
    ) -> Self {
        Self { address: address.into(), registry, client }
    }

    /// The address by which other TaskManagers know this one.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The channels that end here.
    pub fn registry(&self) -> &Arc<PartitionRegistry> {
        &self.registry
    }

    /// Ends the connection to a TaskManager that is known to be lost.
    pub fn disconnect(&self, address: &str) {
        if let Some(client) = &self.client {
            client.disconnect(address);
        }
    }

    /// The gate of a consuming subtask, with all channels of all its inputs. Its channels are
    /// unregistered when it is dropped.
    ///
    /// # Errors
    /// A channel has a consumer already.
    pub fn create_gate(
        &self,
        channels: &[InputChannelSpec],
        options: GateOptions,
        waker: Waker,
    ) -> Result<InputGate, NetworkError> {
        InputGate::new(Arc::clone(&self.registry), channels, options, waker)
    }

    /// The writer of one output edge of a producing subtask, with a target for each consumer
    /// that it is connected to, in their order. It isn't available until all of them are there.
    ///
    /// # Errors
    /// A channel has a producer already or can't be reached from here, or the partitioner doesn't
    /// fit the number of targets.
    pub fn create_writer(
        &self,
        row_type: RowType,
        partitioner: Partitioner,
        targets: &[ChannelTarget],
        options: WriterOptions,
        waker: Waker,
    ) -> Result<RecordWriter, NetworkError> {
        let signal = WriterSignal::new(waker);
        let channels = targets.iter().map(|target| self.open(target, &signal));
        let channels = channels.collect::<Result<Vec<_>, _>>()?;
        RecordWriter::new(row_type, partitioner, channels, signal, options)
    }

    fn open(
        &self,
        target: &ChannelTarget,
        signal: &Arc<WriterSignal>,
    ) -> Result<OutputChannel, NetworkError> {
        let signal = Arc::clone(signal);
        if target.address == self.address {
            return self.registry.connect_local(target.id, signal).map(OutputChannel::Local);
        }
        match &self.client {
            Some(client) => {
                Ok(OutputChannel::Remote(client.open(&target.address, target.id, signal)))
            }
            None => {
                Err(NetworkError::NoDataPort { channel: target.id, peer: target.address.clone() })
            }
        }
    }
}
