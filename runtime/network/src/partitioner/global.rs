//! Global: every row to subtask 0. There is one channel, and batches pass it whole.

/// Whether there is the one channel.
pub(super) fn fits(channels: usize) -> bool {
    channels == 1
}
