//! What goes wrong between two tasks.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::batch::{RowTypeMismatch, WireError};

use crate::channel::ChannelId;

/// A task can't send or receive any more; it fails with this and its region restarts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The connection that carried the channel has ended.
    #[error("the connection to the TaskManager at {peer} was lost: {reason}")]
    PartitionConnectionLost {
        /// The peer's address.
        peer: String,
        /// What was seen.
        reason: Arc<str>,
    },
    /// No connection came about.
    #[error(
        "no connection to the TaskManager at {peer} within {within:?}: {reason}; check that it \
         runs and that its data port (taskmanager.data.port) can be reached from here"
    )]
    ConnectFailed {
        /// The peer's address.
        peer: String,
        /// How long it was tried.
        within: Duration,
        /// The last attempt's error.
        reason: Arc<str>,
    },
    /// The peer isn't one to exchange data with.
    #[error("data connection with {peer} refused: {reason}")]
    Refused {
        /// The peer's address.
        peer: String,
        /// What differs.
        reason: Arc<str>,
    },
    /// The consumer of a channel hasn't come.
    #[error("{channel}: its consumer has not registered within {waited:?}; it was not deployed")]
    ConsumerMissing {
        /// The channel.
        channel: ChannelId,
        /// How long was waited.
        waited: Duration,
    },
    /// The producer of a channel hasn't come.
    #[error("{channel}: its producer has not connected within {waited:?}; it was not deployed")]
    ProducerMissing {
        /// The channel.
        channel: ChannelId,
        /// How long was waited.
        waited: Duration,
    },
    /// A channel was given two producers or two consumers.
    #[error("{channel} has a {end} already; this is a bug in the engine")]
    Occupied {
        /// The channel.
        channel: ChannelId,
        /// Which end: "producer" or "consumer".
        end: &'static str,
    },
    /// The bytes of a batch aren't what the producer's build would have written.
    #[error("{channel}: {source}")]
    Decode {
        /// The channel.
        channel: ChannelId,
        /// What is wrong with them.
        source: WireError,
    },
    /// One row is larger than a frame may be.
    #[error(
        "{channel}: one row takes {bytes} bytes, the limit of a frame is {limit} bytes; split the \
         row or keep its large part outside the stream"
    )]
    RowTooLarge {
        /// The channel.
        channel: ChannelId,
        /// The encoded row's size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A custom partitioner named a channel that doesn't exist.
    #[error("the partitioner chose channel {chosen} of a row, but there are {channels}, from 0")]
    NoSuchChannel {
        /// What it chose.
        chosen: u32,
        /// How many there are.
        channels: usize,
    },
    /// A custom partitioner or a key hasher gave another number of results than there are rows.
    #[error("the {what} gave {results} results for {rows} rows")]
    ResultCount {
        /// Which of both.
        what: &'static str,
        /// What it gave.
        results: usize,
        /// What was needed.
        rows: usize,
    },
    /// A partitioner was given a number of channels that it can't work with.
    #[error("a {strategy} edge was given {channels} channels; this is a bug in the engine")]
    ChannelCount {
        /// The strategy's name.
        strategy: &'static str,
        /// The channels.
        channels: usize,
    },
    /// A channel leads to another process, but this one was started without a data port.
    #[error("{channel} leads to {peer}, but this process has no data port")]
    NoDataPort {
        /// The channel.
        channel: ChannelId,
        /// Where it leads.
        peer: String,
    },
    /// Rows of another type than the edge's.
    #[error(transparent)]
    RowType(#[from] RowTypeMismatch),
}
