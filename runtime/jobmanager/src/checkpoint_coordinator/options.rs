//! When checkpoints are taken, as the coordinator goes by it.

use std::time::Duration;

use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{checkpointing, web};

/// The coordinator's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// From one trigger to the next; None: only when asked for.
    pub interval: Option<Duration>,
    /// From one's end to the next trigger, at least.
    pub min_pause: Duration,
    /// When one is given up.
    pub timeout: Duration,
    /// How many may fail in a row.
    pub tolerable_failures: u32,
    /// How many completed ones are kept, at least 1.
    pub retained: usize,
    /// How many are remembered for REST.
    pub history: usize,
}

impl CheckpointOptions {
    /// Those that the configuration gives.
    pub fn of(configuration: &Configuration) -> Self {
        let get = configuration;
        Self {
            interval: get.get(&checkpointing::INTERVAL),
            min_pause: get.get(&checkpointing::MIN_PAUSE),
            timeout: get.get(&checkpointing::TIMEOUT),
            tolerable_failures: get.get(&checkpointing::TOLERABLE_FAILED_CHECKPOINTS),
            retained: get.get(&checkpointing::NUM_RETAINED).max(1) as usize,
            history: get.get(&web::CHECKPOINTS_HISTORY) as usize,
        }
    }

    /// Whether checkpoints are taken without being asked for.
    pub fn is_periodic(&self) -> bool {
        self.interval.is_some()
    }
}
