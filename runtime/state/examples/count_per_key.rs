//! Speed of keyed state: counts per key over a million uniform keys, in value state and in
//! slices, the snapshot and the restore of these counts, and the same while changes are noted for
//! incremental snapshots, and written in slices. Prints a table.
//!
//! `cargo run --release -p thalweg-state --example count_per_key`

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_core::key_group::{KeyGroupRange, key_group};
use thalweg_core::record::Key;
use thalweg_state::{
    EncodingBudget, KeyedState, LastSnapshot, MemoryBudget, RestoredOperator, RunKind, RunOrigin,
    RunReader, RunWriter, SliceCursor, SliceState, StateTtlConfig, TimerService, UpdateType,
    ValueState,
};

const KEYS: u64 = 1_000_000;
const RECORDS: usize = 20_000_000;
const BATCH: usize = 4096;
const MAX_PARALLELISM: u32 = 128;
/// The first of two subtasks.
const KEY_GROUPS: KeyGroupRange = KeyGroupRange { start: 0, end: 64 };

fn main() -> Result<(), Box<dyn Error>> {
    let rows = records();
    let mut state = KeyedState::<u64>::new(KEY_GROUPS, MAX_PARALLELISM, None)?;
    let count = state.value_state::<u64>("count")?;
    for name in ["count in value state, growing", "count in value state, grown"] {
        measure(name, rows.len(), || {
            for &(key, hash) in &rows {
                state.set_current_key(key, hash);
                *count.get_or_insert_with(&mut state, || 0)? += 1;
            }
            Ok(())
        })?;
    }
    println!("{:44} {:>12.1} MB", "bytes accounted", state.bytes() as f64 / 1e6);
    println!("{:44} {:>12.1} MB", "resident memory of the process", resident_mb());

    let keys = KEYS as usize / 2;
    let mut run = Vec::new();
    measure("snapshot of value state", keys, || {
        let mut writer = RunWriter::new(origin());
        state.snapshot(&mut writer)?;
        run = writer.finish()?;
        Ok(())
    })?;
    println!("{:44} {:>12.1} MB", "size of the snapshot", run.len() as f64 / 1e6);
    let reader = RunReader::open(Arc::new(run))?;
    let restored = Arc::new(RestoredOperator::new(vec![reader], 0, 2)?);
    measure("restore of value state", keys, || {
        let mut state = KeyedState::<u64>::new(KEY_GROUPS, MAX_PARALLELISM, Some(restored))?;
        state.value_state::<u64>("count")?;
        black_box(state.bytes());
        Ok(())
    })?;

    incremental(&mut state, count, &rows)?;
    expiring(&rows)?;
    slices(&rows)?;
    timers(&rows)
}

/// The same while changes are noted, then what has to be written when 1% of the keys changed.
fn incremental(
    state: &mut KeyedState<u64>,
    count: ValueState<u64>,
    rows: &[(u64, u64)],
) -> Result<(), Box<dyn Error>> {
    let keys = KEYS as usize / 2;
    let take = |name: &str, rows: usize, kind, state: &mut KeyedState<u64>| {
        let mut bytes = 0;
        measure(name, rows, || {
            let mut writer = RunWriter::incremental(origin(), kind, LastSnapshot::Published);
            state.snapshot(&mut writer)?;
            bytes = writer.finish()?.len();
            Ok(())
        })?;
        println!("{:44} {:>12.1} KB", "size of the run", bytes as f64 / 1e3);
        Ok::<(), Box<dyn Error>>(())
    };
    take("base run", keys, RunKind::Base, state)?;
    measure("count in value state, changes noted", rows.len(), || {
        for &(key, hash) in rows {
            state.set_current_key(key, hash);
            *count.get_or_insert_with(state, || 0)? += 1;
        }
        Ok(())
    })?;
    take("delta run, all rows changed", keys, RunKind::Delta, state)?;
    for &(key, hash) in &rows[..keys / 100] {
        state.set_current_key(key, hash);
        *count.get_or_insert_with(state, || 0)? += 1;
    }
    println!("{:44} {:>12.1} MB", "bytes accounted, changes noted", state.bytes() as f64 / 1e6);
    take("delta run, 1% of the rows changed", keys / 100, RunKind::Delta, state)?;
    in_slices(state, count, rows)
}

/// Base runs in pieces, as tasks write them: alone, and between batches.
fn in_slices(
    state: &mut KeyedState<u64>,
    count: ValueState<u64>,
    rows: &[(u64, u64)],
) -> Result<(), Box<dyn Error>> {
    for (name, batch) in [("base run in pieces", 0), ("base run in pieces, between batches", 1000)]
    {
        let mut rows = rows.iter().cycle();
        let buffers = MemoryBudget::unlimited();
        let mut writer = RunWriter::incremental(origin(), RunKind::Base, LastSnapshot::Published)
            .in_slices(buffers.clone());
        let begun = now();
        state.snapshot(&mut writer)?;
        let began = begun.elapsed();
        let (mut pieces, mut processing) = (Vec::new(), Duration::ZERO);
        let mut largest = 0;
        while writer.is_unfinished() {
            let piece = now();
            state.encode(&mut writer, &mut EncodingBudget::new(512, 64 * 1024))?;
            pieces.push(piece.elapsed());
            let work = now();
            for &(key, hash) in rows.by_ref().take(batch) {
                state.set_current_key(key, hash);
                *count.get_or_insert_with(state, || 0)? += 1;
            }
            processing += work.elapsed();
            largest = largest.max(buffers.drawn().saturating_sub(writer.size()));
        }
        let bytes = writer.finish()?.len();
        pieces.sort();
        let at = |share: f64| pieces[((pieces.len() - 1) as f64 * share) as usize].as_micros();
        println!("{name}: {} KB, {} pieces", bytes / 1000, pieces.len());
        println!("{:44} {:>12} us", "    to begin", began.as_micros());
        println!("{:44} {:>12} us", "    median piece", at(0.5));
        println!("{:44} {:>12} us", "    p99 piece", at(0.99));
        println!("{:44} {:>12} us", "    longest piece", at(1.0));
        let all: Duration = pieces.iter().sum();
        println!("{:44} {:>12.1} ms", "    all pieces", all.as_secs_f64() * 1e3);
        if batch > 0 {
            let each = processing.as_secs_f64() * 1e9 / (batch * pieces.len()) as f64;
            println!("{:44} {:>12.1} ns", "    count meanwhile", each);
            println!("{:44} {:>12.1} KB", "    most in buffers", largest as f64 / 1e3);
        }
    }
    Ok(())
}

