//! What `personalisation` must output: a shop's sessions and recommendations.
//!
//! The rows of both inputs that aren't late become one list of events, sorted by user, event time,
//! purchases before views, product id and category; each rule looks at one user's events at a time.

mod recommendations;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::OracleError;
use crate::input::{Row, read_files};
use crate::late::separate_late;

/// How far behind the highest event time of its file a row may be without being late.
const BOUND_MS: u64 = 10_000;
const VIEW_SCORE: u64 = 1;
const PURCHASE_SCORE: u64 = 5;

/// A row of the views: a user looked at a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Who looked.
    pub user_id: u64,
    /// When, in milliseconds since 1970.
    pub event_time_ms: u64,
    /// At which product.
    pub product_id: u64,
    /// The product's category.
    pub category: String,
}

impl Row for View {
    const HEADER: &'static [&'static str] = &["user_id", "event_time_ms", "product_id", "category"];
    const BOUND_MS: u64 = BOUND_MS;

    fn event_time_ms(&self) -> u64 {
        self.event_time_ms
    }

    fn set_event_time_ms(&mut self, event_time_ms: u64) {
        self.event_time_ms = event_time_ms;
    }
}

/// A row of the purchases: a user bought a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Who bought.
    pub user_id: u64,
    /// When, in milliseconds since 1970.
    pub event_time_ms: u64,
    /// Which product.
    pub product_id: u64,
    /// The product's category.
    pub category: String,
    /// What was paid.
    pub amount_cents: u64,
}

impl Row for Purchase {
    const HEADER: &'static [&'static str] =
        &["user_id", "event_time_ms", "product_id", "category", "amount_cents"];
    const BOUND_MS: u64 = BOUND_MS;

    fn event_time_ms(&self) -> u64 {
        self.event_time_ms
    }

    fn set_event_time_ms(&mut self, event_time_ms: u64) {
        self.event_time_ms = event_time_ms;
    }
}

/// What the application must write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonalisationOutput {
    /// The sessions as JSON lines, sorted.
    pub sessions: Vec<String>,
    /// The recommendations as JSON lines, sorted.
    pub recommendations: Vec<String>,
    /// The number of views read, late ones included.
    pub views: usize,
    /// The number of purchases read, late ones included.
    pub purchases: usize,
    /// The number of late views.
    pub late_views: usize,
    /// The number of late purchases.
    pub late_purchases: usize,
}

/// Reads views and purchases, each a CSV file or a folder of them, and computes the output.
///
/// # Errors
/// A path that can't be read, a malformed row.
pub fn run(
    views: impl AsRef<Path>,
    purchases: impl AsRef<Path>,
) -> Result<PersonalisationOutput, OracleError> {
    personalise(read_files(views.as_ref())?, read_files(purchases.as_ref())?)
}

/// Computes the output for the rows of each file, in the files' order.
///
/// # Errors
/// Only what writing JSON may give.
pub fn personalise(
    views: Vec<Vec<View>>,
    purchases: Vec<Vec<Purchase>>,
) -> Result<PersonalisationOutput, OracleError> {
    let mut output = PersonalisationOutput::default();
    let mut events = Vec::new();
    for rows in purchases {
        output.purchases += rows.len();
        let (in_time, late) = separate_late(rows);
        output.late_purchases += late.len();
        events.extend(in_time.into_iter().map(Event::of_purchase));
    }
    for rows in views {
        output.views += rows.len();
        let (in_time, late) = separate_late(rows);
        output.late_views += late.len();
        events.extend(in_time.into_iter().map(Event::of_view));
    }
    events.sort();
    let popular_products = recommendations::popular_products(&events);
    for of_user in events.chunk_by(|left, right| left.user_id == right.user_id) {
        output.sessions.extend(sessions::sessions(of_user)?);
        output
            .recommendations
            .extend(recommendations::recommendations(of_user, &popular_products)?);
    }
    output.sessions.sort();
    output.recommendations.sort();
    Ok(output)
}

/// A row of either input. The derived order, by the fields from top to bottom, is the rules' order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    user_id: u64,
    event_time_ms: u64,
    kind: Kind,
    product_id: u64,
    category: String,
    /// What was paid; 0 for a view.
    amount_cents: u64,
}

/// Purchases come before views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Purchase,
    View,
}

impl Event {
    fn of_purchase(row: Purchase) -> Event {
        Event {
            user_id: row.user_id,
            event_time_ms: row.event_time_ms,
            kind: Kind::Purchase,
            product_id: row.product_id,
            category: row.category,
            amount_cents: row.amount_cents,
        }
    }

    fn of_view(row: View) -> Event {
        Event {
            user_id: row.user_id,
            event_time_ms: row.event_time_ms,
            kind: Kind::View,
            product_id: row.product_id,
            category: row.category,
            amount_cents: 0,
        }
    }

    /// What the event adds to the score of its category.
    fn score(&self) -> u64 {
        match self.kind {
            Kind::View => VIEW_SCORE,
            Kind::Purchase => PURCHASE_SCORE,
        }
    }
}

/// The names with the highest scores, best first, at most `limit`; equal scores by name.
fn best<N: Ord + Clone>(scores: &BTreeMap<N, u64>, limit: usize) -> Vec<N> {
    let mut ranking: Vec<(&N, u64)> = scores.iter().map(|(name, score)| (name, *score)).collect();
    ranking.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    ranking.into_iter().take(limit).map(|(name, _)| name.clone()).collect()
}
