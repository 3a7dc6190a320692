//! Runs there and back, the golden run, damaged runs and hostile ones.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thalweg_core::Record;
use thalweg_core::key_group::KeyGroupRange;

use super::*;

/// A row that owns its parts: state, key group, key, namespace, sub-key, value.
type OwnedRow = (usize, u16, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: 32_768 };

fn origin() -> RunOrigin {
    RunOrigin { operator: "count".into(), subtask: 1, parallelism: 2, max_parallelism: 128 }
}

fn declaration(name: &str, kind: StateKind) -> StateDeclaration {
    StateDeclaration {
        name: name.into(),
        kind,
        key: Some(String::schema()),
        namespace: None,
        map_key: None,
        value: Some(u64::schema()),
        time_to_live_ms: None,
    }
}

fn write(states: &[StateDeclaration], rows: &[OwnedRow]) -> Vec<u8> {
    let mut writer = RunWriter::new(origin());
    for (number, state) in states.iter().enumerate() {
        writer.begin_state(state.clone()).unwrap();
        for (_, key_group, key, namespace, sub_key, value) in
            rows.iter().filter(|row| row.0 == number)
        {
            let key = RowKey { key_group: *key_group, key, namespace, sub_key };
            writer.put(key, value).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn read(run: &RunReader, key_groups: KeyGroupRange) -> Result<Vec<OwnedRow>, RunError> {
    let mut rows = Vec::new();
    for state in 0..run.description().states.len() {
        let mut cursor = run.rows(state, key_groups);
        while let Some(Row { key, value, .. }) = cursor.next_row()? {
            rows.push((
                state,
                key.key_group,
                key.key.to_vec(),
                key.namespace.to_vec(),
                key.sub_key.to_vec(),
                value.to_vec(),
            ));
        }
    }
    Ok(rows)
}

fn open(bytes: Vec<u8>) -> Result<RunReader, RunError> {
    RunReader::open(Arc::new(bytes))
}

/// Rows of two states over some key groups, with a few long values.
fn many_rows() -> (Vec<StateDeclaration>, Vec<OwnedRow>) {
    let states = vec![
        declaration("a", StateKind::Value),
        declaration("empty", StateKind::Value),
        declaration("a", StateKind::Map),
    ];
    let mut rows = Vec::new();
    for state in [0, 2] {
        for key_group in [0u16, 1, 63, 64, 127] {
            for key in 0..3000u32 {
                let length = if key % 1000 == 7 { 40_000 } else { key as usize % 50 };
                let value = (0..length).map(|byte| (byte * 31 + key as usize) as u8).collect();
                let key = key.to_be_bytes();
                rows.push((state, key_group, key.to_vec(), key[3..].to_vec(), Vec::new(), value));
            }
        }
    }
    (states, rows)
}

#[test]
fn rows_come_back_by_state_and_key_group() {
    let (states, rows) = many_rows();
    let run = open(write(&states, &rows)).unwrap();
    assert_eq!(run.description().states, states);
    assert_eq!(run.description().origin, origin());
    assert_eq!(run.row_count(), rows.len() as u64);
    assert_eq!(run.find_state("a", StateKind::Map), Some(2));
    assert_eq!(run.find_state("a", StateKind::List), None);
    for (start, end) in [(0, 128), (1, 2), (2, 63), (63, 65), (127, 128), (5, 5), (128, 200)] {
        let expected: Vec<_> =
            rows.iter().filter(|row| (start..end).contains(&u32::from(row.1))).cloned().collect();
        assert!(read(&run, KeyGroupRange { start, end }).unwrap() == expected, "{start}..{end}");
    }
}

#[test]
fn only_blocks_that_hold_wanted_key_groups_are_read() {
    struct Counting(Vec<u8>, AtomicU64);
    impl ReadAt for Counting {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            self.0.as_slice().read_exact_at(offset, buffer)
        }
    }
    let (states, rows) = many_rows();
    let source = Arc::new(Counting(write(&states, &rows), AtomicU64::new(0)));
    let run = RunReader::open(source.clone()).unwrap();
    let opened = source.1.swap(0, Ordering::Relaxed);
    assert!(opened < source.size() / 20, "opening read {opened} of {} bytes", source.size());
    let part = |start, end| {
        read(&run, KeyGroupRange { start, end }).unwrap();
        source.1.swap(0, Ordering::Relaxed)
    };
    assert_eq!(part(128, 200), 0, "nothing there, nothing to read");
    // A block may reach over a boundary between groups.
    let boundary = part(2, 63);
    assert!(boundary < source.size() / 10, "{boundary} of {}", source.size());
    let fifth = part(64, 65);
    assert!(fifth < source.size() / 3, "a fifth of the rows took {fifth} of {}", source.size());
}

/// Every feature of the format in a few rows.
fn golden_run() -> Vec<u8> {
    let mut states = vec![
        declaration("count", StateKind::Value),
        declaration("list", StateKind::List),
        declaration("sum", StateKind::Slice),
    ];
    states[2].namespace = Some(i64::schema());
    let row = |state, key_group, key: &[u8], namespace: &[u8], sub_key: &[u8], value: &[u8]| {
        (state, key_group, key.to_vec(), namespace.to_vec(), sub_key.to_vec(), value.to_vec())
    };
    let rows = [
        row(0, 64, b"Aalice\0", b"", b"", &[5]),
        row(0, 64, b"Aalicia\0", b"", b"", &[200, 1]),
        row(0, 127, b"Abob\0", b"", b"", &[0]),
        row(1, 65, b"Acarl\0", b"", &[0, 0, 0, 0], &[b'x'; 300]),
        row(1, 65, b"Acarl\0", b"", &[0, 0, 0, 1], &[b'y'; 10]),
        row(2, 64, b"Aalice\0", &[0x22, 3, 232], b"", &[9]),
    ];
    write(&states, &rows)
}

#[test]
fn the_golden_run_is_written_and_read_as_ever() {
    let golden = include_bytes!("golden/version-1.run");
    let run = open(golden.to_vec()).unwrap();
    assert_eq!(run.row_count(), 6);
    let same = open(golden_run()).unwrap();
    assert_eq!(run.description(), same.description());
    assert_eq!(read(&run, ALL).unwrap(), read(&same, ALL).unwrap());
    // LZ4 may pack the same rows differently one day; what isn't compressed may not change.
    assert_eq!(golden_run(), golden, "if only the compression changed, renew the file");
}

/// Every feature of delta runs.
fn golden_delta() -> Vec<u8> {
    let mut states = vec![
        declaration("count", StateKind::Value),
        declaration("list", StateKind::List),
        declaration("sum", StateKind::Slice),
    ];
    states[2].namespace = None;
    let published = LastSnapshot::Published;
    let mut writer = RunWriter::incremental(origin(), RunKind::Delta, published);
    type Change<'a> = (usize, u16, &'a [u8], &'a [u8], RowOperation<'a>);
    let rows: [Change<'_>; 8] = [
        (0, 64, b"Aalice\0", b"", RowOperation::Value(&[6])),
        (0, 64, b"Aalicia\0", b"", RowOperation::Delete),
        (0, 127, b"", b"", RowOperation::DeleteRange),
        (0, 127, b"Abert\0", b"", RowOperation::Value(&[1])),
        (1, 65, b"Acarl\0", b"", RowOperation::DeleteRange),
        (1, 65, b"Acarl\0", &[0, 0, 0, 0], RowOperation::Value(b"z")),
        (2, 64, &[0x80, 0, 0, 0, 0, 0, 3, 232], b"", RowOperation::DeleteRange),
        (2, 64, &[0x80, 0, 0, 0, 0, 0, 7, 208, b'A', 0], b"", RowOperation::Value(&[9])),
    ];
    for (number, state) in states.into_iter().enumerate() {
        writer.begin_state(state).unwrap();
        for (_, key_group, key, sub_key, operation) in rows.iter().filter(|row| row.0 == number) {
            let key = RowKey { key_group: *key_group, key, namespace: &[], sub_key };
            writer.write(key, *operation).unwrap();
        }
    }
    writer.finish().unwrap()
}

/// Rows with expiries among others, and such that begin and end a block.
fn golden_expiring(kind: RunKind) -> Vec<u8> {
    let mut states = vec![
        declaration("seen", StateKind::Value),
        declaration("recent", StateKind::List),
        declaration("by name", StateKind::Map),
        declaration("count", StateKind::Value),
    ];
    states[..3].iter_mut().for_each(|state| state.time_to_live_ms = Some(3_600_000));
    states[2].map_key = Some(String::schema());
    let mut writer = RunWriter::incremental(origin(), kind, LastSnapshot::Published);
    let expiring = |value, expiry| RowOperation::Expiring { value, expiry };
    type Change<'a> = (usize, u16, &'a [u8], &'a [u8], RowOperation<'a>);
    let rows: [Change<'_>; 9] = [
        (0, 64, b"Aalice\0", b"", expiring(&[5], 1_790_000_000_000)),
        (0, 64, b"Aalicia\0", b"", expiring(&[200, 1], -1)),
        (0, 127, b"Abob\0", b"", RowOperation::Delete),
        (1, 65, b"Acarl\0", b"", RowOperation::DeleteRange),
        (1, 65, b"Acarl\0", &[0, 0, 0, 0], expiring(&[1, 2], 1_790_000_000_000)),
        (1, 65, b"Acarl\0", &[0, 0, 0, 1], expiring(&[1, 3], 1_790_000_000_001)),
        (2, 66, b"Adora\0", b"Ax\0", expiring(&[7], i64::MAX)),
        (2, 66, b"Adora\0", b"Ay\0", expiring(&[8], i64::MIN)),
        (3, 64, b"Aalice\0", b"", RowOperation::Value(&[6])),
    ];
    for (number, state) in states.into_iter().enumerate() {
        writer.begin_state(state).unwrap();
        let rows = rows.iter().filter(|row| row.0 == number);
        for (_, key_group, key, sub_key, operation) in rows {
            if kind == RunKind::Base && operation.is_tombstone() {
                continue;
            }
            let key = RowKey { key_group: *key_group, key, namespace: &[], sub_key };
            writer.write(key, *operation).unwrap();
        }
    }
    writer.finish().unwrap()
}

