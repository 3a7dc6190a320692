//! Each rule broken on purpose: the checker must find how that goes wrong. If it doesn't, the
//! rule isn't needed, or the model can't tell.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};
use thalweg_storage::log::append::{AfterPut, AfterReadBack, PutFact};
use thalweg_storage::log::collect::{
    CollectorView, ObjectClass, ObjectOrigin, classify_object, entry_may_go,
};
use thalweg_storage::log::{EntryHeader, EntryKind, Leadership, Refusal};

use super::{end, entries, objects, sinks, takeover};
use crate::properties::{
    FENCED_COMMIT, FENCED_DELETE, KEPT, LOST, MANIFESTS, ONE_PUBLISHER, REFERENCED, RESTORE,
    UNPUBLISHED,
};
use crate::rules::Rules;
use crate::scope::Scope;
use crate::world::Part;

/// The shortest way to break the property, as steps.
fn finds(scope: Scope, rules: Rules, property: &'static str) {
    let wanted = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = Scope { rules, ..scope }.checker().finish_when(wanted).spawn_bfs().join();
    let Some(path) = checker.discovery(property) else {
        panic!("{property} holds in {} states", checker.unique_state_count())
    };
    let steps = path.into_actions();
    println!("{property}: broken after {} steps: {steps:?}", steps.len());
}

#[test]
fn an_unknown_outcome_taken_for_success_is_found() {
    let after_put = |fact| match fact {
        PutFact::Created | PutFact::Unknown => AfterPut::Appended,
        PutFact::AlreadyExists => AfterPut::ReadBack,
    };
    let rules = Rules { after_put, ..Rules::default() };
    finds(takeover(), rules, ONE_PUBLISHER);
    finds(sinks(), rules, UNPUBLISHED);
}

#[test]
fn an_unknown_outcome_taken_for_a_failure_is_found() {
    // The leader deletes what the failed checkpoint stored, and goes on.
    let after_read_back = |mine: &_, here: Option<&_>, _: Option<&_>| match here {
        Some(here) if here != mine => AfterReadBack::Taken(*here),
        _ => AfterReadBack::Taken(*mine),
    };
    finds(objects(), Rules { after_read_back, ..Rules::default() }, REFERENCED);
}

#[test]
fn a_collector_that_takes_what_may_still_be_published_is_found() {
    let classify_object = |view: &CollectorView, origin, referenced: bool| match origin {
        Some(_) if !referenced => ObjectClass::Garbage,
        _ => classify_object(view, origin, referenced),
    };
    finds(objects(), Rules { classify_object, ..Rules::default() }, REFERENCED);
}

#[test]
fn a_collector_that_takes_what_a_later_epoch_made_is_found() {
    let classify_object = |view: &CollectorView, origin, referenced: bool| match origin {
        Some(ObjectOrigin { epoch, .. }) if epoch != view.last().epoch && !referenced => {
            ObjectClass::Garbage
        }
        _ => classify_object(view, origin, referenced),
    };
    finds(objects(), Rules { classify_object, ..Rules::default() }, REFERENCED);
}

#[test]
fn names_of_objects_without_an_epoch_are_found() {
    let rules = Rules { names_hold_epochs: false, ..Rules::default() };
    finds(objects(), rules, REFERENCED);
}

#[test]
fn objects_deleted_before_the_manifests_that_name_them_are_found() {
    let deletion_order = |mut garbage: Vec<_>| {
        garbage.sort_by_key(|(part, _)| *part == Part::Manifest);
        garbage
    };
    finds(objects(), Rules { deletion_order, ..Rules::default() }, MANIFESTS);
}

#[test]
fn a_commit_or_a_collection_without_another_look_is_found() {
    let decide_commit = |leader: &Leadership, _: Option<&_>| leader.decide_commit(None);
    finds(sinks(), Rules { decide_commit, ..Rules::default() }, FENCED_COMMIT);
    let check = |leader: &Leadership, _: Option<&_>| leader.check(None);
    finds(objects(), Rules { check, ..Rules::default() }, FENCED_DELETE);
}

#[test]
fn a_look_that_ends_at_the_leaders_own_entry_in_doubt_is_found() {
    // The first version of `Leadership::check` did this. A claim may follow that entry.
    let decide_commit = |leader: &Leadership, next: Option<&_>| match leader.decide_commit(next) {
        Err(Refusal::InDoubt(_)) => leader.decide_commit(None),
        decided => decided,
    };
    finds(sinks(), Rules { decide_commit, ..Rules::default() }, FENCED_COMMIT);
}

#[test]
fn a_sink_that_obeys_anybody_is_found() {
    let rules = Rules { obeys: |_, _| true, ..Rules::default() };
    finds(sinks(), rules, FENCED_COMMIT);
}

#[test]
fn a_claim_in_the_gap_of_a_deleted_entry_is_found() {
    let rules = Rules { claim_counts: |_| true, ..Rules::default() };
    finds(entries(), rules, RESTORE);
    finds(entries(), rules, ONE_PUBLISHER);
}

#[test]
fn entries_deleted_from_an_open_segment_are_found() {
    let rules = Rules { seals: false, ..Rules::default() };
    finds(entries(), rules, RESTORE);
}

#[test]
fn deleted_claims_are_found() {
    let may_go = |view: &CollectorView, entry: &EntryHeader, oldest, length| {
        let as_publish = EntryKind::Publish(Default::default());
        let as_publish = EntryHeader { kind: as_publish, ..*entry };
        entry_may_go(view, &as_publish, oldest, length)
    };
    let rules = Rules { entry_may_go: may_go, ..Rules::default() };
    finds(entries(), rules, KEPT);
    // A leader that was paused publishes into the gap, and believes it.
    finds(entries(), rules, ONE_PUBLISHER);
}

#[test]
fn a_job_that_finishes_before_its_output_is_committed_is_found() {
    let terminal = |leader: &Leadership, status, _, nonce| {
        let all = leader.latest_publish().map(|latest| latest.checkpoint_id);
        leader.terminal(status, all, nonce)
    };
    finds(end(), Rules { terminal, ..Rules::default() }, LOST);
}
