//! Entries that are written, also when the store doesn't say so.

use thalweg_core::ids::{CheckpointId, Epoch};

use super::faulty::Fault;
use super::*;
use crate::log::entry::{EntryBody, EntryHeader, LogEntry, Published, TerminalStatus};
use crate::log::error::{LogError, LogErrorKind};
use crate::log::leadership::Refusal;
use crate::log::probe::probe;

#[test]
fn a_job_is_claimed_published_taken_over_and_ended() {
    on_every_store(|store| {
        let log = log(&store);
        let mut first = lead(&log, 1);
        assert!(now(first.restore()).unwrap().is_none());
        assert_eq!(first.leadership().next_checkpoint_id(), CheckpointId(1));
        publish(&mut first, [1, 3]);
        let mut second = lead(&log, 2);
        let restored = now(second.restore()).unwrap().unwrap();
        assert_eq!(restored.body, EntryBody::publish(CheckpointId(3), &manifest(3)));
        assert_eq!(second.leadership().next_checkpoint_id(), CheckpointId(4));
        let permit = now(second.permit_commit()).unwrap();
        assert_eq!((permit.epoch(), permit.checkpoint()), (Epoch(2), CheckpointId(3)));
        let status = TerminalStatus::Finished;
        let early = now(second.terminal(status, None, None, Some(CheckpointId(1)))).unwrap_err();
        assert!(matches!(early, LogError::Refused(Refusal::NotCommitted(_))), "{early}");
        now(second.terminal(status, None, None, Some(CheckpointId(3)))).unwrap();
        assert_eq!(kinds(&log, 6), "claim:1 1:1 1:3 claim:2 Finished -");
        let after = now(second.publish(CheckpointId(4), &manifest(4))).unwrap_err();
        assert_eq!(after.kind(), LogErrorKind::Refused, "{after}");
        match claim(&log, 3) {
            ClaimOutcome::Finished(entry) => assert!(entry.header.is_terminal()),
            ClaimOutcome::Leads(_) => panic!("a job that has ended was claimed"),
        }
    });
}

#[test]
fn an_entry_is_there_once_whatever_the_store_says() {
    on_every_store(|store| {
        let log = log(&store);
        store.inject([Fault::AnswerLost]);
        let mut leader = lead(&log, 1);
        let faults: [(&str, Vec<Fault>); 4] = [
            ("lost answer", vec![Fault::AnswerLost]),
            ("refused though done", vec![Fault::DoneButRefused]),
            ("refused though absent", vec![Fault::NotDoneButRefused, Fault::NotDoneButRefused]),
            ("lost request", vec![Fault::RequestLost, Fault::RequestLost]),
        ];
        for (id, (name, faults)) in (1..).zip(faults) {
            store.inject(faults);
            let published = now(leader.publish(CheckpointId(id), &manifest(id)));
            assert!(published.is_ok(), "{name}: {published:?}");
        }
        assert_eq!(kinds(&log, 6), "claim:1 1:1 1:2 1:3 1:4 -");
    });
}

#[test]
fn an_entry_in_doubt_blocks_all_else_until_it_is_settled() {
    on_every_store(|store| {
        let log = log(&store);
        let mut leader = lead(&log, 1);
        publish(&mut leader, [1]);
        // Written, but neither the answer nor what is there can be read.
        store.inject([Fault::AnswerLost]);
        store.fail_reads(1);
        let unknown = now(leader.publish(CheckpointId(2), &manifest(2))).unwrap_err();
        assert_eq!(unknown.kind(), LogErrorKind::Retry, "{unknown}");
        assert!(matches!(unknown, LogError::InDoubt { .. }), "{unknown}");
        let refused = now(leader.publish(CheckpointId(3), &manifest(3))).unwrap_err();
        assert!(matches!(refused, LogError::Refused(Refusal::InDoubt(_))), "{refused}");
        // It looks and finds its own entry: somebody else's claim may follow that.
        let permit = now(leader.permit_commit()).unwrap_err();
        assert!(matches!(permit, LogError::Refused(Refusal::InDoubt(_))), "{permit}");
        assert!(now(leader.collector_view(None)).is_err());
        now(leader.settle()).unwrap();
        assert_eq!(now(leader.permit_commit()).unwrap().checkpoint(), CheckpointId(2));
        publish(&mut leader, [3]);
        // The store is away for longer than one call tries.
        store.inject([Fault::RequestLost, Fault::RequestLost, Fault::RequestLost]);
        let unknown = now(leader.publish(CheckpointId(4), &manifest(4))).unwrap_err();
        assert!(unknown.to_string().contains("entry 4"), "{unknown}");
        // Nothing is collected meanwhile, though it still leads.
        assert!(!now(leader.collector_view(None)).unwrap().may_collect());
        now(leader.settle()).unwrap();
        assert_eq!(kinds(&log, 6), "claim:1 1:1 1:2 1:3 1:4 -");
    });
}

#[test]
fn checkpoint_ids_rise() {
    on_every_store(|store| {
        let mut leader = lead(&log(&store), 1);
        publish(&mut leader, [5]);
        let mut leader = lead(&log(&store), 2);
        for id in [4, 5] {
            let error = now(leader.publish(CheckpointId(id), &manifest(id))).unwrap_err();
            assert!(matches!(error, LogError::Refused(Refusal::NotNewer { .. })), "{error}");
        }
        publish(&mut leader, [6]);
    });
}

