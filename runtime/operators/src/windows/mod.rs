//! Windows in event time over keyed streams: a row is put into the windows of its key, and when
//! event time has passed a window's end, what was gathered in it is emitted.
//!
//! [`WindowAssigner`] says which windows a row is in, a [`WindowFunction`] what is gathered and
//! what comes out, [`WindowOptions`] what becomes of late rows. [`SlicedWindows`] runs tumbling
//! and sliding windows, [`SessionWindows`] sessions; [`window_operator`] takes the right one.
//!
//! - A tumbling or sliding window [start, end) fires when the watermark has reached `end - 1`. A
//!   session fires when it has reached `end`: 1 ms later than Flink's, since a row exactly at its
//!   end still belongs to it. Results have the timestamp `end - 1`.
//! - With allowed lateness, a row for a window that has fired makes it fire again, at once and
//!   for that row's key, with all its rows. A row that is late for some windows still counts in
//!   the others.
//! - After a restore no window fires a second time: the snapshot has the event time that each
//!   key group had reached, see `event_time.rs`.
//!
//! Not here yet: windows over streams without a key (`window_all`, to be `all.rs`: the same
//! operators over a key of no content at parallelism 1), windows in processing time, triggers
//! and evictors, windows by count.

mod assigner;
mod buffered;
mod emit;
mod event_time;
mod firing;
mod function;
mod gather;
mod late;
mod layout;
mod options;
mod session;
mod sessions;
mod sliced;
#[cfg(test)]
mod tests;
mod time_window;

pub use assigner::{DURATION_MS_MAX, WindowAssigner, WindowError};
pub use buffered::BufferedRows;
pub use function::{
    EmitWindow, ProcessWindow, ProcessWindowFunction, WindowContext, WindowFunction,
};
pub use gather::{Aggregating, Buffering, Elements, Gather, Reducing};
pub use options::{MakeWindowFunction, WindowOptions, window_operator};
pub use session::SessionWindows;
pub use sliced::SlicedWindows;
pub use time_window::TimeWindow;
