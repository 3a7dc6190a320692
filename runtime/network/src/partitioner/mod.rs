//! Which channel a row goes to: one file per [ship strategy].
//!
//! A partitioner fills in one destination per row, an index into its writer's channels, in one
//! pass over the batch; the writer then splits the batch. Forward, global and broadcast need no
//! choice: their batches are never split.
//!
//! [ship strategy]: thalweg_core::job_graph::ShipStrategy

mod broadcast;
mod custom;
mod forward;
mod global;
mod hash;
mod rebalance;
mod rescale;
mod shuffle;

#[cfg(test)]
mod tests;

use thalweg_core::Batch;
use thalweg_core::job_graph::ShipStrategy;

pub use custom::CustomPartitioner;
pub use hash::{HashPartitioner, KeyHasher};
pub use rebalance::RebalancePartitioner;
pub use shuffle::ShufflePartitioner;

use crate::error::NetworkError;

/// How the rows of one output edge of one producing subtask find their channels.
pub enum Partitioner {
    /// All rows to the one channel.
    Forward,
    /// By the key group of the row's key.
    Hash(HashPartitioner),
    /// In turn over all channels.
    Rebalance(RebalancePartitioner),
    /// In turn over the channels that the subtask has, which are those to its near consumers.
    Rescale(RebalancePartitioner),
    /// By a hash of the row's place.
    Shuffle(ShufflePartitioner),
    /// Every row to every channel.
    Broadcast,
    /// All rows to the one channel, which leads to subtask 0.
    Global,
    /// As the application says.
    Custom(Box<dyn CustomPartitioner>),
}

/// Whether a batch is split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spread {
    /// It goes to every channel whole (there may be only one).
    Whole,
    /// Each row goes to one of several channels.
    ByRow,
}

impl Partitioner {
    /// The strategy.
    pub fn strategy(&self) -> ShipStrategy {
        match self {
            Self::Forward => ShipStrategy::Forward,
            Self::Hash(_) => ShipStrategy::Hash,
            Self::Rebalance(_) => ShipStrategy::Rebalance,
            Self::Rescale(_) => ShipStrategy::Rescale,
            Self::Shuffle(_) => ShipStrategy::Shuffle,
            Self::Broadcast => ShipStrategy::Broadcast,
            Self::Global => ShipStrategy::Global,
            Self::Custom(_) => ShipStrategy::Custom,
        }
    }

    /// Checks that it can work with this many channels.
    pub(crate) fn check(&self, channels: usize) -> Result<(), NetworkError> {
        let fits = match self {
            Self::Forward => forward::fits(channels),
            Self::Global => global::fits(channels),
            Self::Broadcast => broadcast::fits(channels),
            Self::Hash(hash) => hash.fits(channels),
            _ => channels > 0,
        };
        let strategy = self.strategy().name();
        if fits { Ok(()) } else { Err(NetworkError::ChannelCount { strategy, channels }) }
    }

    /// Whether batches are split over this many channels.
    pub(crate) fn spread(&self, channels: usize) -> Spread {
        match self {
            Self::Broadcast => Spread::Whole,
            _ if channels == 1 => Spread::Whole,
            _ => Spread::ByRow,
        }
    }

    /// Chooses a channel below `channels` for each row, in place of what is in `destinations`, and
    /// sets what the receiver can reuse on the batch. Chooses nothing where nothing is split.
    pub(crate) fn partition(
        &mut self,
        batch: &mut Batch,
        channels: usize,
        destinations: &mut Vec<u32>,
    ) -> Result<(), NetworkError> {
        destinations.clear();
        let split = self.spread(channels) == Spread::ByRow;
        match self {
            Self::Hash(hash) => hash.partition(batch, split.then_some(destinations))?,
            _ if !split => {}
            Self::Rebalance(turns) => turns.partition(batch.len(), channels, destinations),
            Self::Rescale(turns) => rescale::partition(turns, batch.len(), channels, destinations),
            Self::Shuffle(shuffle) => shuffle.partition(batch.len(), channels, destinations),
            Self::Custom(custom) => {
                custom::partition(custom.as_mut(), batch, channels, destinations)?;
            }
            Self::Forward | Self::Broadcast | Self::Global => {}
        }
        Ok(())
    }
}

impl std::fmt::Debug for Partitioner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.strategy().name())
    }
}
