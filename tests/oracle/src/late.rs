//! The late rule: decided row by row, within one file, by what came before in that file.

use crate::input::Row;

/// Splits a file's rows, in the file's order, into those that the rules see and the late ones.
///
/// A row is late when its event time < (the highest before it in the same file) - bound.
pub(crate) fn separate_late<R: Row>(rows: Vec<R>) -> (Vec<R>, Vec<R>) {
    let mut highest_ms = None;
    let mut in_time = Vec::new();
    let mut late = Vec::new();
    for row in rows {
        let time_ms = row.event_time_ms();
        let is_late = highest_ms.is_some_and(|highest| time_ms + R::BOUND_MS < highest);
        highest_ms = highest_ms.max(Some(time_ms));
        if is_late { &mut late } else { &mut in_time }.push(row);
    }
    (in_time, late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::personalisation::View;

    #[test]
    fn a_row_is_late_only_beyond_the_bound_behind_the_highest_row_before_it() {
        let times = [50_000, 40_000, 39_999, 60_000, 49_999, 50_000, 0, 1_000_000, 60_000];
        let rows = times
            .map(|event_time_ms| View {
                user_id: 1,
                event_time_ms,
                product_id: 1,
                category: String::new(),
            })
            .to_vec();
        let (in_time, late) = separate_late(rows);
        let times_of =
            |rows: Vec<View>| rows.iter().map(|row| row.event_time_ms).collect::<Vec<_>>();
        assert_eq!(times_of(in_time), [50_000, 40_000, 60_000, 50_000, 1_000_000]);
        assert_eq!(times_of(late), [39_999, 49_999, 0, 60_000]);
    }
}
