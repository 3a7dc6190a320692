//! Who leads, as far as anybody knows: an object that the leader writes again and again, and when
//! one who waits stops believing it. Pure. Only a hint: who claims too early fences a leader that
//! lives, which costs time and no output. Not here: the claim itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_core::ids::Epoch;

/// The highest version of the object's format that is read.
pub(super) const FORMAT_VERSION: u64 = 2;

/// What the leader says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaderHint {
    /// The cluster.
    pub cluster_id: String,
    /// Host and port at which it expects TaskManagers.
    pub address: String,
    /// Host and port of its REST, for those that stand by; empty if it serves none.
    #[serde(default)]
    pub rest_address: String,
    /// The machine that it runs on, by the machine's own name; empty if that isn't known.
    pub machine: String,
    /// Its epoch in the cluster's log.
    pub epoch: Epoch,
    /// Rises with every write: it lives.
    pub counter: u64,
    /// It has given up leadership.
    pub released: bool,
    /// The revision of the application that it runs; empty where there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
}

impl LeaderHint {
    /// The lowest version that says all of it: those that read only version 1 know no revisions,
    /// and are told to be too old instead of that the object is damaged.
    pub(super) fn format_version(&self) -> u64 {
        if self.revision.is_empty() { 1 } else { 2 }
    }
}

/// What a candidate does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintDecision {
    /// It claims the leadership.
    Claim,
    /// It looks again after this time.
    LookAgainAfter(Duration),
}

/// A candidate that watches the hint.
#[derive(Debug, Clone)]
pub struct HintWatch {
    own_address: String,
    own_machine: String,
    lease: Duration,
    period: Duration,
    seen: Option<(LeaderHint, Duration)>,
}

impl HintWatch {
    /// A candidate that listens at `address` on `machine` already. It believes a hint for `lease`
    /// and looks every `period`.
    pub fn new((address, machine): (&str, &str), lease: Duration, period: Duration) -> Self {
        let (own_address, own_machine) = (address.to_owned(), machine.to_owned());
        Self { own_address, own_machine, lease, period, seen: None }
    }

    /// Decides:
    ///
    /// 1. Nobody leads when there's no hint, or its writer has released it.
    /// 2. A hint with the candidate's own address, from its own machine, is of a process that is
    ///    gone: two can't listen there. So a JobManager that is restarted in its place doesn't
    ///    wait. The address alone doesn't say it: on each machine there is a `localhost`.
    /// 3. A leader whose counter hasn't risen for the lease, while this candidate looked, counts
    ///    as gone. Only the candidate's own clock is used.
    pub fn observe(&mut self, hint: Option<LeaderHint>, now: Duration) -> HintDecision {
        let Some(hint) = hint else { return HintDecision::Claim };
        let same_place = hint.address == self.own_address && hint.machine == self.own_machine;
        if hint.released || (same_place && !self.own_machine.is_empty()) {
            return HintDecision::Claim;
        }
        let since = match &self.seen {
            Some((seen, since)) if *seen == hint => *since,
            _ => now,
        };
        self.seen = Some((hint, since));
        let left = (since + self.lease).saturating_sub(now);
        if left.is_zero() {
            return HintDecision::Claim;
        }
        HintDecision::LookAgainAfter(left.min(self.period))
    }
}

#[cfg(test)]
mod tests {
    use super::HintDecision::{Claim, LookAgainAfter};
    use super::*;

    fn hint(epoch: u64, counter: u64) -> LeaderHint {
        LeaderHint {
            cluster_id: "c".to_owned(),
            address: "a:1".to_owned(),
            rest_address: "a:2".to_owned(),
            machine: "m".to_owned(),
            epoch: Epoch(epoch),
            counter,
            released: false,
            revision: String::new(),
        }
    }

    fn watch() -> HintWatch {
        HintWatch::new(("b:1", "m"), Duration::from_secs(10), Duration::from_secs(2))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_leader_that_writes_is_believed_and_one_that_does_not_for_the_lease_is_not() {
        let mut watch = watch();
        assert_eq!(watch.observe(Some(hint(1, 5)), at(100)), LookAgainAfter(at(2)));
        assert_eq!(watch.observe(Some(hint(1, 6)), at(102)), LookAgainAfter(at(2)));
        assert_eq!(watch.observe(Some(hint(1, 6)), at(111)), LookAgainAfter(at(1)));
        // Another leader's counter may be lower.
        assert_eq!(watch.observe(Some(hint(2, 0)), at(112)), LookAgainAfter(at(2)));
        assert_eq!(watch.observe(Some(hint(2, 0)), at(121)), LookAgainAfter(at(1)));
        assert_eq!(watch.observe(Some(hint(2, 0)), at(122)), Claim);
    }

    #[test]
    fn a_revision_makes_another_version_of_it_and_only_that() {
        use thalweg_storage::sealed::{self, SealedError};
        let plain = hint(1, 1);
        let revised = LeaderHint { revision: "app-2".to_owned(), ..hint(1, 1) };
        for (hint, version) in [(plain, 1), (revised, 2)] {
            let bytes = sealed::to_bytes(&hint, hint.format_version(), "leader").unwrap();
            assert_eq!(sealed::from_bytes(&bytes, FORMAT_VERSION, "leader"), Ok(hint));
            let older = sealed::from_bytes::<LeaderHint>(&bytes, 1, "leader");
            let refused = matches!(older, Err(SealedError::Version { found: 2, .. }));
            assert_eq!((older.is_ok(), refused), (version == 1, version == 2));
        }
    }

    #[test]
    fn nobody_is_waited_for_who_certainly_is_gone() {
        assert_eq!(watch().observe(None, at(0)), Claim);
        assert_eq!(
            watch().observe(Some(LeaderHint { released: true, ..hint(1, 1) }), at(0)),
            Claim
        );
        let own = LeaderHint { address: "b:1".to_owned(), ..hint(1, 1) };
        assert_eq!(watch().observe(Some(own.clone()), at(0)), Claim);
        for machine in ["another", ""] {
            let other = LeaderHint { machine: machine.to_owned(), ..own.clone() };
            assert_eq!(watch().observe(Some(other), at(0)), LookAgainAfter(at(2)), "{machine}");
        }
    }
}
