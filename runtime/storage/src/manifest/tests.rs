//! Manifests there and back, damaged ones, and contradictory ones.

use super::*;
use crate::blob::tests::now;
use crate::blob::{BlobErrorKind, BlobStore, MemoryStore};
use crate::layout;

fn subtask(index: u32, start: u32, end: u32) -> SubtaskManifest {
    SubtaskManifest {
        index,
        key_groups: Some(KeyGroups { start, end }),
        object: format!("job/chk-3/count-{index}"),
        object_length: Some(1234),
        offset: 0,
        length: 1234,
        crc32c: 0xdead_beef,
    }
}

fn operator(id: u128, subtasks: Vec<SubtaskManifest>) -> OperatorManifest {
    OperatorManifest {
        operator_id: OperatorId::new(id),
        uid: Some("count".into()),
        name: "count per \"key\"".into(),
        parallelism: 2,
        max_parallelism: 128,
        finished: false,
        finished_subtasks: Vec::new(),
        subtasks,
        coordinator_state: Some(CoordinatorState(vec![0, 255, 16])),
    }
}

fn manifest() -> CheckpointManifest {
    CheckpointManifest {
        format_version: FORMAT_VERSION,
        job_id: JobId::new(u128::MAX - 5),
        checkpoint_id: CheckpointId(3),
        kind: CheckpointKind::Savepoint,
        trigger_time_ms: -1,
        completion_time_ms: 1_800_000_000_000,
        graph_fingerprint: u64::MAX,
        stopped_with: None,
        resource_requirements: Vec::new(),
        channel_state: Vec::new(),
        operators: vec![
            operator(1, vec![subtask(0, 0, 64), subtask(1, 64, 128)]),
            OperatorManifest { finished_subtasks: vec![1], ..operator(2, Vec::new()) },
        ],
    }
}

#[test]
fn what_a_user_asked_of_a_running_job_is_kept_and_manifests_without_it_are_read() {
    let mut asked = manifest();
    let vertex_id = thalweg_core::ids::JobVertexId::derive("count");
    asked.resource_requirements =
        vec![VertexRequirement { vertex_id, declared: 2, parallelism: 3 }];
    let bytes = asked.to_bytes().unwrap();
    assert_eq!(CheckpointManifest::from_bytes(&bytes, "x").unwrap(), asked);
    let without = manifest().to_bytes().unwrap();
    assert!(!String::from_utf8(without).unwrap().contains("resource_requirements"));
}

#[test]
fn a_manifest_survives_the_store_and_is_written_once() {
    let store = MemoryStore::new();
    let written = manifest();
    let path = now(save(&store, &written)).unwrap();
    assert_eq!(
        layout::checkpoint_of_manifest(&path),
        Some((written.job_id, written.checkpoint_id))
    );
    now(save(&store, &written)).expect("a repeat is harmless");
    assert_eq!(now(load(&store, written.job_id, written.checkpoint_id)).unwrap(), written);
    assert_eq!(written.operator(OperatorId::new(2)).unwrap().operator_id, OperatorId::new(2));
    assert!(written.operator(OperatorId::new(3)).is_none());
    assert_eq!(written.objects().unwrap().len(), 2);

    let other = CheckpointManifest { completion_time_ms: 0, ..written.clone() };
    assert!(matches!(now(save(&store, &other)), Err(ManifestError::Exists { .. })));
    let missing = now(load(&store, written.job_id, CheckpointId(4)));
    assert!(
        matches!(missing, Err(ManifestError::Store(error)) if error.kind == BlobErrorKind::NotFound)
    );
    let moved = layout::manifest(written.job_id, CheckpointId(4)).unwrap();
    now(store.put(&moved, written.to_bytes().unwrap())).unwrap();
    let error = now(load(&store, written.job_id, CheckpointId(4))).unwrap_err();
    assert!(error.to_string().contains("that of checkpoint 3"), "{error}");
}

/// The one in the golden files.
fn golden() -> CheckpointManifest {
    CheckpointManifest {
        job_id: JobId::new(1),
        graph_fingerprint: 5,
        trigger_time_ms: 7,
        completion_time_ms: 8,
        operators: vec![OperatorManifest {
            coordinator_state: Some(CoordinatorState(vec![0, 255])),
            ..operator(2, vec![subtask(0, 0, 64)])
        }],
        ..manifest()
    }
}

#[test]
fn the_bytes_are_these() {
    let text = String::from_utf8(golden().to_bytes().unwrap()).unwrap();
    assert_eq!(text, include_str!("golden-2.manifest"));
}

#[test]
fn a_manifest_of_version_1_is_read_and_its_objects_have_no_known_length() {
    let bytes = include_bytes!("golden-1.manifest");
    let read = CheckpointManifest::from_bytes(bytes, "x").unwrap();
    let mut expected = CheckpointManifest { format_version: 1, ..golden() };
    expected.operators[0].subtasks[0].object_length = None;
    assert_eq!(read, expected);
    let error = read.to_bytes().unwrap_err().to_string();
    assert!(error.contains("format version 1"), "only the newest is written: {error}");
    // Its runs are gone on from: then a manifest of this version names them.
    let now = CheckpointManifest { format_version: FORMAT_VERSION, ..read };
    assert_eq!(CheckpointManifest::from_bytes(&now.to_bytes().unwrap(), "x").unwrap(), now);
}

