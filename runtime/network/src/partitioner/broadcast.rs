//! Broadcast: every row to every subtask. The channels share one batch, or its bytes.

/// Whether there is a channel at all.
pub(super) fn fits(channels: usize) -> bool {
    channels > 0
}
