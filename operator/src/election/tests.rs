//! What an operator does about each Lease that there can be.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use thalweg_core::clock::SystemClock;
use tokio::sync::watch;

use super::*;
use crate::testing::ApiServer;

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

fn campaign(api: &ApiServer, identity: &str) -> (Campaign, watch::Receiver<bool>) {
    let (leads, leading) = watch::channel(false);
    let clock = Arc::new(SystemClock::new());
    (Campaign::new(api.client(), "system", identity.to_owned(), clock, leads), leading)
}

async fn leads(leading: &mut watch::Receiver<bool>) {
    let waited = tokio::time::timeout(at(20), leading.wait_for(|leads| *leads));
    waited.await.expect("in time").expect("a campaign");
}

fn holder(api: &ApiServer) -> Option<String> {
    let lease = api.get("leases", LEASE)?;
    lease["spec"]["holderIdentity"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_lease_that_is_given_up_is_taken_over_at_once() {
    let api = ApiServer::default();
    let (mut a, mut a_leads) = campaign(&api, "a");
    let (mut b, mut b_leads) = campaign(&api, "b");
    tokio::select! {
        lost = a.run() => panic!("{lost}"),
        () = leads(&mut a_leads) => {}
    }
    assert_eq!(holder(&api).as_deref(), Some("a"));
    let second = tokio::spawn(async move { b.run().await });
    let looks =
        |api: &ApiServer| api.requests().iter().filter(|each| each.starts_with("GET")).count();
    let before = looks(&api);
    while looks(&api) < before + 2 {
        tokio::task::yield_now().await;
    }
    assert!(!*b_leads.borrow());
    let clock = SystemClock::new();
    a.release().await;
    leads(&mut b_leads).await;
    let took = thalweg_core::Clock::elapsed(&clock);
    assert!(took < LeaseTimes::default().retry_period / 2, "{took:?}");
    assert_eq!(holder(&api).as_deref(), Some("b"));
    // Somebody takes it: the leader ends and says so.
    api.change("leases", LEASE, |lease| lease["spec"]["holderIdentity"] = json!("thief"));
    let lost = tokio::time::timeout(at(20), second).await.expect("in time").expect("no panic");
    assert!(lost.to_string().ends_with("thief has taken the Lease"), "{lost}");
    assert!(!*b_leads.borrow());
    a.release().await;
    assert_eq!(holder(&api).as_deref(), Some("thief"), "only its own is given up");
}
