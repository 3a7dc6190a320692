//! Runs as tools read them: rows shown by their schemas, and all that can be wrong in a run found.

use std::time::Duration;

use serde_json::{Value, json};
use thalweg_core::Record;
use thalweg_core::key_group::key_group;
use thalweg_core::record::encoded_key_hash;

use super::*;
use crate::run::tests::{blocks, reseal};
use crate::run::{RowKey, ShownRow, StateDeclaration, verify};
use crate::{KeyedState, OperatorState, StateKind, StateTtlConfig, TimerService};

fn rows(run: &RunReader, name: &str, kind: StateKind) -> Vec<Value> {
    let number = run.find_state(name, kind).unwrap();
    let state = run.state(number).unwrap();
    let mut cursor = run.rows(number, KeyGroupRange::all(MAX_PARALLELISM));
    let mut rows = Vec::new();
    while let Some(row) = cursor.next_row().unwrap() {
        rows.push(serde_json::to_value(ShownRow { state, row: &row }).unwrap());
    }
    rows
}

fn open(run: Vec<u8>) -> RunReader {
    RunReader::open(Arc::new(run)).unwrap()
}

#[test]
fn rows_of_every_kind_of_state_are_shown_by_the_names_of_their_parts() {
    let mut state = KeyedState::<String>::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    let value = state.value_state::<u64>("count").unwrap();
    let list = state.list_state::<i8>("recent").unwrap();
    let map = state.map_state::<u16, bool>("seen").unwrap();
    let (ada, group) = ("ada".to_owned(), key_group("ada".to_owned().key_hash(), MAX_PARALLELISM));
    state.set_current_key(ada.clone(), ada.key_hash());
    value.set(&mut state, 7).unwrap();
    list.add_all(&mut state, [1, -2]).unwrap();
    map.put(&mut state, 300, true).unwrap();
    let run = open(snapshot(0, 1, |writer| state.snapshot(writer)));
    let row = |rest: Value| {
        let mut row = json!({"key_group": group, "key": "ada"});
        row.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        vec![row]
    };
    assert_eq!(rows(&run, "count", StateKind::Value), row(json!({"value": 7})));
    let chunk = json!({"chunk": 0, "value": [1, -2]});
    assert_eq!(rows(&run, "recent", StateKind::List), row(chunk));
    let entry = json!({"map_key": 300, "value": true});
    assert_eq!(rows(&run, "seen", StateKind::Map), row(entry));

    state.set_processing_time(1000);
    let life = StateTtlConfig::new(Duration::from_millis(50));
    let last = state.with_time_to_live(life).value_state::<u8>("last").unwrap();
    last.set(&mut state, 9).unwrap();
    let run = open(snapshot(0, 1, |writer| state.snapshot(writer)));
    let expiring = row(json!({"value": 9, "expiry": 1050}));
    assert_eq!(rows(&run, "last", StateKind::Value), expiring);
    assert_eq!(problems(snapshot(0, 1, |writer| state.snapshot(writer)), None), (4, vec![]));

    let mut timers =
        TimerService::<String, u8>::new("t", ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    timers.register_event_time(-5, &ada, ada.key_hash(), &9).unwrap();
    let run = open(snapshot(0, 1, |writer| timers.snapshot(writer)));
    let timer = json!({"time": -5, "namespace": 9});
    assert_eq!(rows(&run, "t", StateKind::EventTimeTimers), row(timer));

    let mut state = OperatorState::new(None);
    let list = state.list_state::<String>("positions").unwrap();
    list.add(&mut state, "a".into()).unwrap();
    let rules = state.broadcast_state::<u8, char>("rules").unwrap();
    rules.put(&mut state, 4, 'x').unwrap();
    let run = open(snapshot(0, 1, |writer| state.snapshot(writer)));
    let element = json!({"key_group": 0, "element": 0, "value": "a"});
    assert_eq!(rows(&run, "positions", StateKind::OperatorList), [element]);
    let rule = json!({"key_group": 0, "map_key": 4, "value": "x"});
    assert_eq!(rows(&run, "rules", StateKind::Broadcast), [rule]);
}

/// A value state of 20,000 keys, in many blocks.
fn large_run() -> Vec<u8> {
    let mut state = KeyedState::<u32>::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    let value = state.value_state::<(u64, String)>("count").unwrap();
    for key in 0..20_000u32 {
        state.set_current_key(key, key.key_hash());
        value.set(&mut state, (u64::from(key), format!("value of {key}"))).unwrap();
    }
    snapshot(0, 1, |writer| state.snapshot(writer))
}

fn problems(run: Vec<u8>, key_groups: Option<KeyGroupRange>) -> (u64, Vec<String>) {
    let mut problems = Vec::new();
    let run = open(run);
    let sound = verify(&run, key_groups, |_, error| problems.push(error.to_string()));
    (sound, problems)
}

#[test]
fn each_damaged_block_is_found_and_the_others_are_still_verified() {
    let bytes = large_run();
    let run = open(bytes.clone());
    let infos: Vec<_> = run.blocks().collect();
    assert!(infos.len() > 6, "{} blocks", infos.len());
    assert_eq!(problems(bytes.clone(), Some(ranges(1)[0])), (20_000, vec![]));
    let mut damaged = bytes.clone();
    let places = blocks(&bytes);
    for number in [1, 4] {
        damaged[places[number].start + 100] ^= 0x10;
    }
    let (sound, found) = problems(damaged, None);
    assert_eq!(sound, 20_000 - infos[1].rows - infos[4].rows);
    for (text, info) in found.iter().zip([infos[1], infos[4]]) {
        let place = run.block_place(&info).to_string();
        assert!(text.contains(&place) && text.contains("checksum"), "{text}");
    }
    assert_eq!(found.len(), 2);
}

#[test]
fn rows_that_a_checksum_does_not_protect_are_checked_too() {
    let declaration = |value| StateDeclaration {
        name: "count".into(),
        kind: StateKind::Value,
        key: Some(u32::schema()),
        namespace: None,
        map_key: None,
        value: Some(value),
        time_to_live_ms: None,
    };
    let mut key = Vec::new();
    5u32.encode_key(&mut key);
    let group = key_group(encoded_key_hash(&key), MAX_PARALLELISM) as u16;
    let one = |group: u16, value: &[u8]| {
        snapshot(0, 1, |writer| {
            writer.begin_state(declaration(u16::schema()))?;
            writer.put(RowKey { key_group: group, key: &key, namespace: &[], sub_key: &[] }, value)
        })
    };
    assert_eq!(problems(one(group, &[3]), None), (1, vec![]));
    let other = (group + 1) % MAX_PARALLELISM as u16;
    let wrong = [
        (one(other, &[3]), None, format!("of key group {group} is in key group {other}")),
        (one(group, &[3]), Some(KeyGroupRange { start: 0, end: 0 }), "the subtask owned".into()),
        (one(group, &[0x83]), None, "can't be decoded".into()),
        (one(group, &[3, 3]), None, "can't be decoded".into()),
    ];
    for (run, key_groups, expected) in wrong {
        let (sound, found) = problems(run, key_groups);
        assert_eq!((sound, found.len()), (0, 1));
        assert!(found[0].contains("block 0 (state \"count\"") && found[0].contains(&expected));
    }
}

#[test]
fn blocks_that_overlap_are_found() {
    // Keys of one key group, two bytes long, each with another first byte: a row's stored key
    // ends in both.
    let keys: Vec<u32> = (1_000..60_000u32)
        .filter(|key| key_group(key.key_hash(), MAX_PARALLELISM) == 3)
        .step_by(300)
        .take(7)
        .collect();
    let mut state = KeyedState::<u32>::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    let value = state.value_state::<Vec<u8>>("noise").unwrap();
    let mut noise = 1u64;
    for key in &keys[..6] {
        state.set_current_key(*key, key.key_hash());
        // What can't be compressed is stored as it is.
        let bytes = (0..20_000u32).map(|_| {
            noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (noise >> 56) as u8
        });
        value.set(&mut state, bytes.collect()).unwrap();
    }
    let mut run = snapshot(0, 1, |writer| state.snapshot(writer));
    let places = blocks(&run);
    assert_eq!(places.len(), 2, "three rows in each block");
    let first = &mut run[places[0].clone()];
    let (third, last) = ((keys[2] as u16).to_be_bytes(), (keys[6] as u16).to_be_bytes());
    let place = first.windows(4).position(|bytes| bytes == [third[0], third[1], 0xa3, 0x9c]);
    let place = place.expect("its key, then the length of its value");
    first[place..place + 2].copy_from_slice(&last);
    reseal(first);
    let (sound, found) = problems(run, None);
    assert_eq!((sound, found.len()), (3, 1), "{found:?}");
    assert!(found[0].contains("block 1") && found[0].contains("come after"), "{}", found[0]);
}