#[test]
fn the_golden_runs_with_expiries_are_written_and_read_as_ever() {
    let base: &[u8] = include_bytes!("golden/version-1-expiring.run");
    let delta: &[u8] = include_bytes!("golden/version-1-expiring-delta.run");
    for (golden, kind, count) in [(base, RunKind::Base, 7), (delta, RunKind::Delta, 9)] {
        let run = open(golden.to_vec()).unwrap();
        assert_eq!((run.row_count(), run.kind()), (count, kind));
        let same = open(golden_expiring(kind)).unwrap();
        assert_eq!(run.description(), same.description());
        assert_eq!(read_changes(&run).unwrap(), read_changes(&same).unwrap());
        assert_eq!(golden_expiring(kind), golden, "if only the compression changed, renew it");
        let rows = read_changes(&run).unwrap().join("\n");
        for part in ["expiry: 1790000000000 ", "expiry: -1 ", &format!("expiry: {} ", i64::MIN)] {
            assert!(rows.contains(part), "{part} in {rows}");
        }
    }
}

#[test]
fn any_damaged_byte_of_a_run_with_expiries_is_noticed_or_harmless() {
    let bytes = golden_expiring(RunKind::Delta);
    let rows = read_changes(&open(bytes.clone()).unwrap()).unwrap();
    for place in 0..bytes.len() {
        assert!(open(bytes[..place].to_vec()).is_err(), "cut to {place}");
        for change in [1, 4, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= change;
            if let Ok(same) = open(damaged).and_then(|run| read_changes(&run)) {
                assert_eq!(same, rows, "byte {place} ^ {change}");
            }
        }
    }
}

