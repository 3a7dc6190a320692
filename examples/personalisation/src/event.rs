//! The input: what users look at and buy.

use thalweg::prelude::*;
use thalweg::serde::Deserialize;
use thalweg::serde::de::DeserializeOwned;

/// What both inputs have.
pub trait Row: Record + DeserializeOwned {
    /// When: ms since 1970.
    fn event_time_ms(&self) -> i64;
}

/// A row of `views`.
#[derive(Debug, Clone, Record, Deserialize)]
#[serde(crate = "thalweg::serde")]
pub struct View {
    /// Who.
    pub user_id: u64,
    /// When: ms since 1970.
    pub event_time_ms: u64,
    /// What.
    pub product_id: u64,
    /// What kind of thing.
    pub category: String,
}

impl Row for View {
    fn event_time_ms(&self) -> i64 {
        self.event_time_ms as i64
    }
}

/// A row of `purchases`.
#[derive(Debug, Clone, Record, Deserialize)]
#[serde(crate = "thalweg::serde")]
pub struct Purchase {
    /// Who.
    pub user_id: u64,
    /// When: ms since 1970.
    pub event_time_ms: u64,
    /// What.
    pub product_id: u64,
    /// What kind of thing.
    pub category: String,
    /// For how much.
    pub amount_cents: u64,
}

impl Row for Purchase {
    fn event_time_ms(&self) -> i64 {
        self.event_time_ms as i64
    }
}

/// A view or a purchase.
#[derive(Debug, Clone, Record)]
pub struct Event {
    /// Who.
    pub user_id: u64,
    /// When: ms since 1970.
    pub event_time_ms: u64,
    /// What.
    pub product_id: u64,
    /// What kind of thing.
    pub category: String,
    /// For how much, if it was bought.
    pub bought_for_cents: Option<u64>,
}

impl Event {
    /// A view as an event.
    pub fn from_view(view: View) -> Self {
        let View { user_id, event_time_ms, product_id, category } = view;
        Self { user_id, event_time_ms, product_id, category, bought_for_cents: None }
    }

    /// A purchase as an event.
    pub fn from_purchase(purchase: Purchase) -> Self {
        let Purchase { user_id, event_time_ms, product_id, category, amount_cents } = purchase;
        let bought_for_cents = Some(amount_cents);
        Self { user_id, event_time_ms, product_id, category, bought_for_cents }
    }

    /// How much interest it shows.
    pub fn score(&self) -> u64 {
        if self.bought_for_cents.is_some() { 5 } else { 1 }
    }
}
