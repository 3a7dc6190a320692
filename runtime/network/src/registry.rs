//! Where producers and consumers of channels find each other within a TaskManager.
//!
//! Either side may come first; the other one is waited for until a deadline, kept by calls of
//! [`PartitionRegistry::expire`] with the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::channel::{
    ChannelId, DEFAULT_CHANNEL_BYTES, GateSignal, InputQueue, LocalOutput, Missing, Upstream,
    WriterSignal,
};
use crate::error::NetworkError;
use crate::remote::CreditReturn;

/// How a registry behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Bytes that a channel holds before its writer is unavailable.
    pub channel_bytes: usize,
    /// How long a producer waits for its consumer.
    pub consumer_timeout: Duration,
    /// How long a consumer waits for its producer, whose task may have to restore state first.
    pub producer_timeout: Duration,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            channel_bytes: DEFAULT_CHANNEL_BYTES,
            consumer_timeout: Duration::from_secs(60),
            producer_timeout: Duration::from_secs(300),
        }
    }
}

struct Entry {
    queue: Arc<InputQueue>,
    /// Since when a side is known to be missing, and which.
    missing: Option<(Missing, Duration)>,
}

/// The channels whose consumers are, or will be, in this process.
pub struct PartitionRegistry {
    options: RegistryOptions,
    entries: Mutex<BTreeMap<ChannelId, Entry>>,
}

impl PartitionRegistry {
    /// An empty registry.
    pub fn new(options: RegistryOptions) -> Arc<Self> {
        Arc::new(Self { options, entries: Mutex::new(BTreeMap::new()) })
    }

    /// Fails the channels of which one side has waited too long for the other. Call it about every
    /// second; a wait starts with the first call that sees it.
    pub fn expire(&self, now: Duration) {
        let mut expired = Vec::new();
        self.entries.lock().retain(|_, entry| {
            let missing = entry.queue.missing();
            let timeout = match missing {
                Missing::Nothing => {
                    entry.missing = None;
                    return true;
                }
                Missing::Reader => self.options.consumer_timeout,
                Missing::Writer => self.options.producer_timeout,
            };
            let since = match entry.missing {
                Some((which, since)) if which == missing => since,
                _ => now,
            };
            entry.missing = Some((missing, since));
            let waited = now.saturating_sub(since);
            if waited < timeout {
                return true;
            }
            expired.push((Arc::clone(&entry.queue), waited));
            // A gate unregisters its channels itself.
            missing == Missing::Writer
        });
        for (queue, waited) in expired {
            queue.expire(waited);
        }
    }

    /// Number of channels known here.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether no channel is known here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn register(
        &self,
        id: ChannelId,
        signal: Arc<GateSignal>,
        index: u32,
    ) -> Result<Arc<InputQueue>, NetworkError> {
        let queue = self.queue(id);
        queue.attach_reader(signal, index)?;
        Ok(queue)
    }

    /// The consumer's side goes.
    pub(crate) fn unregister(&self, queue: &Arc<InputQueue>) {
        {
            let mut entries = self.entries.lock();
            if entries.get(&queue.id()).is_some_and(|entry| Arc::ptr_eq(&entry.queue, queue)) {
                entries.remove(&queue.id());
            }
        }
        queue.detach_reader();
    }

    pub(crate) fn connect_local(
        &self,
        id: ChannelId,
        signal: Arc<WriterSignal>,
    ) -> Result<LocalOutput, NetworkError> {
        let queue = self.queue(id);
        queue.attach_upstream(Upstream::Local { signal, blocked: false })?;
        Ok(LocalOutput::new(queue))
    }

    pub(crate) fn connect_remote(
        &self,
        id: ChannelId,
        credits: CreditReturn,
    ) -> Result<Arc<InputQueue>, NetworkError> {
        let queue = self.queue(id);
        queue.attach_upstream(Upstream::Remote { credits, freed: 0 })?;
        Ok(queue)
    }

    fn queue(&self, id: ChannelId) -> Arc<InputQueue> {
        let mut entries = self.entries.lock();
        let entry = entries.entry(id).or_insert_with(|| Entry {
            queue: Arc::new(InputQueue::new(id, self.options.channel_bytes)),
            missing: None,
        });
        Arc::clone(&entry.queue)
    }
}

impl std::fmt::Debug for PartitionRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionRegistry").field("channels", &self.len()).finish_non_exhaustive()
    }
}
