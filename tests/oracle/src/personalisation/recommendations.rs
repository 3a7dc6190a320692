//! Recommendations: products that all users viewed in the hour before, for a user's best category.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Event, Kind, best};
use crate::OracleError;
use crate::output::json_line;

const HOUR_MS: u64 = 3_600_000;
const PRODUCTS: usize = 3;

/// The most viewed products of each one-hour window, counted since 1970, and category.
pub(super) type PopularProducts = BTreeMap<(u64, String), Vec<u64>>;

/// Counts the views of all users by window, category and product, and keeps the best products.
pub(super) fn popular_products(events: &[Event]) -> PopularProducts {
    let mut views: BTreeMap<(u64, String), BTreeMap<u64, u64>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind == Kind::View) {
        let window = event.event_time_ms / HOUR_MS;
        let products = views.entry((window, event.category.clone())).or_default();
        *products.entry(event.product_id).or_default() += 1;
    }
    views.into_iter().map(|(key, products)| (key, best(&products, PRODUCTS))).collect()
}

#[derive(Serialize)]
struct Recommendation<'a> {
    user_id: u64,
    event_time_ms: u64,
    category: &'a str,
    products: &'a [u64],
}

/// The recommendations for one user's events, which are in order.
pub(super) fn recommendations(
    events: &[Event],
    popular: &PopularProducts,
) -> Result<Vec<String>, OracleError> {
    let mut scores: BTreeMap<String, u64> = BTreeMap::new();
    let mut lines = Vec::new();
    for event in events {
        *scores.entry(event.category.clone()).or_default() += event.score();
        let is_best = best(&scores, 1).first() == Some(&event.category);
        let Some(window_before) = (event.event_time_ms / HOUR_MS).checked_sub(1) else { continue };
        let products = popular.get(&(window_before, event.category.clone()));
        if let (Kind::View, true, Some(products)) = (event.kind, is_best, products) {
            lines.push(json_line(&Recommendation {
                user_id: event.user_id,
                event_time_ms: event.event_time_ms,
                category: &event.category,
                products,
            })?);
        }
    }
    Ok(lines)
}
