//! Which windows a row is in: a rule as plain data, checked before anything runs. Not here: how
//! rows are kept until a window fires.

use super::TimeWindow;
use super::layout::Layout;

/// Which windows a row is in. All times are milliseconds of event time; windows begin at
/// multiples of their size (or slide) since 1970, shifted by the offset.
///
/// ```
/// use thalweg_operators::windows::{TimeWindow, WindowAssigner};
///
/// let assigner = WindowAssigner::sliding(10_000, 5_000);
/// let windows = assigner.windows(12_345).unwrap();
/// assert_eq!(windows, [
///     TimeWindow { start: 5_000, end: 15_000 },
///     TimeWindow { start: 10_000, end: 20_000 },
/// ]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowAssigner {
    /// Windows of one size, one after the other.
    Tumbling {
        /// The windows' length.
        size_ms: i64,
        /// Shifts all windows.
        offset_ms: i64,
    },
    /// Windows of one size, one every slide. A slide above the size leaves gaps: rows in them
    /// are in no window.
    Sliding {
        /// The windows' length.
        size_ms: i64,
        /// From one window's start to the next one's.
        slide_ms: i64,
        /// Shifts all windows.
        offset_ms: i64,
    },
    /// Per key, rows that are at most `gap_ms` apart are in one window. It ends `gap_ms` after
    /// its last row.
    Session {
        /// How long a key is silent before its session ends.
        gap_ms: i64,
    },
}

/// No size, slide, gap or lateness is above this (some 73 million years), so that no sum of them
/// and a timestamp overflows.
pub const DURATION_MS_MAX: i64 = i64::MAX / 4;

/// Windows can't be made as they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A duration is zero or negative, or far too long.
    #[error("the {what} of a window is {value} ms: give a duration between 1 ms and {max} ms")]
    Duration {
        /// Which one.
        what: &'static str,
        /// What was given.
        value: i64,
        /// The longest.
        max: i64,
    },
    /// The offset shifts by a whole window or more.
    #[error(
        "the offset of a window is {offset_ms} ms, which isn't below its {what} of {period_ms} \
         ms: windows repeat, so give the remainder of the division by it"
    )]
    Offset {
        /// The offset.
        offset_ms: i64,
        /// Size or slide.
        what: &'static str,
        /// The size or the slide.
        period_ms: i64,
    },
    /// The allowed lateness is negative, or far too long.
    #[error("the allowed lateness is {value} ms: give a duration between 0 and {max} ms")]
    Lateness {
        /// What was given.
        value: i64,
        /// The longest.
        max: i64,
    },
    /// Sessions were given to the operator of tumbling and sliding windows.
    #[error("session windows have no slices: they are run by SessionWindows (window_operator)")]
    NotSliced,
    /// A row has no event time.
    #[error(
        "a row without a timestamp reached a window in event time: give its stream a watermark \
         strategy with timestamps, at the source or by assign_timestamps_and_watermarks"
    )]
    NoTimestamp,
    /// A row's event time is too far away.
    #[error(
        "a row with the timestamp {timestamp} reached a window: timestamps are ms since 1970, \
         and at most {DURATION_MS_MAX} away from it; look at the stream's timestamp function"
    )]
    Timestamp {
        /// The timestamp.
        timestamp: i64,
    },
}

impl WindowAssigner {
    /// Tumbling windows without an offset.
    pub const fn tumbling(size_ms: i64) -> Self {
        Self::Tumbling { size_ms, offset_ms: 0 }
    }

    /// Sliding windows without an offset.
    pub const fn sliding(size_ms: i64, slide_ms: i64) -> Self {
        Self::Sliding { size_ms, slide_ms, offset_ms: 0 }
    }

    /// Session windows.
    pub const fn session(gap_ms: i64) -> Self {
        Self::Session { gap_ms }
    }

    /// Whether such windows can be made.
    ///
    /// # Errors
    /// A duration that isn't positive, or an offset of a whole window or more.
    pub fn validate(&self) -> Result<(), WindowError> {
        let duration = |what, value| match value {
            1..=DURATION_MS_MAX => Ok(()),
            _ => Err(WindowError::Duration { what, value, max: DURATION_MS_MAX }),
        };
        let offset = |offset_ms: i64, what, period_ms: i64| {
            let fits = offset_ms.unsigned_abs() < period_ms.unsigned_abs();
            fits.then_some(()).ok_or(WindowError::Offset { offset_ms, what, period_ms })
        };
        match *self {
            Self::Tumbling { size_ms, offset_ms } => {
                duration("size", size_ms)?;
                offset(offset_ms, "size", size_ms)
            }
            Self::Sliding { size_ms, slide_ms, offset_ms } => {
                duration("size", size_ms)?;
                duration("slide", slide_ms)?;
                offset(offset_ms, "slide", slide_ms)
            }
            Self::Session { gap_ms } => duration("gap", gap_ms),
        }
    }

