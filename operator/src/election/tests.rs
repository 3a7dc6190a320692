//! What an operator does about each Lease that there can be.

use std::time::Duration;

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn elector() -> Elector {
    Elector::new("a".to_owned(), LeaseTimes::default())
}

fn leader(since: u64) -> Elector {
    let mut elector = elector();
    elector.written(at(since));
    elector
}

fn lease(version: u64, holder: &str) -> LeaseRecord {
    LeaseRecord { version: version.to_string(), holder: Some(holder.to_owned()) }
}

fn there(version: u64, holder: &str) -> Looked {
    Looked::There(lease(version, holder))
}

fn waits(step: &Step) -> u64 {
    match step {
        Step::LookAgainAfter(after, _) => after.as_secs(),
        other => panic!("{other:?}"),
    }
}

fn lost(step: Step) -> String {
    match step {
        Step::Lost(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_candidate_makes_the_lease_or_takes_one_that_nobody_holds_or_itself() {
    assert_eq!(elector().step(Looked::Absent, at(0)), Step::Create);
    assert_eq!(elector().step(there(1, ""), at(0)), Step::Write(lease(1, "")));
    assert_eq!(elector().step(there(1, "a"), at(0)), Step::Write(lease(1, "a")));
    assert_eq!(waits(&elector().step(there(1, "b"), at(0))), 5);
    assert_eq!(waits(&elector().step(Looked::Unknown("down".to_owned()), at(0))), 5);
}

#[test]
fn a_candidate_takes_over_from_a_leader_that_does_not_renew_for_the_duration() {
    let mut a = elector();
    assert_eq!(waits(&a.step(there(1, "b"), at(100))), 5);
    assert_eq!(waits(&a.step(there(2, "b"), at(105))), 5);
    assert_eq!(waits(&a.step(there(2, "b"), at(117))), 3);
    assert_eq!(waits(&a.step(there(3, "b"), at(119))), 5, "it lives");
    assert_eq!(a.step(there(3, "b"), at(134)), Step::Write(lease(3, "b")));
}

#[test]
fn a_leader_renews_and_makes_a_lease_that_somebody_has_deleted_again() {
    let mut a = leader(50);
    assert_eq!(a.step(there(4, "a"), at(55)), Step::Write(lease(4, "a")));
    assert_eq!(a.step(there(5, ""), at(55)), Step::Write(lease(5, "")));
    assert_eq!(a.step(Looked::Absent, at(55)), Step::Create);
    assert_eq!(a.time_left(at(55)), Some(at(5)));
}

#[test]
fn a_leader_that_reads_another_holder_has_lost() {
    assert_eq!(lost(leader(50).step(there(4, "b"), at(51))), "b has taken the Lease");
}

#[test]
fn a_leader_that_cannot_renew_tries_until_the_deadline_and_has_then_lost() {
    let mut a = leader(50);
    let down = || Looked::Unknown("no route".to_owned());
    let Step::LookAgainAfter(pause, why) = a.step(down(), at(59)) else { panic!("lost too early") };
    assert_eq!((pause, why.as_str()), (Duration::from_millis(500), "no route"));
    assert_eq!(lost(a.step(down(), at(60))), "the Lease wasn't renewed for 10s: no route");
    // A process that was stopped for long doesn't trust what it reads: another may have led.
    lost(leader(50).step(there(4, "a"), at(70)));
}
