//! Where keyed state lives while a job runs.

use super::option_group;
use crate::configuration::ConfigOption;
use crate::configuration::named::Named;

/// A state backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateBackendType {
    /// Typed hash tables in memory.
    Memory,
}

impl Named for StateBackendType {
    const NAMES: &'static [(Self, &'static str, &'static [&'static str])] =
        &[(Self::Memory, "memory", &["hashmap"])];
    const REFUSED: &'static [(&'static str, &'static str)] = &[
        ("rocksdb", "there is no state larger than memory yet; use memory"),
        ("forst", "there is no state larger than memory yet; use memory"),
        ("disk", "there is no state larger than memory yet; use memory"),
    ];
}

option_group! {
    "State";

    /// The backend of keyed state.
    BACKEND_TYPE: StateBackendType = ConfigOption::new(
        "state.backend.type",
        || StateBackendType::Memory,
        "Where keyed state lives: `memory`, for which Flink's `hashmap` is accepted too.",
    )
    .flink_default("hashmap, the same thing");
}
