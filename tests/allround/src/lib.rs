//! `allround`, the soak application: a source with a sequence number per key, every kind of state,
//! timers of event and processing time, windows, and an exactly-once sink. It checks itself while
//! it runs (a line that begins with [`line::ALERT`] says what is wrong), and its whole output is
//! known in advance.
//!
//! - [`input`]: the rows. [`line`](mod@line): what the job and its oracle write alike. [`oracle`]:
//!   the output, computed by loops over all rows at once.
//! - [`job`]: the streams. [`sequence`], [`tally`], [`rules`]: their functions. [`gates`]: where a
//!   test can make it stop, so that a fault comes exactly there.
//! - [`troubled`]: another job, a small one that gets into the troubles that alerts tell of. It is
//!   here because this is the program that the test images hold.
//!
//! Not here: the faults (`tests/integration`).

pub mod gates;
pub mod input;
pub mod job;
pub mod line;
pub mod oracle;
pub mod rules;
pub mod sequence;
pub mod tally;
pub mod troubled;
