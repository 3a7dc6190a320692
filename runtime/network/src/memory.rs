//! What the channels of a TaskManager may take, as numbers. Nothing is allocated here: a channel's
//! bound is kept by its queue.

/// A TaskManager's network memory is smaller than its tasks' channels need.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the channels of this TaskManager's tasks need {needed} bytes of network memory and it has \
     {available}; raise taskmanager.memory.process.size or taskmanager.memory.network.fraction, \
     or lower the parallelism"
)]
pub struct InsufficientNetworkMemory {
    /// Bytes needed, those of tasks that run already included.
    pub needed: u64,
    /// Bytes that there are.
    pub available: u64,
}

/// The network memory of a TaskManager and how much of it is promised to channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkMemory {
    total: u64,
    reserved: u64,
    channel_bytes: u64,
}

impl NetworkMemory {
    /// `total` bytes for channels of `channel_bytes` each.
    pub fn new(total: u64, channel_bytes: u64) -> Self {
        Self { total, reserved: 0, channel_bytes }
    }

    /// Bytes that this many channels need.
    pub fn required(&self, channels: usize) -> u64 {
        self.channel_bytes.saturating_mul(channels as u64)
    }

    /// Promises the memory of a task's channels: all its input channels, and its output channels
    /// that lead to other processes (their frames wait here until they are sent).
    ///
    /// # Errors
    /// There isn't enough; nothing is reserved then.
    pub fn reserve(&mut self, channels: usize) -> Result<(), InsufficientNetworkMemory> {
        let needed = self.reserved.saturating_add(self.required(channels));
        if needed > self.total {
            return Err(InsufficientNetworkMemory { needed, available: self.total });
        }
        self.reserved = needed;
        Ok(())
    }

    /// Gives back what [`Self::reserve`] promised to a task that has ended.
    pub fn release(&mut self, channels: usize) {
        self.reserved = self.reserved.saturating_sub(self.required(channels));
    }

    /// Bytes promised.
    pub fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_numbers_and_changes_nothing() {
        let mut memory = NetworkMemory::new(1000, 100);
        memory.reserve(7).unwrap();
        let error = memory.reserve(4).unwrap_err();
        assert_eq!(error, InsufficientNetworkMemory { needed: 1100, available: 1000 });
        assert!(error.to_string().contains("1100") && error.to_string().contains("1000"));
        memory.reserve(3).unwrap();
        memory.release(7);
        assert_eq!(memory.reserved(), 300);
        assert!(memory.reserve(usize::MAX).is_err());
    }
}
