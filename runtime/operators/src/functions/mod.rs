//! The operators that run an application's functions: one a file.
//!
//! Stateless ones: `map`, `filter`, `flat_map`, `process`. Per key: `keyed_process`,
//! `reduce`. With two inputs: `co_process`, `keyed_co_process`, `broadcast`. What they
//! have in common: `key_selector`.

mod broadcast;
mod co_process;
mod collect;
mod filter;
mod flat_map;
mod key_selector;
mod keyed_co_process;
mod keyed_context;
mod keyed_process;
mod keyed_run;
mod look_ahead;
mod map;
mod process;
mod reduce;
#[cfg(test)]
mod tests;

pub use broadcast::{BroadcastContext, BroadcastProcess, BroadcastProcessFunction, BroadcastView};
pub use co_process::{CoProcess, CoProcessFunction};
pub use collect::{COLLECT_BYTES, Collect};
pub use filter::Filter;
pub use flat_map::FlatMap;
pub use key_selector::{KeyHashes, KeySelector};
pub use keyed_co_process::{KeyedCoProcess, KeyedCoProcessFunction};
pub use keyed_context::{KeyedContext, KeyedOpen, TimeDomain};
pub use keyed_process::{KeyedProcess, KeyedProcessFunction};
pub use keyed_run::MakeKeyed;
pub use map::Map;
pub use process::{Process, ProcessContext, ProcessFunction, ProcessOpen};
pub use reduce::Reduce;
