//! What the probes ask about. Pure: the loop tells, at its own times, how it is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long the loop may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long looking at one application may take; the loop ends it long before that.
const LOOK_MAX: Duration = Duration::from_secs(300);

/// How the loop is.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    beat: Duration,
    /// Since when the application is looked at that takes longest.
    longest: Option<Duration>,
    /// What wasn't read yet; none: the loop hasn't begun.
    unread: Option<Vec<String>>,
}

impl Health {
    /// The loop has come by. `unread`: the kinds that it hasn't read yet.
    pub fn beat(&self, now: Duration, longest: Option<Duration>, unread: Vec<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { beat: now, longest, unread: Some(unread) };
    }

    /// Why the process should be ended; none if it shouldn't.
    pub fn trouble(&self, now: Duration) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = now.saturating_sub(state.beat);
        if silent > SILENCE_MAX {
            return Some(format!("the reconcile loop hasn't come by for {} s", silent.as_secs()));
        }
        let looks = now.saturating_sub(state.longest?);
        (looks > LOOK_MAX)
            .then(|| format!("one application is being looked at for {} s", looks.as_secs()))
    }

    /// What wasn't read yet; none if everything was.
    pub fn unread(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.unread {
            Some(unread) if unread.is_empty() => None,
            Some(unread) => Some(format!("not read yet: {}", unread.join(", "))),
            None => Some("the reconcile loop hasn't begun".to_owned()),
        }
    }
}