fn origin() -> RunOrigin {
    RunOrigin {
        operator: "count".into(),
        subtask: 0,
        parallelism: 2,
        max_parallelism: MAX_PARALLELISM,
    }
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn now() -> Instant {
    Instant::now()
}

/// The same with a time to live that none outlives: a batch at a time, with the cleaning.
fn expiring(rows: &[(u64, u64)]) -> Result<(), Box<dyn Error>> {
    let hour = StateTtlConfig::new(Duration::from_secs(3600));
    for (name, config) in [
        ("count with a time to live", hour.cleanup_incrementally(0)),
        ("count with a time to live, cleaned", hour),
        (
            "count with a time to live, read and cleaned",
            hour.update_type(UpdateType::OnReadAndWrite),
        ),
    ] {
        let mut state = KeyedState::<u64>::new(KEY_GROUPS, MAX_PARALLELISM, None)?;
        state.set_processing_time(0);
        let count = state.with_time_to_live(config).value_state::<u64>("count")?;
        for grown in [false, true] {
            let mut count_all = || {
                for (number, batch) in (0..).zip(rows.chunks(BATCH)) {
                    state.set_processing_time(number);
                    for &(key, hash) in batch {
                        state.set_current_key(key, hash);
                        *count.get_or_insert_with(&mut state, || 0)? += 1;
                    }
                    state.clean_up(batch.len())?;
                }
                Ok(())
            };
            match grown {
                true => measure(name, rows.len(), count_all)?,
                false => count_all()?,
            }
        }
        println!("{:44} {:>12.1} MB", "bytes accounted", state.bytes() as f64 / 1e6);
    }
    Ok(())
}

/// Ten thousand keys in slices of 100,000 records, each walked over and dropped.
fn slices(rows: &[(u64, u64)]) -> Result<(), Box<dyn Error>> {
    let rows: Vec<(u64, u64)> = rows
        .iter()
        .map(|(key, _)| key % 10_000)
        .map(|key| (key, key.key_hash()))
        .filter(|(_, hash)| KEY_GROUPS.contains(key_group(*hash, MAX_PARALLELISM)))
        .collect();
    let mut slices = SliceState::<u64, u64>::new("sum", KEY_GROUPS, MAX_PARALLELISM, None)?;
    measure("sum in slices, 10 K keys", rows.len(), || {
        for (end, slice) in (1i64..).zip(rows.chunks(50_000)) {
            for (key, hash) in slice {
                *slices.get_or_insert_with(end, key, *hash, || 0)? += key;
            }
            let mut cursor = SliceCursor::default();
            let mut sum = 0;
            while let Some((key, value)) = slices.next_entry(end, &mut cursor) {
                sum += value + key.key_hash();
            }
            black_box(sum);
            slices.remove_slice(end - 10);
        }
        Ok(())
    })
}

/// A million timers, each registered twice, then fired.
fn timers(rows: &[(u64, u64)]) -> Result<(), Box<dyn Error>> {
    let mut timers = TimerService::<u64, ()>::new("timers", KEY_GROUPS, MAX_PARALLELISM, None)?;
    let rows = &rows[..1_000_000];
    measure("register timers, each twice", 2 * rows.len(), || {
        for (place, (key, hash)) in (0i64..).zip(rows) {
            for _ in 0..2 {
                timers.register_event_time(place / 1000 + (*key % 100) as i64, key, *hash, &())?;
            }
        }
        Ok(())
    })?;
    measure("fire timers", rows.len(), || {
        while let Some(timer) = timers.pop_event_time(i64::MAX) {
            black_box(timer);
        }
        Ok(())
    })
}

/// Uniform keys of the subtask's key groups, with their hashes, as a batch would bring them.
fn records() -> Vec<(u64, u64)> {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut rows = Vec::with_capacity(RECORDS + BATCH);
    while rows.len() < RECORDS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let key = random % KEYS;
        let hash = key.key_hash();
        if KEY_GROUPS.contains(key_group(hash, MAX_PARALLELISM)) {
            rows.push((key, hash));
        }
    }
    rows
}

fn measure(
    name: &str,
    count: usize,
    run: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let start = now();
    run()?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name:44} {:>12.1} M/s {:>8.1} ns",
        count as f64 / seconds / 1e6,
        seconds * 1e9 / count as f64
    );
    Ok(())
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 =
        status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096.0 / 1e6
}
