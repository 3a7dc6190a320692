//! Large keyed state in a real S3 server: what checkpoints, a lost TaskManager and a rescale cost.
//!
//! The job runs in processes of its own ([`job`]); it tells by datagrams how many records it has
//! processed ([`beats`]), so that a pause of some milliseconds is seen from outside, and nothing
//! is asked of the JobManager for it ([`cluster`]). Not here: the figures' goals, which are in
//! `crate::benchmarks`.

pub(crate) mod beats;
pub(crate) mod cluster;
pub(crate) mod job;
