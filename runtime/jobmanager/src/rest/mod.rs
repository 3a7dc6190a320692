//! The REST API of the JobManager: Flink 2.2's paths and JSON, read by its dashboard, its command
//! line, autoscalers and ours.
//!
//! Three layers, each knowing only the one before it: [`model`] is what is true (plain facts that
//! the JobManager fills, free of JSON), `handlers` turns facts into Flink's JSON by pure functions,
//! `router` and [`server`] speak HTTP. The only way back into the JobManager is [`RestGateway`].
//! [`StandbyRest`] is what a JobManager answers before it leads.
//! Who may change something is `access`'s.
//! No scheduling is decided here, and no clock is read: the gateway says what time it is.

mod access;
mod error;
mod gateway;
mod handlers;
mod json;
pub mod model;
mod request;
mod router;
pub mod server;
mod standby;
#[cfg(test)]
mod tests;

pub use gateway::{RestFailure, RestGateway, RestReply};
pub use router::router;
pub use server::{PortRule, RestServer, RestServerError};
pub use standby::{KnownLeader, PassingTimes, StandbyRest};
