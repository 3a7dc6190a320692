//! Forward: subtask i to subtask i. There is one channel, and batches pass it whole.

/// Whether there is the one channel.
pub(super) fn fits(channels: usize) -> bool {
    channels == 1
}
