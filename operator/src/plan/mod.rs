//! What is to be done: decided from what was observed, and a given time.
//!
//! [`effect`] says what a change of each field of the spec leads to.

mod effect;
#[cfg(test)]
mod tests;

pub use effect::{EFFECTS, Effect, difference, effect_of, forming_part};
