//! When a candidate may claim the leadership, and what a leader does so that others needn't: behind
//! a trait, with the store's own hint ([`HintTurn`]) or an application's Lease in Kubernetes. Only
//! makes a takeover quick, and a needless one rare. Not here: the claim itself, in the store's log.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use super::{HintDecision, HintWatch, LeaderHint};

/// A future of a [`Turn`].
pub type TurnFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Says when it is this process's turn to lead.
pub trait Turn: Debug + Send {
    /// Whether to claim now. `hint` is the leader's, as it was read just now.
    fn look(&mut self, hint: Option<LeaderHint>, now: Duration) -> TurnFuture<'_, HintDecision>;

    /// Called every period while this process leads: does what keeps others from taking over, and
    /// gives the reason if one of them has.
    fn keep(&mut self, _now: Duration) -> TurnFuture<'_, Option<String>> {
        Box::pin(std::future::ready(None))
    }

    /// This process gives the leadership up, so that another one needn't wait.
    fn release(&mut self) -> TurnFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Whether those that wait go by the hint alone, so that it is to be written every period.
    fn needs_hints(&self) -> bool;
}

/// By the hint alone.
#[derive(Debug)]
pub struct HintTurn(HintWatch);

impl HintTurn {
    /// That of a candidate which watches like this.
    pub fn new(watch: HintWatch) -> Self {
        Self(watch)
    }
}

impl Turn for HintTurn {
    fn look(&mut self, hint: Option<LeaderHint>, now: Duration) -> TurnFuture<'_, HintDecision> {
        Box::pin(std::future::ready(self.0.observe(hint, now)))
    }

    fn needs_hints(&self) -> bool {
        true
    }
}