    /// The windows that a row with this timestamp is in, by their ends. For sessions: the window
    /// of the row alone, before it is merged with others.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), or a timestamp beyond [`DURATION_MS_MAX`].
    pub fn windows(&self, timestamp: i64) -> Result<Vec<TimeWindow>, WindowError> {
        self.validate()?;
        let start = check_timestamp(Some(timestamp))?;
        match *self {
            Self::Session { gap_ms } => Ok(vec![TimeWindow { start, end: start + gap_ms }]),
            Self::Tumbling { .. } | Self::Sliding { .. } => {
                let Some(layout) = Layout::new(self) else { return Ok(Vec::new()) };
                let slice = layout.slice(timestamp);
                Ok(slice.map_or_else(Vec::new, |slice| layout.windows(slice).collect()))
            }
        }
    }
}

/// The event time of a row that windows can work with.
#[inline]
pub(super) fn check_timestamp(timestamp: Option<i64>) -> Result<i64, WindowError> {
    match timestamp {
        Some(timestamp) if timestamp.unsigned_abs() <= DURATION_MS_MAX as u64 => Ok(timestamp),
        // What a batch has for a row without a timestamp when others have one.
        None | Some(i64::MIN) => Err(WindowError::NoTimestamp),
        Some(timestamp) => Err(WindowError::Timestamp { timestamp }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: i64, end: i64) -> TimeWindow {
        TimeWindow { start, end }
    }

    #[test]
    fn windows_are_aligned_to_the_epoch_also_before_it() {
        let cases = [
            (WindowAssigner::tumbling(10), 0, vec![window(0, 10)]),
            (WindowAssigner::tumbling(10), 9, vec![window(0, 10)]),
            (WindowAssigner::tumbling(10), 10, vec![window(10, 20)]),
            (WindowAssigner::tumbling(10), -1, vec![window(-10, 0)]),
            (WindowAssigner::tumbling(10), -10, vec![window(-10, 0)]),
            (WindowAssigner::Tumbling { size_ms: 10, offset_ms: 3 }, 2, vec![window(-7, 3)]),
            (WindowAssigner::Tumbling { size_ms: 10, offset_ms: -3 }, -3, vec![window(-3, 7)]),
            (WindowAssigner::sliding(10, 4), 9, vec![window(0, 10), window(4, 14), window(8, 18)]),
            (WindowAssigner::sliding(10, 4), 11, vec![window(4, 14), window(8, 18)]),
            (WindowAssigner::sliding(4, 10), 3, vec![window(0, 4)]),
            (WindowAssigner::sliding(4, 10), 4, vec![]),
            (WindowAssigner::session(10), -5, vec![window(-5, 5)]),
        ];
        for (assigner, timestamp, expected) in cases {
            assert_eq!(assigner.windows(timestamp), Ok(expected), "{assigner:?} {timestamp}");
        }
    }

    #[test]
    fn durations_that_make_no_windows_are_refused() {
        for (assigner, part) in [
            (WindowAssigner::tumbling(0), "size"),
            (WindowAssigner::tumbling(i64::MAX), "size"),
            (WindowAssigner::sliding(-1, 1), "size"),
            (WindowAssigner::sliding(1, 0), "slide"),
            (WindowAssigner::session(0), "gap"),
            (WindowAssigner::Tumbling { size_ms: 5, offset_ms: 5 }, "remainder"),
            (WindowAssigner::Sliding { size_ms: 9, slide_ms: 3, offset_ms: -3 }, "remainder"),
            (WindowAssigner::Sliding { size_ms: 9, slide_ms: 3, offset_ms: i64::MIN }, "remainder"),
        ] {
            let error = assigner.validate().unwrap_err().to_string();
            assert!(error.contains(part), "{assigner:?}: {error}");
        }
    }

    #[test]
    fn timestamps_out_of_range_are_refused() {
        let assigner = WindowAssigner::tumbling(10);
        assert_eq!(assigner.windows(i64::MIN), Err(WindowError::NoTimestamp));
        let far = DURATION_MS_MAX + 1;
        assert_eq!(assigner.windows(far), Err(WindowError::Timestamp { timestamp: far }));
        assert!(assigner.windows(-DURATION_MS_MAX).is_ok());
    }
}
