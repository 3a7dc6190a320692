//! Which products of a category all users look at most, hour by hour.

use std::collections::BTreeMap;

use thalweg::prelude::*;

use crate::event::Event;

/// The length of a window.
pub const HOUR_MS: i64 = 3_600_000;

/// The most viewed products of a category in one hour.
#[derive(Debug, Clone, Record)]
pub struct Ranking {
    /// The category.
    pub category: String,
    /// The hour's end: ms since 1970.
    pub until_ms: i64,
    /// Up to three, the most viewed first.
    pub products: Vec<u64>,
}

/// Counts views by product.
pub struct CountViews;

impl AggregateFunction<Event> for CountViews {
    type Accumulator = BTreeMap<u64, u64>;
    type Output = Vec<u64>;

    fn create_accumulator(&self) -> BTreeMap<u64, u64> {
        BTreeMap::new()
    }

    fn add(&self, view: &Event, counts: &mut BTreeMap<u64, u64>) {
        *counts.entry(view.product_id).or_default() += 1;
    }

    fn get_result(&self, counts: &BTreeMap<u64, u64>) -> Vec<u64> {
        let mut ranked: Vec<(u64, u64)> = counts.iter().map(|(id, count)| (*id, *count)).collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.into_iter().take(3).map(|(product, _)| product).collect()
    }

    fn merge(&self, counts: &mut BTreeMap<u64, u64>, other: &BTreeMap<u64, u64>) {
        for (product, count) in other {
            *counts.entry(*product).or_default() += count;
        }
    }
}

/// The category's ranking, when the hour is over.
#[expect(clippy::ptr_arg, reason = "the key is a String, and functions get a reference to it")]
pub fn ranking(
    category: &String,
    context: &WindowContext,
    products: Elements<Vec<u64>>,
    out: &mut Collector<'_, Ranking>,
) -> FunctionResult {
    for products in products {
        out.collect(Ranking {
            category: category.clone(),
            until_ms: context.window().end,
            products,
        });
    }
    Ok(())
}
