//! Who decides. A JobManager is made of
//!
//! - the [`dispatcher`], which takes jobs in and runs one JobMaster for each;
//! - [`job_master`]s, each with its execution graph, scheduler and restart strategy, and its
//!   [`checkpoint_coordinator`] and [`source_coordinator`];
//! - the [`resource_manager`] with its slot manager, and the drivers that start TaskManagers;
//! - [`high_availability`]: who leads, and what is recorded for whoever leads next;
//! - the [`endpoint`], the one task that owns all of these and performs what they decide;
//! - [`rest`], what people and tools see of it.
//!
//! Everything but the endpoint and REST decides purely: a function from what happened, and a given
//! moment, to what is to be done. Not here: tasks (`taskmanager`, met in `rpc`'s messages), and
//! Kubernetes, which stands behind the driver's and the elector's traits.

pub mod checkpoint_coordinator;
pub mod dispatcher;
pub mod endpoint;
pub mod facts;
pub mod high_availability;
pub mod job_master;
pub mod moment;
pub mod resource_manager;
pub mod rest;
pub mod source_coordinator;

pub use dispatcher::JobSubmission;
pub use endpoint::{JobManager, JobManagerHandle, JobManagerOptions};
pub use job_master::JobResult;
pub use moment::Moment;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;