#[test]
fn an_entry_survives_its_bytes_and_damage_is_named() {
    let published = Published { position: LogPosition(2), checkpoint_id: CheckpointId(9) };
    let header = EntryHeader {
        position: LogPosition(4),
        epoch: Epoch(3),
        writer: WriterId(0xab),
        nonce: 6,
        kind: EntryKind::Claim,
        previous_publish: Some(published),
    };
    let status = TerminalStatus::Failed;
    let bodies = [
        EntryBody::Claim { leader: "host:6123".into() },
        EntryBody::publish(CheckpointId(10), &manifest(10)),
        EntryBody::Terminal { status, failure: Some("why".into()), results: None },
    ];
    let read = |bytes: &[u8], place| LogEntry::from_bytes(bytes, "log/4", JOB, LogPosition(place));
    for body in bodies {
        let entry = LogEntry {
            job_id: JOB,
            header: EntryHeader { kind: body.kind(), ..header },
            owner: None,
            body,
        };
        let owned = LogEntry { owner: Some("uid-1".into()), ..entry.clone() };
        assert_eq!(read(&owned.to_bytes().unwrap(), 4).unwrap(), owned);
        let bytes = entry.to_bytes().unwrap();
        assert_eq!(read(&bytes, 4).unwrap(), entry);
        let moved = read(&bytes, 5).unwrap_err().to_string();
        assert!(moved.contains("log/4 is damaged: it's entry 4"), "{moved}");
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1;
            assert!(read(&flipped, 4).is_err(), "byte {place}");
            assert!(read(&bytes[..place], 4).is_err(), "cut at {place}");
        }
    }
    let body = EntryBody::Claim { leader: "x".repeat(1 << 16) };
    let long = LogEntry { job_id: JOB, header, owner: None, body }.to_bytes().unwrap_err();
    assert!(long.to_string().contains("at most 65536"), "{long}");
}

#[test]
fn the_golden_entries_are_written_and_read_as_ever() {
    let golden =
        [(None, include_str!("golden-1.entry")), (Some("uid-1"), include_str!("golden-2.entry"))];
    for (owner, text) in golden {
        let header = EntryHeader {
            position: LogPosition(4),
            epoch: Epoch(3),
            writer: WriterId(0xab),
            nonce: 6,
            kind: EntryKind::Claim,
            previous_publish: Some(Published {
                position: LogPosition(2),
                checkpoint_id: CheckpointId(9),
            }),
        };
        let body = EntryBody::Claim { leader: "host:6123".into() };
        let entry = LogEntry { job_id: JOB, header, owner: owner.map(str::to_owned), body };
        assert_eq!(String::from_utf8(entry.to_bytes().unwrap()).unwrap(), text);
        let read = LogEntry::from_bytes(text.as_bytes(), "log/4", JOB, LogPosition(4)).unwrap();
        assert_eq!(read, entry);
    }
    // A later version's.
    let unknown = include_str!("golden-2.entry").replace("n\": 2", "n\": 3");
    let (body, _) = unknown.rsplit_once("crc32c:").unwrap();
    let unknown = format!("{body}crc32c:{:08x}\n", crc32c::crc32c(body.as_bytes()));
    let error = LogEntry::from_bytes(unknown.as_bytes(), "log/4", JOB, LogPosition(4)).unwrap_err();
    assert!(matches!(error, LogError::Version { found: 3, supported: 2, .. }), "{error}");
}

#[test]
fn an_entry_that_is_cut_short_on_its_way_is_read_again() {
    on_every_store(|store| {
        let log = log(&store);
        lead(&log, 1);
        store.cut_reads(2);
        assert!(now(log.read(LogPosition(0))).unwrap().is_some());
        store.cut_reads(3);
        let damaged = now(log.read(LogPosition(0))).unwrap_err();
        assert!(damaged.to_string().contains("is damaged"), "{damaged}");
    });
}

#[test]
fn a_store_that_ignores_conditions_is_refused() {
    on_every_store(|store| {
        now(probe(&*store, WriterId(1))).unwrap();
        // A repeated probe, and what one left behind, are all right.
        now(probe(&*store, WriterId(1))).unwrap();
        assert!(now(crate::BlobStore::list(&*store, &BlobPath::root())).unwrap().is_empty());
        // What gets lost on the way once or twice is tried again.
        store.inject([Fault::RequestLost, Fault::RequestLost]);
        now(probe(&*store, WriterId(1))).unwrap();
        store.inject([Fault::RequestLost, Fault::RequestLost, Fault::RequestLost]);
        let unknown = now(probe(&*store, WriterId(1))).unwrap_err();
        assert_eq!(unknown.kind(), LogErrorKind::Retry, "{unknown}");
        let careless = FaultyStore::new(store).ignoring_conditions();
        let error = now(probe(&careless, WriterId(1))).unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::User);
        assert!(error.to_string().contains("can't be used for high availability"), "{error}");
    });
}
