//! What the job must output, computed from all rows at once. Shares nothing with the engine but the
//! rows and the meaning of a window.

use std::collections::BTreeMap;

use crate::input::Input;
use crate::job::{SESSION_GAP_MS, SLIDE_MS, WINDOW_MS};
use crate::line;
use crate::sequence::{BUCKET_MS, CHUNK};
use crate::tally::KINDS;

/// The lines, ascending.
pub fn expected(input: Input) -> Vec<String> {
    let mut keys: BTreeMap<u64, Vec<(i64, u64)>> = BTreeMap::new();
    let (mut lines, mut sum) = (Vec::new(), 0);
    for row in (0..input.rows).map(|number| input.row(number)) {
        keys.entry(row.key).or_default().push((row.time, row.value));
        lines.push(line::settled(row.key, row.sequence));
        sum += row.value;
    }
    for (&key, rows) in &keys {
        chunks(key, rows, &mut lines);
        buckets(key, rows, &mut lines);
        windows(key, rows, &mut lines);
        sessions(key, rows, &mut lines);
    }
    lines.extend(KINDS.iter().map(|kind| line::total(kind, input.rows, sum)));
    lines.extend((1..=input.rules()).map(line::rule));
    lines.sort_unstable();
    lines
}

fn chunks(key: u64, rows: &[(i64, u64)], lines: &mut Vec<String>) {
    for end in (CHUNK..=rows.len()).step_by(CHUNK) {
        let all: Vec<u64> = rows[..end].iter().map(|row| row.1).collect();
        let (highest, sum) = (all.iter().max().copied().unwrap_or(0), all.iter().sum::<u64>());
        let chunk = &all[end - CHUNK..];
        lines.push(line::chunk(key, end as u64, chunk, highest, sum / end as u64));
    }
}

fn buckets(key: u64, rows: &[(i64, u64)], lines: &mut Vec<String>) {
    let mut buckets: BTreeMap<i64, BTreeMap<u64, u64>> = BTreeMap::new();
    for &(time, value) in rows {
        let end = (time / BUCKET_MS + 1) * BUCKET_MS;
        *buckets.entry(end).or_default().entry(value % 5).or_insert(0) += 1;
    }
    lines.extend(buckets.iter().map(|(&end, counts)| line::bucket(key, end, counts)));
}

fn windows(key: u64, rows: &[(i64, u64)], lines: &mut Vec<String>) {
    let mut windows: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    for &(time, value) in rows {
        let mut start = time / SLIDE_MS * SLIDE_MS;
        while start > time - WINDOW_MS {
            let (count, sum) = windows.entry(start).or_default();
            (*count, *sum) = (*count + 1, *sum + value);
            start -= SLIDE_MS;
        }
    }
    lines.extend(windows.iter().map(|(&start, &(n, sum))| line::window(key, start, n, sum)));
}

fn sessions(key: u64, rows: &[(i64, u64)], lines: &mut Vec<String>) {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    let mut sessions: Vec<(i64, i64, u64, u64)> = Vec::new();
    for (time, value) in rows {
        match sessions.last_mut().filter(|(_, end, ..)| time <= *end) {
            Some((_, end, count, sum)) => {
                *end = time + SESSION_GAP_MS;
                (*count, *sum) = (*count + 1, *sum + value);
            }
            None => sessions.push((time, time + SESSION_GAP_MS, 1, value)),
        }
    }
    lines.extend(
        sessions.iter().map(|&(start, end, n, sum)| line::session(key, start, end, n, sum)),
    );
}
