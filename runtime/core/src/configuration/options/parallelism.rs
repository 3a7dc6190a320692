//! How many subtasks an operator has, and may ever have.

use super::option_group;
use crate::configuration::ConfigOption;

/// The highest max parallelism: half of what the 16 bits that choose a key group could tell
/// apart, as in Flink.
pub const MAX_PARALLELISM_MAX: u32 = 1 << 15;

option_group! {
    "Parallelism";

    /// Parallelism where the program gives none.
    DEFAULT: u32 = ConfigOption::new(
        "parallelism.default",
        || 1,
        "The parallelism of operators for which the program sets none.",
    )
    .must_be("from 1 to 32768", |parallelism| (1..=MAX_PARALLELISM_MAX).contains(parallelism));

    /// Number of key groups.
    MAX: u32 = ConfigOption::new(
        "pipeline.max-parallelism",
        || 128,
        "The number of key groups, and with it the highest parallelism that a job can be rescaled \
         to. Stored in every snapshot: a job can't be restored with another value. Never derived \
         from the parallelism.",
    )
    .flink_default("derived from the parallelism, at least 128")
    .must_be("from 1 to 32768", |parallelism| (1..=MAX_PARALLELISM_MAX).contains(parallelism));
}
