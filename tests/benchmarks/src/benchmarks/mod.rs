//! One file a benchmark; each gives rows of the table.

pub(crate) mod backpressure;
pub(crate) mod chained;
pub(crate) mod every_second;
pub(crate) mod incremental;
pub(crate) mod keyed_count;
pub(crate) mod keyed_count_tcp;
pub(crate) mod latency;
pub(crate) mod memory;
pub(crate) mod recovery;
pub(crate) mod sliding;
pub(crate) mod startup;
