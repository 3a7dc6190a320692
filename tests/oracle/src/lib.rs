//! What the example applications must output, computed by plain programs over the sorted input.
//!
//! This crate is the definition of right for `fraud-detection` and `personalisation`: it reads the
//! same files, sorts every row that isn't late, and works each rule out in the most obvious way.
//! It also makes the data that the applications and the tests run on, and compares outputs.
//!
//! Deliberately not here: anything of the engine. The crate depends on none of the others, so that
//! a mistake in the engine can't be repeated in what the engine is measured against.

mod error;
pub mod fraud_detection;
pub mod generator;
mod input;
mod late;
mod output;
pub mod personalisation;

pub use error::OracleError;
pub use output::{compare, read_output, write_lines};
