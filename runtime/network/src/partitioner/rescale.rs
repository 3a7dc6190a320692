//! Rescale: in turn over the channels that there are.
//!
//! Which consumers are near was decided when the subtask was given its channels
//! (`ShipStrategy::connects`); over those it is what rebalance is over all.

use super::RebalancePartitioner;

pub(super) fn partition(
    turns: &mut RebalancePartitioner,
    rows: usize,
    channels: usize,
    destinations: &mut Vec<u32>,
) {
    turns.partition(rows, channels, destinations);
}
