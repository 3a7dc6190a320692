//! The input: one card payment.

use thalweg::prelude::*;
use thalweg::serde::{Deserialize, Serialize};

/// A row of the CSV.
#[derive(Debug, Clone, Record, Serialize, Deserialize)]
#[serde(crate = "thalweg::serde")]
pub struct Transaction {
    /// Unique.
    pub transaction_id: u64,
    /// Whose card.
    pub account_id: u64,
    /// When: ms since 1970.
    pub event_time_ms: u64,
    /// How much.
    pub amount_cents: u64,
    /// To whom.
    pub merchant: String,
    /// Where.
    pub location: String,
}
