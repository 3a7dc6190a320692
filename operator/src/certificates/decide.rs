//! The decision: from what is stored and the time to the next steps. The rules, the first that
//! applies:
//!
//! 1. Without a CA that can be used, a new one is made. An older one that still counts is kept
//!    beside it, so that processes go on to believe it.
//! 2. A CA past two thirds of its life gets a successor, which is believed beside it.
//! 3. A leaf is made that is missing, can't be used, has expired, begins in the future, is past two
//!    thirds of its life, or isn't of the CA that signs: the older one until the newer one has
//!    spread.
//! 4. A leaf whose bundle isn't that of today gets it.
//! 5. The older CA is forgotten once the leaves of the newer one have spread, or it has ended.
//!
//! A CA from the future is left: a clock that was set back makes no new ones.

use std::collections::BTreeMap;

use thalweg_tls::{Role, Validity};

use super::{BACKDATE_SECONDS, LEAVES, SPREAD_SECONDS, renewed_at};

/// A CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorityFact {
    /// From when until when it counts.
    pub validity: Validity,
}

/// Which CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The one that was made last.
    Newest,
    /// The one before.
    Previous,
}

/// A leaf that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafFact {
    /// Who has signed it.
    pub by: Signer,
    /// From when until when it counts.
    pub validity: Validity,
    /// Whether the CAs beside it are those that are to be believed.
    pub bundle_is_current: bool,
}

/// What is stored. What can't be used isn't there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The CA that was made last.
    pub newest: Option<AuthorityFact>,
    /// The one before it, until it is forgotten.
    pub previous: Option<AuthorityFact>,
    /// By role.
    pub leaves: BTreeMap<Role, LeafFact>,
}

/// Something to do. What follows from it is seen when it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a CA.
    CreateAuthority {
        /// Which of those that there are stays as the previous one.
        keep: Option<Signer>,
    },
    /// Forget the older CA.
    ForgetPrevious,
    /// Make a leaf.
    Issue {
        /// Whose.
        role: Role,
        /// By whom.
        by: Signer,
    },
    /// Put today's CAs beside a leaf.
    Believe {
        /// Whose.
        role: Role,
    },
}

/// What to do now, and when to look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// To be performed; then it is looked and decided again.
    pub steps: Vec<Step>,
    /// The next moment, in seconds since 1970, at which there is something to do.
    pub again_at: i64,
}

impl CertificateFacts {
    /// Who signs at `now`: the older CA until the newer one has spread.
    pub fn signer(&self, now: i64) -> Signer {
        let Some(newest) = self.newest else { return Signer::Previous };
        match self.previous {
            Some(previous) if counts(previous, now) && now < spread_at(newest.validity) => {
                Signer::Previous
            }
            _ => Signer::Newest,
        }
    }
}

/// Decides what is to be done at `now`, in seconds since 1970.
pub fn decide(facts: &CertificateFacts, now: i64) -> Decision {
    let steps =
        authority_step(facts, now).map_or_else(|| leaf_steps(facts, now), |step| vec![step]);
    Decision { steps, again_at: again_at(facts, now) }
}

fn authority_step(facts: &CertificateFacts, now: i64) -> Option<Step> {
    let previous = facts.previous.filter(|previous| counts(*previous, now));
    let Some(newest) = facts.newest.filter(|newest| counts(*newest, now)) else {
        let keep = previous.map(|_| Signer::Previous);
        return Some(Step::CreateAuthority { keep });
    };
    if facts.previous.is_none() {
        let due = now >= renewed_at(newest.validity);
        return due.then_some(Step::CreateAuthority { keep: Some(Signer::Newest) });
    }
    let spread = LEAVES.iter().all(|role| {
        let leaf = facts.leaves.get(role);
        leaf.is_some_and(|leaf| leaf.by == Signer::Newest && now >= spread_at(leaf.validity))
    });
    (spread || previous.is_none()).then_some(Step::ForgetPrevious)
}

fn leaf_steps(facts: &CertificateFacts, now: i64) -> Vec<Step> {
    let signer = facts.signer(now);
    let step = |role: Role| {
        let Some(leaf) = facts.leaves.get(&role) else {
            return Some(Step::Issue { role, by: signer });
        };
        // One of the newer CA is believed by whoever believes the older one alone, or soon will
        // be: it isn't taken back.
        let signed = leaf.by == signer || leaf.by == Signer::Newest;
        let counts = leaf.validity.contains(now) && now < renewed_at(leaf.validity);
        if !signed || !counts {
            return Some(Step::Issue { role, by: signer });
        }
        (!leaf.bundle_is_current).then_some(Step::Believe { role })
    };
    LEAVES.into_iter().filter_map(step).collect()
}

/// The earliest moment after `now` at which a rule begins to apply.
fn again_at(facts: &CertificateFacts, now: i64) -> i64 {
    let mut moments = Vec::new();
    for authority in facts.newest.iter().chain(&facts.previous) {
        moments.extend([renewed_at(authority.validity), authority.validity.not_after + 1]);
    }
    if let (Some(newest), Some(_)) = (facts.newest, facts.previous) {
        moments.push(spread_at(newest.validity));
    }
    for leaf in facts.leaves.values() {
        moments.extend([renewed_at(leaf.validity), leaf.validity.not_after + 1]);
        if facts.previous.is_some() {
            moments.push(spread_at(leaf.validity));
        }
    }
    // At the latest after a day: clocks are set.
    let next = moments.into_iter().filter(|moment| *moment > now).min();
    next.unwrap_or(now + SPREAD_SECONDS)
}

/// Also one from the future.
fn counts(authority: AuthorityFact, now: i64) -> bool {
    now <= authority.validity.not_after
}

/// When everybody has seen what was made with this validity.
fn spread_at(validity: Validity) -> i64 {
    validity.not_before.saturating_add(BACKDATE_SECONDS + SPREAD_SECONDS)
}
