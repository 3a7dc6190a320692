//! What is to be done: decided from what was observed, and a given time.
//!
//! - [`decide`]: the decision, from [`Facts`] to [`Action`]s.
//! - [`effect_of`]: what a change of each field of the spec leads to.
//! - [`report`]: conditions and phase, by kstatus' rules.
//!
//! All of it is pure: an operator that is started again decides the same from the same facts.

mod action;
mod decide;
mod effect;
mod erase;
mod facts;
mod lineage;
mod notice;
mod preflight;
mod report;
mod rollback;
mod running;
mod secure;
mod skew;
#[cfg(test)]
mod tests;
mod warm;

pub use action::{Action, Decision, Event, Situation};
pub use decide::decide;
pub use effect::{EFFECTS, Effect, difference, effect_of, forming_part};
pub use facts::{Check, DeploymentFact, Erasure, Facts, PodFact, Recorded, Trouble, has_ended};
pub use lineage::{Lineage, wanted_revision};
pub use report::{OperatorStatus, report};
