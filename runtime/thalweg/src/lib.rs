//! Thalweg: a stateful stream processor. This is the one crate that an application depends on.
//!
//! An application is a binary that describes streams in a closure:
//!
//! ```no_run
//! use thalweg::prelude::*;
//!
//! fn main() -> std::process::ExitCode {
//!     thalweg::run("word-count", |env, _args| {
//!         let lines = vec!["to be or not to be".to_string()];
//!         env.from_source(CollectionSource::new(lines), no_watermarks(), "lines")
//!             .flat_map(|line| line.split(' ').map(str::to_string).collect::<Vec<_>>())
//!             .map(|word| (word, 1u64))
//!             .key_by(|count| count.0.clone())
//!             .sum(|count| &mut count.1)
//!             .sink_to(PrintSink::stdout(RowFormat::with(|count: &(String, u64)| {
//!                 format!("{} {}", count.0, count.1)
//!             })));
//!         env.execute("word count")?;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! Started without a role it runs in one process; as `word-count jobmanager --config FILE` and
//! `word-count taskmanager --config FILE` the same binary is a cluster. Parts: [`application`]
//! (running the closure, finding its code), [`process`] (the roles), [`metrics`] (Prometheus),
//! [`command_line`], [`state_command`] (looking at checkpoints), [`parameter_tool`].

pub mod application;
pub mod command_line;
mod local_environment;
pub mod logging;
pub mod metrics;
pub mod parameter_tool;
pub mod prelude;
pub mod process;
mod run;
pub mod state_command;

pub use local_environment::local_environment;
pub use parameter_tool::ParameterTool;
pub use run::run;
pub use thalweg_connectors as connectors;
pub use thalweg_core as core;
pub use thalweg_datastream as datastream;
pub use thalweg_datastream::{ExecuteError, StreamExecutionEnvironment};
pub use thalweg_operators as operators;
pub use thalweg_state as state;

/// For applications that derive serde's traits without depending on it:
/// `#[serde(crate = "thalweg::serde")]`.
pub use serde;

/// Any error: what an application's closure may fail with.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What an application's closure returns.
pub type Result<T = ()> = std::result::Result<T, Error>;

#[doc(hidden)]
pub mod __private {
    //! What the derive macros refer to.
    pub use thalweg_core::{key_group, record};
}

/// The memory allocator of every application: its threads don't wait for each other, and it gives
/// memory of one size back to the next batch of that size.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
