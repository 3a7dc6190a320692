//! The sending end of a channel whose consumer is in this process: the consumer's own queue.

use std::sync::Arc;

use thalweg_core::Batch;
use thalweg_core::element::Control;

use super::{CONTROL_BYTES, InputQueue, Item};

/// Closes the writer's side of the queue when it is dropped.
pub(crate) struct LocalOutput {
    queue: Arc<InputQueue>,
}

impl LocalOutput {
    /// The sending end of a queue whose writer's side was attached.
    pub(crate) fn new(queue: Arc<InputQueue>) -> Self {
        Self { queue }
    }

    /// Hands over a batch; gives the bytes that it counts as.
    pub(crate) fn push_batch(&self, batch: Batch) -> usize {
        let bytes = batch.size_bytes();
        self.queue.push(Item::Batch(batch), bytes.max(1));
        bytes
    }

    pub(crate) fn push_control(&self, control: Control) {
        self.queue.push(Item::Control(control), CONTROL_BYTES);
    }

    pub(crate) fn reader_waiting(&self) -> bool {
        self.queue.reader_waiting()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }
}

impl Drop for LocalOutput {
    fn drop(&mut self) {
        self.queue.close_upstream();
    }
}