#[test]
fn an_expiry_where_no_row_can_have_one_is_refused_by_name() {
    for (kind, flags) in [(StateKind::Slice, 4), (StateKind::Value, 5), (StateKind::Value, 12)] {
        let mut writer = RunWriter::incremental(origin(), RunKind::Delta, LastSnapshot::Published);
        writer.begin_state(declaration("s", kind)).unwrap();
        let key = RowKey { key_group: 3, key: b"a", namespace: &[], sub_key: &[] };
        let expiry = 0x1234_5678_9abc_def0;
        writer.write(key, RowOperation::Expiring { value: b"value", expiry }).unwrap();
        let mut bytes = writer.finish().unwrap();
        let block = blocks(&bytes).remove(0);
        // Stored, not compressed: too short.
        let row = &mut bytes[block.start + 5];
        assert_eq!(*row, 4);
        *row = flags;
        reseal(&mut bytes[block]);
        let error = read_changes(&open(bytes).unwrap()).unwrap_err().to_string();
        let expected = if flags == 4 { "has an expiry" } else { &format!("flags {flags:#04x}") };
        assert!(error.contains(expected) && error.contains("state \"s\""), "{error}");
    }
}

/// A run's rows with their tombstones.
fn read_changes(run: &RunReader) -> Result<Vec<String>, RunError> {
    let mut rows = Vec::new();
    for state in 0..run.description().states.len() {
        let mut cursor = run.rows(state, ALL);
        while cursor.advance()? {
            rows.push(format!("{state} {:?}", cursor.current().unwrap()));
        }
    }
    Ok(rows)
}

