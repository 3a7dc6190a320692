//! Time to live: how long the values of a keyed state live, and what is stored beside a value so
//! that it can expire. Whether a state has one is a type, so that a state without costs nothing
//! more than before.
//!
//! Time is processing time and is passed in. Not here: when expired values are removed (`keyed`),
//! and how a row holds its expiry (`run`).

mod config;
mod expiries;
mod lifetime;
mod time_to_live;
mod timed;

pub use self::config::{StateTtlConfig, StateVisibility, UpdateType};
pub(crate) use self::expiries::Expiries;
pub use self::lifetime::{Forever, Lifetime};
pub(crate) use self::lifetime::{Life, Restored, expiring, operation};
pub use self::time_to_live::TimeToLive;
pub(crate) use self::timed::Timed;
