//! Sessions: what a user did between two long silences.

use std::collections::BTreeMap;

use thalweg::prelude::*;
use thalweg::serde::Serialize;

use crate::event::Event;

/// What is known of a session so far.
#[derive(Debug, Clone, Default, Record)]
pub struct Summary {
    views: u64,
    purchases: u64,
    spent_cents: u64,
    scores: BTreeMap<String, u64>,
}

/// A line of JSON.
#[derive(Debug, Clone, Record, Serialize)]
#[serde(crate = "thalweg::serde")]
pub struct Session {
    user_id: u64,
    session_start_ms: u64,
    session_end_ms: u64,
    views: u64,
    purchases: u64,
    spent_cents: u64,
    top_categories: Vec<String>,
}

/// Sums a session up.
pub struct Summarise;

impl AggregateFunction<Event> for Summarise {
    type Accumulator = Summary;
    type Output = Summary;

    fn create_accumulator(&self) -> Summary {
        Summary::default()
    }

    fn add(&self, event: &Event, summary: &mut Summary) {
        match event.bought_for_cents {
            Some(cents) => {
                summary.purchases += 1;
                summary.spent_cents += cents;
            }
            None => summary.views += 1,
        }
        *summary.scores.entry(event.category.clone()).or_default() += event.score();
    }

    fn get_result(&self, summary: &Summary) -> Summary {
        summary.clone()
    }

    fn merge(&self, summary: &mut Summary, other: &Summary) {
        summary.views += other.views;
        summary.purchases += other.purchases;
        summary.spent_cents += other.spent_cents;
        for (category, score) in &other.scores {
            *summary.scores.entry(category.clone()).or_default() += score;
        }
    }
}

/// The session's line, when it has ended.
pub fn line(
    user_id: &u64,
    context: &WindowContext,
    summaries: Elements<Summary>,
    out: &mut Collector<'_, Session>,
) -> FunctionResult {
    for summary in summaries {
        let mut ranked: Vec<(String, u64)> = summary.scores.into_iter().collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ranked.truncate(3);
        out.collect(Session {
            user_id: *user_id,
            session_start_ms: context.window().start as u64,
            session_end_ms: context.window().end as u64,
            views: summary.views,
            purchases: summary.purchases,
            spent_cents: summary.spent_cents,
            top_categories: ranked.into_iter().map(|(category, _)| category).collect(),
        });
    }
    Ok(())
}
