//! What the job must output, computed from all rows at once by plain loops. Shares nothing with
//! the engine but the rows and the meaning of a window.

use std::collections::BTreeMap;

use crate::rows::{LATE, Rows};
use crate::workload::{BUCKET_MS, CHUNK, SLIDE_MS, WINDOW_MS, line};

/// The lines, ascending.
pub fn expected(rows: &Rows, parallelism: u32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut chunks: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut buckets: BTreeMap<(u64, i64), BTreeMap<u64, u64>> = BTreeMap::new();
    let mut windows: BTreeMap<(u64, i64), (u64, u64)> = BTreeMap::new();
    let mut joins: BTreeMap<(u64, i64), (u64, u64, u64, u64)> = BTreeMap::new();
    for &(key, sequence, time, value) in &rows.events {
        if sequence == LATE {
            lines.push(line::late(key, time, value));
            continue;
        }
        let chunk = chunks.entry(key).or_default();
        chunk.push(value);
        if chunk.len() == CHUNK {
            lines.push(line::chunk(key, sequence, chunk));
            chunk.clear();
        }
        let bucket = (time / BUCKET_MS + 1) * BUCKET_MS;
        *buckets.entry((key, bucket)).or_default().entry(value % 5).or_insert(0) += 1;
        let mut start = time / SLIDE_MS * SLIDE_MS;
        while start > time - WINDOW_MS {
            let window = windows.entry((key, start)).or_default();
            *window = (window.0 + 1, window.1 + value);
            start -= SLIDE_MS;
        }
        let join = joins.entry((key, bucket)).or_default();
        *join = (join.0 + 1, join.1 + value, join.2, join.3);
    }
    for &(key, time, weight) in &rows.marks {
        let bucket = (time / BUCKET_MS + 1) * BUCKET_MS;
        let join = joins.entry((key, bucket)).or_default();
        *join = (join.0, join.1, join.2 + 1, join.3 + weight);
        for _ in 0..parallelism {
            lines.push(line::heard(key, time, weight));
        }
    }
    lines.extend((0..rows.numbers).map(line::number));
    lines.extend(buckets.iter().map(|(&(key, end), counts)| line::bucket(key, end, counts)));
    lines.extend(windows.iter().map(|(&(key, start), &(n, sum))| line::window(key, start, n, sum)));
    lines.extend(joins.iter().map(|(&(key, end), &sums)| line::join(key, end, sums)));
    lines.sort_unstable();
    lines
}
