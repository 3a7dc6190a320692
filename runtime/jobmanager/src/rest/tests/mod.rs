//! REST as a client sees it: over a real connection, from facts equal to those of the job whose
//! answers `samples/` holds.

mod access;
mod client;
mod commands;
mod contract;
mod errors;
mod facts;
mod handlers;
mod like;
mod model;
mod operations;
mod secured;
mod server;
mod standby;
