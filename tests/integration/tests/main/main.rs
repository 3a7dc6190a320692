//! Whole applications, as processes: in one process, as clusters, under faults, with bad input.
//!
//! Each test makes its own input, picks free ports, and starts its own processes, all of which end
//! with it: tests run at the same time. What is right is decided by `thalweg-oracle`, which shares
//! nothing with the engine. Not here: timing of any kind.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "every function here is part of a test: a panic is how a test fails"
)]

mod applications;
mod bad_input;
mod cancel;
mod clusters;
mod collected;
mod configuration;
mod deleted;
mod drain;
mod evolution;
mod faults;
mod high_availability;
mod monitoring;
mod parts;
mod programs;
mod recorded;
mod rescale;
mod s3;
mod s3_credentials;
mod s3_recorded;
mod savepoints;
mod secured;
mod soak;
mod soak_damage;
mod soak_disk;
mod soak_gates;
mod sockets;
mod standby;
mod strangers;
mod time_to_live;
