//! The sessions of one key: a row opens one, extends one, or joins several. Pure. Not here: when
//! they fire.

use thalweg_core::Record;

use super::TimeWindow;

/// A session and what is gathered in it.
#[derive(Debug, Clone, PartialEq, Eq, Record)]
#[record(crate = "thalweg_core")]
pub(super) struct Session<A: Record> {
    /// From its first row to the gap after its last row.
    pub(super) window: TimeWindow,
    /// When it is looked at next: the time of a timer of its key. Rarely its end, which moves
    /// with every row: a timer that finds the end further on is set again.
    pub(super) timer: i64,
    /// What is gathered.
    pub(super) accumulator: A,
}

/// No timer is set.
pub(super) const NO_TIMER: i64 = i64::MAX;

/// Finds or makes the session for a row whose own window is `row`, in `sessions`, which are
/// ordered and don't touch each other. Sessions that the row joins become one; it keeps the
/// earliest of their timers. None: it would be a session of its own, and that would be `late`.
pub(super) fn place<A: Record>(
    sessions: &mut Vec<Session<A>>,
    row: TimeWindow,
    late: impl FnOnce(TimeWindow) -> bool,
    create: impl FnOnce() -> A,
    mut merge: impl FnMut(&mut A, &A),
) -> Option<usize> {
    let first = sessions.partition_point(|session| session.window.end < row.start);
    let touching = sessions[first..].iter().take_while(|s| s.window.touches(row)).count();
    if touching == 0 {
        if late(row) {
            return None;
        }
        let session = Session { window: row, timer: NO_TIMER, accumulator: create() };
        sessions.insert(first, session);
        return Some(first);
    }
    let (head, others) = sessions[first..first + touching].split_at_mut(1);
    let joined = &mut head[0];
    joined.window = joined.window.cover(row);
    for other in others {
        joined.window = joined.window.cover(other.window);
        joined.timer = joined.timer.min(other.timer);
        merge(&mut joined.accumulator, &other.accumulator);
    }
    sessions.drain(first + 1..first + touching);
    Some(first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted_and_merged(mut rows: Vec<i64>, gap: i64) -> Vec<(TimeWindow, i64)> {
        rows.sort_unstable();
        let mut sessions: Vec<(TimeWindow, i64)> = Vec::new();
        for row in rows {
            match sessions.last_mut() {
                Some((window, count)) if row <= window.end => {
                    window.end = row + gap;
                    *count += 1;
                }
                _ => sessions.push((TimeWindow { start: row, end: row + gap }, 1)),
            }
        }
        sessions
    }

    proptest! {
        #[test]
        fn rows_in_any_order_make_the_sessions_that_sorting_them_makes(
            rows in prop::collection::vec(-100..100i64, 0..60),
            gap in 1..12i64,
        ) {
            let mut sessions: Vec<Session<i64>> = Vec::new();
            for &start in &rows {
                let row = TimeWindow { start, end: start + gap };
                let at = place(&mut sessions, row, |_| false, || 0, |a, b| *a += b).unwrap();
                sessions[at].accumulator += 1;
            }
            let sessions: Vec<_> = sessions.iter().map(|s| (s.window, s.accumulator)).collect();
            prop_assert_eq!(sessions, sorted_and_merged(rows, gap));
        }
    }

    #[test]
    fn a_row_is_late_only_where_it_joins_nothing() {
        let window = |start, end| TimeWindow { start, end };
        let session =
            |start, end, timer| Session { window: window(start, end), timer, accumulator: 1 };
        let mut sessions = vec![session(0, 10, 20), session(30, 40, 15)];
        let mut put = |row| place(&mut sessions, row, |_| true, || 1, |a, b| *a += b);
        assert_eq!(put(window(11, 21)), None);
        assert_eq!(put(window(41, 51)), None);
        assert_eq!(put(window(10, 30)), Some(0));
        let joined = Session { window: window(0, 40), timer: 15, accumulator: 2 };
        assert_eq!(sessions, [joined]);
    }
}
