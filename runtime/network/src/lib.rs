//! How batches travel: partitioners, result partitions, input gates, credit, frames and transports.
//!
//! The way of a batch: an operator hands it to its edge's [`RecordWriter`], whose [`Partitioner`]
//! chooses a channel for each row. A channel ends in a bounded queue that belongs to the consuming
//! subtask's [`InputGate`]; within a process the writer puts the batch there by pointer, between
//! processes it becomes a frame on the one connection between the two TaskManagers
//! ([`remote`]). The gate merges its channels: watermarks, barriers, small batches into large ones.
//!
//! Tasks call all of this from their own thread and never block in it: a writer says whether it is
//! available, a gate says that it is empty, and both call the task's [`Wake`] when that changes.
//! Tokio appears in [`remote`] only, and only moves bytes there. No clock is read: `now` comes in.
//!
//! Not here: what the rows mean (`operators`), who connects to whom (`jobmanager` decides,
//! `taskmanager` wires).

pub mod channel;
pub mod environment;
pub mod error;
pub mod gate;
pub mod memory;
pub mod partitioner;
pub mod registry;
pub mod remote;
pub mod writer;

#[cfg(test)]
mod testing;

pub use channel::{ChannelId, Wake, Waker};
pub use environment::{ChannelTarget, NetworkEnvironment};
pub use error::NetworkError;
pub use gate::{AlignmentStats, GateCounters, GateEvent, GateOptions, InputChannelSpec, InputGate};
pub use memory::NetworkMemory;
pub use partitioner::{CustomPartitioner, KeyHasher, Partitioner};
pub use registry::{PartitionRegistry, RegistryOptions};
pub use writer::{RecordWriter, WriterCounters, WriterOptions};
