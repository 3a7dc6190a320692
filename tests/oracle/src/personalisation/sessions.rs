//! Sessions of one user: views and purchases with no gap above 30 minutes between them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Event, Kind, best};
use crate::OracleError;
use crate::output::json_line;

/// An event exactly this long after the last one still belongs to its session.
const GAP_MS: u64 = 1_800_000;
const TOP_CATEGORIES: usize = 3;

#[derive(Serialize)]
struct Session {
    user_id: u64,
    session_start_ms: u64,
    session_end_ms: u64,
    views: usize,
    purchases: usize,
    spent_cents: u128,
    top_categories: Vec<String>,
}

/// The sessions of one user's events, which are in order.
pub(super) fn sessions(events: &[Event]) -> Result<Vec<String>, OracleError> {
    events
        .chunk_by(|event, next| next.event_time_ms - event.event_time_ms <= GAP_MS)
        .map(|of_session| json_line(&session(of_session)))
        .collect()
}

/// The session that consists of these events, of which there is at least one.
fn session(events: &[Event]) -> Session {
    let mut scores: BTreeMap<String, u64> = BTreeMap::new();
    for event in events {
        *scores.entry(event.category.clone()).or_default() += event.score();
    }
    let views = events.iter().filter(|event| event.kind == Kind::View).count();
    Session {
        user_id: events[0].user_id,
        session_start_ms: events[0].event_time_ms,
        session_end_ms: events[events.len() - 1].event_time_ms + GAP_MS,
        views,
        purchases: events.len() - views,
        spent_cents: events.iter().map(|event| u128::from(event.amount_cents)).sum(),
        top_categories: best(&scores, TOP_CATEGORIES),
    }
}