#[test]
fn the_golden_delta_is_written_and_read_as_ever() {
    let golden = include_bytes!("golden/version-1-delta.run");
    let run = open(golden.to_vec()).unwrap();
    assert_eq!((run.row_count(), run.kind()), (8, RunKind::Delta));
    let same = open(golden_delta()).unwrap();
    assert_eq!(run.description(), same.description());
    assert_eq!(read_changes(&run).unwrap(), read_changes(&same).unwrap());
    assert_eq!(golden_delta(), golden, "if only the compression changed, renew the file");
}

#[test]
fn a_delta_over_its_base_hides_what_it_replaces_and_removes() {
    let (base, delta) = (open(golden_run()).unwrap(), open(golden_delta()).unwrap());
    let merged = |name, kind| {
        let runs = [&base, &delta].map(|run| (run, run.find_state(name, kind).unwrap()));
        let mut rows = MergedRows::new(runs, ALL);
        let mut read = Vec::new();
        while let Some((layer, row)) = rows.next_row().unwrap() {
            let key = String::from_utf8_lossy(row.key.key).trim_matches('\0').to_owned();
            read.push((layer, key, row.value.to_vec()));
        }
        read
    };
    let row = |layer, key: &str, value: &[u8]| (layer, key.to_owned(), value.to_vec());
    let counts = merged("count", StateKind::Value);
    assert_eq!(counts, [row(1, "Aalice", &[6]), row(1, "Abert", &[1])]);
    assert_eq!(merged("list", StateKind::List), [row(1, "Acarl", b"z")]);
}

#[test]
fn any_damaged_byte_and_any_cut_of_a_delta_is_noticed_or_harmless() {
    let bytes = golden_delta();
    let rows = read_changes(&open(bytes.clone()).unwrap()).unwrap();
    for place in 0..bytes.len() {
        assert!(open(bytes[..place].to_vec()).is_err(), "cut to {place}");
        for change in [1, 2, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= change;
            if let Ok(same) = open(damaged).and_then(|run| read_changes(&run)) {
                assert_eq!(same, rows, "byte {place} ^ {change}");
            }
        }
    }
}

#[test]
fn a_delta_is_never_taken_for_a_base_nor_tombstones_written_to_one() {
    let delta = open(golden_delta()).unwrap();
    let error = read(&delta, ALL).unwrap_err().to_string();
    assert!(error.contains("needs the runs before it"), "{error}");
    let mut writer = RunWriter::new(origin());
    writer.begin_state(declaration("count", StateKind::Value)).unwrap();
    let key = RowKey { key_group: 3, key: b"a", namespace: &[], sub_key: &[] };
    let error = writer.write(key, RowOperation::Delete).unwrap_err().to_string();
    assert!(error.contains("a base run has no tombstones"), "{error}");
    // Neither is a header that claims the other kind believed.
    let mut claims = golden_delta();
    claims[10] = 0;
    let checksum = crc32c::crc32c(&claims[..12]);
    claims[12..16].copy_from_slice(&checksum.to_le_bytes());
    let error = open(claims).err().unwrap().to_string();
    assert!(error.contains("don't agree on the run's kind"), "{error}");
}

/// Writes the golden run anew: for a change of the format, with a new version's name.
#[test]
#[ignore = "a tool, not a test"]
fn renew_the_golden_run() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/run/golden");
    std::fs::write(format!("{folder}/version-1.run"), golden_run()).unwrap();
    std::fs::write(format!("{folder}/version-1-delta.run"), golden_delta()).unwrap();
    for (name, kind) in [("expiring", RunKind::Base), ("expiring-delta", RunKind::Delta)] {
        let path = format!("{folder}/version-1-{name}.run");
        std::fs::write(path, golden_expiring(kind)).unwrap();
    }
}

#[test]
fn any_damaged_byte_is_noticed_or_harmless() {
    let bytes = golden_run();
    let whole = open(bytes.clone()).unwrap();
    let rows = read(&whole, ALL).unwrap();
    for place in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= change;
            let outcome = open(damaged).and_then(|run| Ok((read(&run, ALL)?, run)));
            if let Ok((same, run)) = outcome {
                assert_eq!(same, rows, "byte {place} ^ {change}");
                assert_eq!(run.description(), whole.description(), "byte {place} ^ {change}");
            }
        }
    }
}

#[test]
fn any_cut_is_noticed() {
    let bytes = golden_run();
    for length in 0..bytes.len() {
        assert!(open(bytes[..length].to_vec()).is_err(), "cut to {length}");
        assert!(open(bytes[length + 1..].to_vec()).is_err(), "cut before {length}");
    }
}

