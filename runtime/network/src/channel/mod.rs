//! The channel between one producing and one consuming subtask of an edge.
//!
//! Its receiving end is always an `InputQueue`. Its sending end is an `OutputChannel`: the
//! queue itself within a process, or a share of a connection between processes.

mod id;
mod local;
mod output;
mod queue;
mod signal;

pub use id::ChannelId;
pub use signal::{Wake, Waker};

pub(crate) use local::LocalOutput;
pub(crate) use output::OutputChannel;
pub(crate) use queue::{InputQueue, Item, Missing, Queued, Upstream};
pub(crate) use signal::{GateSignal, WriterSignal};

/// Bytes that a channel holds before its writer is unavailable: 512 KiB.
pub const DEFAULT_CHANNEL_BYTES: usize = 512 * 1024;

/// What a control element counts as, so that many of them fill a channel too.
pub(crate) const CONTROL_BYTES: usize = 64;
