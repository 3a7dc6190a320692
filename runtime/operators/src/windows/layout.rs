//! How event time is cut into slices for tumbling and sliding windows.
//!
//! A slice is a stretch of time in which no window begins or ends, so a row is added to one
//! accumulator, its slice's, and a window is the merge of whole slices. Within a slide there are
//! two edges at most, a window's start and another's end: so a window of size 10 s sliding by 3 s
//! is at most 8 slices of 1 s and 2 s, where slices as long as the greatest common divisor could
//! be as many as there are milliseconds.

use super::{TimeWindow, WindowAssigner};

/// The cuts of one assigner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    size: i64,
    slide: i64,
    offset: i64,
    /// From a window's start to the end of an earlier one; 0 where ends are starts.
    rest: i64,
}

/// From `start` to `end`, `end` not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Layout {
    /// The cuts of tumbling and sliding windows, which must be valid.
    pub(super) fn new(assigner: &WindowAssigner) -> Option<Layout> {
        let (size, slide, offset) = match *assigner {
            WindowAssigner::Tumbling { size_ms, offset_ms } => (size_ms, size_ms, offset_ms),
            WindowAssigner::Sliding { size_ms, slide_ms, offset_ms } => {
                (size_ms, slide_ms, offset_ms)
            }
            WindowAssigner::Session { .. } => return None,
        };
        Some(Layout { size, slide, offset, rest: size % slide })
    }

    /// The windows' length.
    pub(super) fn size(&self) -> i64 {
        self.size
    }

    /// The slice that a time is in. None: it is in no window.
    #[inline]
    pub(super) fn slice(&self, timestamp: i64) -> Option<Slice> {
        let into = (timestamp - self.offset).rem_euclid(self.slide);
        let start = timestamp - into;
        if into < self.rest {
            Some(Slice { start, end: start + self.rest })
        } else if self.size < self.slide {
            None
        } else {
            Some(Slice { start: start + self.rest, end: start + self.slide })
        }
    }

    /// The end of the first window that a slice is in.
    pub(super) fn first_end(&self, slice: Slice) -> i64 {
        self.end_at_or_after(slice.end)
    }

    /// The end of the last window that a slice is in.
    pub(super) fn last_end(&self, slice: Slice) -> i64 {
        slice.start - (slice.start - self.offset).rem_euclid(self.slide) + self.size
    }

    /// The lowest end of a window that isn't below `time`.
    pub(super) fn end_at_or_after(&self, time: i64) -> i64 {
        time + (self.offset + self.rest - time).rem_euclid(self.slide)
    }

    /// The windows that a slice is in, by their ends.
    pub(super) fn windows(&self, slice: Slice) -> impl Iterator<Item = TimeWindow> + use<> {
        let (size, slide, last) = (self.size, self.slide, self.last_end(slice));
        let ends = std::iter::successors(Some(self.first_end(slice)), move |end| Some(end + slide));
        ends.take_while(move |end| *end <= last)
            .map(move |end| TimeWindow { start: end - size, end })
    }

    /// The slices that a window consists of.
    pub(super) fn slices(&self, window: TimeWindow) -> impl Iterator<Item = Slice> + use<> {
        let layout = *self;
        let slices =
            std::iter::successors(layout.slice(window.start), move |s| layout.slice(s.end));
        slices.take_while(move |slice| slice.end <= window.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_slice_is_in_exactly_the_windows_that_each_of_its_times_is_in(
            size in 1..40i64,
            slide in 1..40i64,
            shift in -39..40i64,
            timestamp in -200..200i64,
        ) {
            let offset = shift % slide;
            let assigner =
                WindowAssigner::Sliding { size_ms: size, slide_ms: slide, offset_ms: offset };
            let layout = Layout::new(&assigner).unwrap();
            let naive: Vec<_> = (-300..300)
                .filter(|start: &i64| (start - offset).rem_euclid(slide) == 0)
                .map(|start| TimeWindow { start, end: start + size })
                .filter(|window| window.start <= timestamp && timestamp < window.end)
                .collect();
            match layout.slice(timestamp) {
                None => prop_assert!(naive.is_empty()),
                Some(slice) => {
                    prop_assert!(slice.start <= timestamp && timestamp < slice.end);
                    prop_assert_eq!(layout.slice(slice.end - 1), Some(slice));
                    let windows: Vec<_> = layout.windows(slice).collect();
                    prop_assert_eq!(windows.last().map(|w| w.end), Some(layout.last_end(slice)));
                    for window in &windows {
                        let slices: Vec<_> = layout.slices(*window).collect();
                        prop_assert!(slices.contains(&slice));
                        prop_assert_eq!(slices[0].start, window.start);
                        prop_assert_eq!(slices.last().map(|s| s.end), Some(window.end));
                        prop_assert!(window.start <= slice.start && slice.end <= window.end);
                    }
                    prop_assert_eq!(windows, naive);
                }
            }
        }
    }

    #[test]
    fn slices_are_few_also_where_size_and_slide_have_no_common_divisor() {
        let layout = Layout::new(&WindowAssigner::sliding(10_000, 3_333)).unwrap();
        let mut ends: Vec<_> = (0..10_000).filter_map(|t| layout.slice(t)).map(|s| s.end).collect();
        ends.dedup();
        assert_eq!(ends, [1, 3_333, 3_334, 6_666, 6_667, 9_999, 10_000]);
    }
}