/// Where the blocks of a run are.
pub(crate) fn blocks(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let footer = footer::Footer::decode(bytes.last_chunk().unwrap(), bytes.len() as u64).unwrap();
    let states = open(bytes.to_vec()).unwrap().description().states.len();
    let index = footer.index.offset as usize..bytes.len() - footer::FOOTER_LENGTH;
    let span = (footer::HEADER_LENGTH as u64, footer.description.offset);
    let index = index::decode(&bytes[index], states, span, footer.rows).unwrap();
    index
        .iter()
        .map(|entry| entry.offset as usize..entry.offset as usize + entry.length as usize)
        .collect()
}

/// Puts the right checksum on a changed block, so that what is behind it is reached.
pub(crate) fn reseal(block: &mut [u8]) {
    let (body, checksum) = block.split_last_chunk_mut::<4>().unwrap();
    *checksum = crc32c::crc32c(body).to_le_bytes();
}

#[test]
fn a_hostile_block_ends_in_an_error_that_names_block_state_and_key_groups() {
    let states = [declaration("count", StateKind::Value)];
    let rows: Vec<_> = (0..40u8)
        .map(|key| (0, u16::from(key), vec![key], Vec::new(), Vec::new(), vec![key; 3]))
        .collect();
    let bytes = write(&states, &rows);
    let block = blocks(&bytes).remove(0);
    let mut errors = 0;
    for place in block.start..block.end - 4 {
        for change in [1, 0x40, 0x80, 0xff] {
            let mut hostile = bytes.clone();
            hostile[place] ^= change;
            reseal(&mut hostile[block.clone()]);
            if let Err(error) = read(&open(hostile).unwrap(), ALL) {
                let error = error.to_string();
                let named = "block 0 (state \"count\", key groups 0 to 39)";
                assert!(error.contains(named), "{error}");
                errors += 1;
            }
        }
    }
    assert!(errors > block.len(), "only {errors} of {} noticed", 4 * block.len());
}

/// The same for description and index: whatever they claim, nothing panics.
#[test]
fn a_hostile_description_or_index_ends_in_an_error_or_in_other_rows() {
    let bytes = golden_run();
    let whole = footer::Footer::decode(bytes.last_chunk().unwrap(), bytes.len() as u64).unwrap();
    let mut errors = 0;
    for place in whole.description.offset as usize..bytes.len() - footer::FOOTER_LENGTH {
        for change in [1, 0x02, 0x80, 0xff] {
            let mut hostile = bytes.clone();
            hostile[place] ^= change;
            let mut footer = whole;
            for section in [&mut footer.description, &mut footer.index] {
                let end = section.offset as usize + section.length as usize;
                section.checksum = crc32c::crc32c(&hostile[section.offset as usize..end]);
            }
            let end = hostile.len() - footer::FOOTER_LENGTH;
            hostile[end..].copy_from_slice(&footer.encode());
            errors += usize::from(open(hostile).and_then(|run| read(&run, ALL)).is_err());
        }
    }
    assert!(errors > 1000, "only {errors} noticed");
}

#[test]
fn rows_out_of_order_and_doubled_states_are_refused() {
    let mut writer = RunWriter::new(origin());
    let key = |key: &'static [u8]| RowKey { key_group: 3, key, namespace: &[], sub_key: &[] };
    assert!(writer.put(key(b"a"), &[]).unwrap_err().to_string().contains("no state"));
    writer.begin_state(declaration("s", StateKind::Value)).unwrap();
    writer.put(key(b"b"), &[]).unwrap();
    for wrong in [b"b", b"a"] {
        let error = writer.put(key(wrong), &[]).unwrap_err().to_string();
        assert!(error.contains("state \"s\"") && error.contains("out of order"), "{error}");
    }
    writer.begin_state(declaration("s", StateKind::List)).unwrap();
    writer.put(key(b"a"), &[]).expect("each state has its own order");
    let error = writer.begin_state(declaration("s", StateKind::Value)).unwrap_err().to_string();
    assert!(error.contains("a second value state"), "{error}");
}

#[test]
fn foreign_and_later_bytes_are_named_as_such() {
    let error = |bytes: Vec<u8>| open(bytes).err().unwrap().to_string();
    assert!(error(b"hello".to_vec()).contains("not a snapshot run"));
    assert!(error(vec![7; 500]).contains("the header doesn't hold the magic bytes"));
    let mut later = golden_run();
    later[8] = 2;
    let checksum = crc32c::crc32c(&later[..12]);
    later[12..16].copy_from_slice(&checksum.to_le_bytes());
    assert!(error(later).contains("format version 2, this build reads up to 1"));
    let mut feature = golden_run();
    feature[10] = 2;
    let checksum = crc32c::crc32c(&feature[..12]);
    feature[12..16].copy_from_slice(&checksum.to_le_bytes());
    assert!(error(feature).contains("needs features 0x0002"));
}
