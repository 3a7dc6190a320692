//! What a candidate and a leader do about each Lease that there can be.

use std::time::Duration;

use super::*;

const TIMES: LeaseTimes = LeaseTimes {
    duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(5),
};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn elector(identity: &str) -> LeaseElector {
    let candidate = Candidate { identity: identity.to_owned(), revision: "r2".to_owned() };
    LeaseElector::new(candidate, TIMES)
}

fn lease(version: u64, holder: &str) -> LeaseRecord {
    LeaseRecord {
        version: version.to_string(),
        holder: Some(holder.to_owned()),
        revision: Some("r2".to_owned()),
        preparing: None,
    }
}

fn takes(decision: &CandidateDecision) -> bool {
    matches!(decision, CandidateDecision::Take(_))
}

fn waits(decision: &CandidateDecision) -> u64 {
    match decision {
        CandidateDecision::LookAgainAfter(after, _) => after.as_secs(),
        CandidateDecision::Take(_) => panic!("{decision:?}"),
    }
}

#[test]
fn a_lease_is_taken_when_nobody_holds_it_or_only_one_who_is_gone() {
    let free = LeaseRecord { holder: None, ..lease(1, "") };
    assert!(takes(&elector("a").wait(Some(free), HolderPod::Alive, at(0))));
    assert!(takes(&elector("a").wait(Some(lease(1, "")), HolderPod::Alive, at(0))));
    assert!(takes(&elector("a").wait(Some(lease(1, "a")), HolderPod::Alive, at(0))), "itself");
    assert!(takes(&elector("a").wait(Some(lease(1, "b")), HolderPod::Gone, at(0))));
    assert_eq!(waits(&elector("a").wait(Some(lease(1, "b")), HolderPod::Alive, at(0))), 5);
    assert_eq!(waits(&elector("a").wait(None, HolderPod::Alive, at(0))), 5, "the operator's");
}

#[test]
fn a_leader_that_renews_is_believed_and_one_that_does_not_for_the_duration_is_not() {
    let mut a = elector("a");
    assert_eq!(waits(&a.wait(Some(lease(1, "b")), HolderPod::Alive, at(100))), 5);
    assert_eq!(waits(&a.wait(Some(lease(2, "b")), HolderPod::Alive, at(105))), 5);
    assert_eq!(waits(&a.wait(Some(lease(2, "b")), HolderPod::Alive, at(117))), 3);
    assert_eq!(waits(&a.wait(Some(lease(3, "b")), HolderPod::Alive, at(119))), 5, "it lives");
    assert!(takes(&a.wait(Some(lease(3, "b")), HolderPod::Alive, at(134))));
}

#[test]
fn only_the_revision_whose_turn_it_is_campaigns_even_for_a_lease_that_nobody_holds() {
    let other = LeaseRecord { revision: Some("r1".to_owned()), ..lease(1, "") };
    let decision = elector("a").wait(Some(other.clone()), HolderPod::Gone, at(1000));
    let CandidateDecision::LookAgainAfter(_, why) = &decision else { panic!("{decision:?}") };
    assert_eq!(why, "revision r1 leads, this one is r2");
    let any = LeaseRecord { revision: None, ..other };
    assert!(takes(&elector("a").wait(Some(any), HolderPod::Alive, at(0))));
}

#[test]
fn a_leader_goes_on_until_it_reads_that_another_one_leads() {
    let mut a = elector("a");
    a.taken(at(50));
    let own = lease(4, "a");
    assert_eq!(a.keep(Some(own.clone())), Some(LeaderDecision::Renew(own)));
    let freed = lease(5, "");
    assert_eq!(a.keep(Some(freed.clone())), Some(LeaderDecision::Renew(freed)), "taken back");
    assert_eq!(a.keep(None), None, "deleted: the operator makes it again");
    let lost = |lease| match a.keep(Some(lease)) {
        Some(LeaderDecision::Lost(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(lost(lease(6, "b")), "b has taken the Lease");
    let switched = LeaseRecord { revision: Some("r3".to_owned()), ..lease(7, "a") };
    assert_eq!(lost(switched), "it is revision r3's turn to lead");
    assert_eq!(a.overdue(at(60)), None);
    assert_eq!(a.overdue(at(61)), Some(at(11)));
}

#[test]
fn one_that_is_asked_to_get_ready_does_so_until_it_leads_and_looks_more_often() {
    let mut a = elector("a");
    let record = |leads: &str, prepares: Option<&str>| LeaseRecord {
        revision: Some(leads.to_owned()),
        preparing: prepares.map(str::to_owned),
        ..lease(1, "b")
    };
    let mut look = |record| match a.wait(record, HolderPod::Alive, at(0)) {
        CandidateDecision::LookAgainAfter(after, _) => (after.as_millis(), a.prepares()),
        CandidateDecision::Take(_) => panic!("b leads"),
    };
    assert_eq!(look(Some(record("r1", None))), (5000, false));
    assert_eq!(look(Some(record("r1", Some("r3")))), (5000, false), "another one");
    assert_eq!(look(Some(record("r1", Some("r2")))), (500, true));
    assert_eq!(look(None), (500, true), "the operator makes it again");
    assert_eq!(look(Some(record("r2", None))), (500, true), "its turn: the former still holds it");
    assert_eq!(look(Some(record("r1", None))), (5000, false), "back again");
    // Its own turn is no reason to begin.
    assert_eq!(look(Some(record("r2", Some("r2")))), (5000, false));
}
