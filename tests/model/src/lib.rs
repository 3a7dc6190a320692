//! The log protocol of `thalweg_storage::log` as a model, checked in every interleaving.
//!
//! Processes that may pause, crash and start again at any point act on a store whose writes may
//! succeed and seem to fail, or arrive late, and whose listings may be old. Sinks get orders late,
//! twice and in any order. **All decisions are those of the production code**, called through
//! [`Rules`]; the model only adds who may do what when. So the code and its model can't drift
//! apart, and a rule can be broken on purpose to see that the checker notices.
//!
//! [`World`] is a state, [`Scope`] says how large the world is, `properties` what must hold.
//! What a step of the model is: one request to the store, or one message to a sink. Between two
//! of them a process may rest for ever, which is how a paused leader is modelled.
//!
//! Not here: elections (anybody may claim at any time), and the workflow that performs the
//! decisions, which `thalweg-storage` tests against real stores.

mod collecting;
mod process;
mod properties;
mod rules;
mod scope;
mod steps;
#[cfg(test)]
mod tests;
mod world;

pub use self::process::{AppendPhase, Collection, Lead, Process, Role};
pub use self::rules::Rules;
pub use self::scope::Scope;
pub use self::steps::{Action, PutResult};
pub use self::world::{CheckpointName, Order, Sink, Store, World};