#[test]
fn a_version_that_never_was_or_a_field_that_came_later_is_damage() {
    for (version, reason) in [(0, "format version 0"), (1, "no lengths of objects")] {
        let strange = CheckpointManifest { format_version: version, ..golden() };
        let mut body = serde_json::to_vec(&strange).unwrap();
        let checksum = crc32c::crc32c(&body);
        body.extend_from_slice(format!("crc32c:{checksum:08x}\n").as_bytes());
        let error = CheckpointManifest::from_bytes(&body, "x").unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn runs_of_several_subtasks_may_share_an_object() {
    let part = |index: u32, offset, length| SubtaskManifest {
        object: "job/chk-3/shared".into(),
        object_length: Some(100),
        offset,
        length,
        ..subtask(index, index * 64, index * 64 + 64)
    };
    let of = |runs| CheckpointManifest { operators: vec![operator(1, runs)], ..manifest() };
    let shared = of(vec![part(0, 60, 40), part(1, 0, 60)]);
    assert_eq!(CheckpointManifest::from_bytes(&shared.to_bytes().unwrap(), "x").unwrap(), shared);
    assert_eq!(shared.objects().unwrap().len(), 1);
    of(vec![part(0, 0, 60), part(1, 0, 60)]).to_bytes().expect("equal bytes may be there once");
    let unequal = SubtaskManifest { object_length: Some(101), ..part(1, 60, 40) };
    for (runs, reason) in [
        (vec![part(0, 0, 61), part(1, 60, 40)], "the runs at 0 and 60 of job/chk-3/shared overlap"),
        (vec![part(0, 0, 60), part(1, 60, 41)], "the run at 60 of job/chk-3/shared ends beyond it"),
        (vec![part(0, 0, 60), unequal], "agree about the length"),
    ] {
        let error = of(runs).to_bytes().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_subtask_may_have_a_base_and_deltas_in_objects_of_several_checkpoints() {
    let delta = |object: &str| SubtaskManifest { object: object.into(), ..subtask(0, 0, 64) };
    let runs = vec![subtask(0, 0, 64), delta("job/chk-4/count-0"), subtask(1, 64, 128)];
    let mut manifest = CheckpointManifest { operators: vec![operator(1, runs)], ..manifest() };
    let bytes = manifest.to_bytes().unwrap();
    assert_eq!(CheckpointManifest::from_bytes(&bytes, "x").unwrap(), manifest);
    let objects = manifest.objects().unwrap();
    let objects: Vec<_> = objects.iter().map(BlobPath::as_str).collect();
    assert_eq!(objects, ["job/chk-3/count-0", "job/chk-3/count-1", "job/chk-4/count-0"]);
    // But not with other key groups.
    manifest.operators[0].subtasks[1].key_groups = Some(KeyGroups { start: 0, end: 63 });
    let error = manifest.to_bytes().unwrap_err().to_string();
    assert!(error.contains("can't own key groups 0 to 63"), "{error}");
}

#[test]
fn any_damaged_byte_and_any_cut_is_noticed() {
    let bytes = manifest().to_bytes().unwrap();
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        let error = CheckpointManifest::from_bytes(&damaged, "job/chk-3").unwrap_err();
        assert!(error.to_string().contains("job/chk-3"), "{place}: {error}");
        assert!(CheckpointManifest::from_bytes(&bytes[..place], "here").is_err(), "{place}");
    }
}

#[test]
fn a_later_version_is_named() {
    let body = "{\"format_version\": 3, \"news\": {}}\n";
    let bytes = format!("{body}crc32c:{:08x}\n", crc32c::crc32c(body.as_bytes()));
    let error = CheckpointManifest::from_bytes(bytes.as_bytes(), "x").unwrap_err().to_string();
    assert!(error.contains("format version 3, this build reads up to 2"), "{error}");
}

#[test]
fn a_contradictory_manifest_is_neither_written_nor_read() {
    type Change = fn(&mut CheckpointManifest);
    let broken: [(&str, Change); 13] = [
        ("[1, 0] can't be", |m| m.operators[0].finished_subtasks = vec![1, 0]),
        ("[2] can't be", |m| m.operators[0].finished_subtasks = vec![2]),
        ("[0] can't be", |m| {
            m.operators[0].finished = true;
            m.operators[0].finished_subtasks = vec![0];
        }),
        ("aren't ordered by id", |m| m.operators.swap(0, 1)),
        ("aren't ordered by index", |m| m.operators[0].subtasks.swap(0, 1)),
        ("a subtask 1", |m| m.operators[0].parallelism = 1),
        ("parallelism 0", |m| m.operators[1].parallelism = 0),
        ("at most 32769", |m| m.operators[1].max_parallelism = 32769),
        ("can't own key groups", |m| m.operators[0].max_parallelism = 100),
        ("can't own key groups 63", |m| m.operators[0].subtasks[1] = subtask(1, 63, 128)),
        ("can't name a blob", |m| m.operators[0].subtasks[0].object = "../x".into()),
        ("has no object", |m| m.operators[0].subtasks[0].object = String::new()),
        ("ends beyond", |m| m.operators[0].subtasks[0].offset = u64::MAX),
    ];
    for (reason, change) in broken {
        let mut manifest = manifest();
        change(&mut manifest);
        let error = manifest.to_bytes().unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
        let mut body = serde_json::to_vec(&manifest).unwrap();
        let checksum = crc32c::crc32c(&body);
        body.extend_from_slice(format!("crc32c:{checksum:08x}\n").as_bytes());
        let error = CheckpointManifest::from_bytes(&body, "x").unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}
