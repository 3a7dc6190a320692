//! Leaders and candidates that were paused while others went on.

use std::sync::Mutex;

use super::faulty::Fault;
use super::*;
use crate::log::error::{LogError, LogErrorKind};
use crate::log::leadership::Refusal;

/// Runs another process's life within the next conditional write.
fn meanwhile(store: &Arc<FaultyStore>, act: impl FnOnce(Log) + Send + 'static) {
    let log = log(store);
    store.inject([Fault::After(Box::new(move || act(log)))]);
}

#[test]
fn a_leader_that_was_paused_does_nothing_more() {
    on_every_store(|store| {
        let log = log(&store);
        let mut old = lead(&log, 1);
        publish(&mut old, [1]);
        // Paused in the middle of publishing: the claim is first.
        meanwhile(&store, |log| {
            lead(&log, 2);
        });
        let error = now(old.publish(CheckpointId(2), &manifest(2))).unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::Fenced, "{error}");
        assert!(error.to_string().contains("epoch 2"), "{error}");
        let refusals = [
            now(old.publish(CheckpointId(3), &manifest(3))).unwrap_err(),
            now(old.settle()).unwrap_err(),
            now(old.permit_commit()).unwrap_err(),
            now(old.collector_view(None)).unwrap_err(),
        ];
        assert!(refusals.iter().all(|error| error.kind() == LogErrorKind::Fenced));
        assert_eq!(kinds(&log, 4), "claim:1 1:1 claim:2 -");
    });
}

#[test]
fn a_paused_leader_gets_no_permit_even_if_it_appended_nothing_since() {
    on_every_store(|store| {
        let log = log(&store);
        let mut old = lead(&log, 1);
        publish(&mut old, [1]);
        now(old.permit_commit()).unwrap();
        let mut new = lead(&log, 2);
        assert_eq!(now(old.permit_commit()).unwrap_err().kind(), LogErrorKind::Fenced);
        assert_eq!(now(old.collector_view(None)).unwrap_err().kind(), LogErrorKind::Fenced);
        assert_eq!(now(new.permit_commit()).unwrap().checkpoint(), CheckpointId(1));
        // Where the log can't be read there's no permit either, and it isn't fenced by that.
        store.fail_reads(1);
        assert_eq!(now(new.permit_commit()).unwrap_err().kind(), LogErrorKind::Retry);
        now(new.permit_commit()).unwrap();
    });
}

#[test]
fn an_entry_written_before_the_takeover_counts_and_the_leader_is_fenced_after_it() {
    on_every_store(|store| {
        let log = log(&store);
        let mut old = lead(&log, 1);
        store.inject([Fault::AnswerLost]);
        store.fail_reads(1);
        let unknown = now(old.publish(CheckpointId(1), &manifest(1))).unwrap_err();
        assert!(matches!(unknown, LogError::InDoubt { .. }), "{unknown}");
        let new = lead(&log, 2);
        let restored = now(new.restore()).unwrap().unwrap();
        assert_eq!(restored.header.kind, EntryKind::Publish(CheckpointId(1)));
        assert!(now(old.permit_commit()).is_err());
        now(old.settle()).unwrap();
        assert_eq!(now(old.permit_commit()).unwrap_err().kind(), LogErrorKind::Fenced);
    });
}

#[test]
fn of_two_candidates_one_leads_and_the_other_claims_the_next_epoch() {
    on_every_store(|store| {
        let log = log(&store);
        let other: Arc<Mutex<Option<Leader>>> = Arc::default();
        let slot = other.clone();
        meanwhile(&store, move |log| {
            let mut leader = lead(&log, 2);
            publish(&mut leader, [1]);
            *slot.lock().unwrap() = Some(leader);
        });
        let leader = lead(&log, 1);
        assert_eq!(kinds(&log, 4), "claim:1 1:1 claim:2 -");
        assert!(now(leader.restore()).unwrap().is_some());
        let mut other = other.lock().unwrap().take().unwrap();
        let error = now(other.publish(CheckpointId(2), &manifest(2))).unwrap_err();
        assert!(matches!(error, LogError::Refused(Refusal::Fenced(_))), "{error}");
    });
}

#[test]
fn a_claim_that_falls_into_the_gap_of_a_deleted_entry_does_not_count() {
    on_every_store(|store| {
        let log = log(&store);
        let leader = Arc::new(Mutex::new(lead(&log, 1)));
        let slot = leader.clone();
        // The candidate has read the claim at 0 as the end, and is paused before it writes at 1.
        meanwhile(&store, move |log| {
            let mut leader = slot.lock().unwrap();
            publish(&mut leader, 1..=6);
            assert_eq!(super::kept::collect_entries(&log, &mut leader), 3);
            assert_eq!(kinds(&log, 8), "claim:1 - - - 1:4 1:5 1:6 -");
        });
        let candidate = lead(&log, 2);
        // The first claim is left in the gap; the one that counts is at the end.
        assert_eq!(kinds(&log, 9), "claim:1 claim:2 - - 1:4 1:5 1:6 claim:2 -");
        let restored = now(candidate.restore()).unwrap().unwrap();
        assert_eq!(restored.header.kind, EntryKind::Publish(CheckpointId(6)));
        // The leader in the middle isn't fenced by what lies in the gap, but by the end.
        let error = now(leader.lock().unwrap().permit_commit()).unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::Fenced, "{error}");
    });
}
