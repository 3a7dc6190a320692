//! How large a world is: bounds make the number of its states finite.

use crate::rules::Rules;

/// The bounds, and what happens at all.
#[derive(Clone, Copy)]
pub struct Scope {
    /// Processes that may lead.
    pub processes: usize,
    /// Places in the log; nothing is written behind them.
    pub places: u64,
    /// Places in a segment.
    pub segment_length: u64,
    /// Highest epoch that is claimed.
    pub epochs: u64,
    /// Checkpoints that are begun by one leader.
    pub checkpoints: u64,
    /// Writes to the log with an unknown outcome.
    pub unknowns: u8,
    /// Writes with an unknown outcome that are done later: at most as many as unknown ones.
    pub late: u8,
    /// Crashes, and starts of processes that had stopped.
    pub crashes: u8,
    /// Sinks that commit.
    pub sinks: usize,
    /// Whether objects are collected, and checkpoints abandoned.
    pub collects_objects: bool,
    /// Whether entries of the log are collected, and listings may be old.
    pub collects_entries: bool,
    /// Whether jobs end.
    pub ends: bool,
    /// What is decided by.
    pub rules: Rules,
}

impl Default for Scope {
    fn default() -> Scope {
        Scope {
            processes: 2,
            places: 5,
            segment_length: 1024,
            epochs: 3,
            checkpoints: 2,
            unknowns: 0,
            late: 0,
            crashes: 0,
            sinks: 0,
            collects_objects: false,
            collects_entries: false,
            ends: false,
            rules: Rules::default(),
        }
    }
}
