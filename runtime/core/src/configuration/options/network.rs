//! How much data is in flight between tasks.

use super::option_group;
use crate::configuration::{ConfigOption, MemorySize};

option_group! {
    "Network";

    /// Rows per batch.
    BATCH_ROWS: u32 = ConfigOption::new(
        "taskmanager.network.batch-rows",
        || 4096,
        "The most rows in a batch.",
    )
    .ours()
    .must_be("from 1 to 65536", |rows| (1..=65_536).contains(rows));

    /// Bytes in flight per channel.
    MEMORY_PER_CHANNEL: MemorySize = ConfigOption::new(
        "taskmanager.network.memory.per-channel",
        || MemorySize::from_kib(512),
        "The most data in flight from one subtask to another. More evens out bursts; less lets \
         barriers pass sooner under back pressure.",
    )
    .ours()
    .must_be("from 4 kb to 64 mb", |size| {
        (MemorySize::from_kib(4)..=MemorySize::from_mib(64)).contains(size)
    });

    /// The network's part of the memory.
    MEMORY_FRACTION: f64 = ConfigOption::new(
        "taskmanager.memory.network.fraction",
        || 0.1,
        "The part of `taskmanager.memory.process.size`, less the overhead, that is set aside for \
         data in flight.",
    )
    .also("taskmanager.network.memory.fraction")
    .must_be("from 0.01 to 0.8", |fraction| (0.01..=0.8).contains(fraction));
}
