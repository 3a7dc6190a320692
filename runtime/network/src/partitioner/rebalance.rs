//! Rebalance: in turn over all channels.
//!
//! A batch is cut into one run of consecutive rows per channel, because runs are cheaper to move
//! than single rows. The runs' lengths differ by one at most, and the next batch's longer runs go
//! to the channels that are next in turn: so after any number of batches of any sizes no channel
//! has got two rows more than another.

/// Whose turn it is.
#[derive(Debug, Clone)]
pub struct RebalancePartitioner {
    next: u32,
}

impl RebalancePartitioner {
    /// Starts at a channel that depends on the producing subtask, so that the first rows of many
    /// subtasks don't all go to the first consumer.
    pub fn new(subtask: u32) -> Self {
        Self { next: subtask }
    }

    pub(super) fn partition(&mut self, rows: usize, channels: usize, destinations: &mut Vec<u32>) {
        let first = self.next as usize % channels;
        let (run, longer) = (rows / channels, rows % channels);
        for turn in 0..channels {
            let channel = (first + turn) % channels;
            let length = run + usize::from(turn < longer);
            destinations.resize(destinations.len() + length, channel as u32);
        }
        self.next = ((first + longer) % channels) as u32;
    }
}
