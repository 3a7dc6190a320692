//! The output: one suspicion.

use thalweg::prelude::*;
use thalweg::serde::Serialize;

/// A line of JSON.
#[derive(Debug, Clone, Record, Serialize)]
#[serde(crate = "thalweg::serde")]
pub struct Alert {
    /// Whose card.
    pub account_id: u64,
    /// Which rule.
    pub rule: String,
    /// The payment's time, for `burst` the window's end: ms since 1970.
    pub event_time_ms: u64,
    /// The payment, for rules about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<u64>,
    /// Number of payments, for `burst`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}
