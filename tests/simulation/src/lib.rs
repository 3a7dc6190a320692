//! Whole clusters on one thread with a virtual clock: a JobManager and TaskManagers with the
//! engine's own code, on turmoil's network, in an order that a seed decides, under faults that the
//! seed decides, too. What comes out is compared with an oracle. A seed repeats its run exactly.
//!
//! - [`plan`]: what a seed stands for. [`rows`], [`workload`], [`oracle`]: the job and its output.
//! - [`network`], [`store`], [`clock`]: what the engine's traits are implemented by, with faults.
//!   [`ledger`]: the sink's outside. [`obedience`]: whose tasks are begun.
//! - [`cluster`]: the hosts. [`faults`]: what happens to them. [`mod@run`]: a run and its verdict.
//!
//! Not here: real processes, sockets and disks (`tests/integration`).

pub mod capture;
pub mod clock;
pub mod cluster;
pub mod dice;
pub mod faults;
pub mod ledger;
pub mod network;
pub mod obedience;
pub mod oracle;
pub mod plan;
pub mod rows;
pub mod run;
pub mod store;
pub mod trace;
pub mod workload;

pub use plan::Plan;
pub use run::{Report, run};
