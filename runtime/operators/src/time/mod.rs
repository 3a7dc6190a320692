//! Event time: where timestamps and watermarks come from.

mod assign;
pub(crate) mod idleness;
pub(crate) mod stamp;
mod strategy;
#[cfg(test)]
mod tests;

pub use assign::AssignTimestamps;
pub use strategy::{WatermarkGenerator, WatermarkStrategy};
