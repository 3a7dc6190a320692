//! The vocabulary of the engine: what every other crate talks about.
//!
//! Plain data and pure functions only. No tokio, no I/O, no threads, no clock of its own: what
//! needs one of these gets it passed in. The way of a record starts here ([`batch`],
//! [`element`]), and so does the way of a job ([`job_graph`], [`status`]).

pub mod batch;
pub mod clock;
pub mod configuration;
pub mod element;
pub mod ids;
pub mod job_graph;
pub mod key_group;
pub mod record;
pub mod split;
pub mod status;

pub use batch::{Batch, Columns, RowKind, RowType, Rows};
pub use clock::{Clock, SystemClock};
pub use element::{StreamElement, Watermark};
pub use record::{Key, Record};
