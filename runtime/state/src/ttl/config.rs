//! What a user says about a state's time to live.

use std::time::Duration;

/// Entries that are looked at for each row at most, unless said otherwise.
const CLEANUP_ENTRIES: u32 = 5;

/// How long the values of a keyed state live, and what happens to expired ones.
///
/// Each value of a value, reducing or aggregating state, each element of a list and each entry of
/// a map expires on its own, in processing time: once `time_to_live` has passed since it was last
/// written, or read if so configured. States with it are declared by
/// [`KeyedState::with_time_to_live`](crate::KeyedState::with_time_to_live).
///
/// ```
/// use std::time::Duration;
/// use thalweg_state::{StateTtlConfig, UpdateType};
///
/// let day = StateTtlConfig::new(Duration::from_secs(24 * 60 * 60))
///     .update_type(UpdateType::OnReadAndWrite);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateTtlConfig {
    pub(super) time_to_live: Duration,
    pub(super) update_type: UpdateType,
    pub(super) visibility: StateVisibility,
    pub(super) cleanup_entries: u32,
}

/// What makes a value live on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpdateType {
    /// Being written.
    #[default]
    OnCreateAndWrite,
    /// Being written or read. So that reads don't make every incremental checkpoint as large as a
    /// full one, it notes at most sixteen of them while the time to live passes once: after a
    /// restore, a value may expire by up to a sixteenth of its time to live too early, as if the
    /// last reads hadn't been.
    OnReadAndWrite,
}

/// Whether a value is seen between its expiry and its removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StateVisibility {
    /// No: an expired value is as if it weren't there.
    #[default]
    NeverReturnExpired,
    /// Yes, until it's removed, which is at some later time: reading doesn't remove it, and doesn't
    /// make it live on; writing does.
    ReturnExpiredIfNotCleanedUp,
}

impl StateTtlConfig {
    /// Values live for `time_to_live`, in whole milliseconds, after they were last written.
    pub fn new(time_to_live: Duration) -> StateTtlConfig {
        StateTtlConfig {
            time_to_live,
            update_type: UpdateType::default(),
            visibility: StateVisibility::default(),
            cleanup_entries: CLEANUP_ENTRIES,
        }
    }

    /// What makes a value live on. Without: being written.
    #[must_use]
    pub fn update_type(mut self, update_type: UpdateType) -> StateTtlConfig {
        self.update_type = update_type;
        self
    }

    /// Whether expired values are seen until they're removed. Without: they aren't.
    #[must_use]
    pub fn state_visibility(mut self, visibility: StateVisibility) -> StateTtlConfig {
        self.visibility = visibility;
        self
    }

    /// For each row that the operator processes, at most so many entries are looked at in turn,
    /// and removed if they have expired: as many as it takes to look at each entry eight times
    /// while the time to live passes. Without: 5. With 0 expired values stay in memory until
    /// they're accessed or the job is restored.
    #[must_use]
    pub fn cleanup_incrementally(mut self, entries: u32) -> StateTtlConfig {
        self.cleanup_entries = entries;
        self
    }
}
