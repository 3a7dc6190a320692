//! Where the log ends. Pure: says what to look at next, is told what was there.
//!
//! 1. A listing is only a hint: it may be old, and it may lack or have too much.
//! 2. From the hint go upward to the first empty place.
//! 3. An empty place ends the log only if its segment isn't sealed. In a sealed one it may be a
//!    gap: go on at the next segment's start.
//! 4. A hint that leads to an empty place without an entry before it was wrong: begin at 0.
//!
//! Correct without any hint, as in a segment that isn't sealed nothing is ever deleted.

use super::entry::LogPosition;
use super::names::Segment;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchStep {
    /// Read this place, then [`TailSearch::entry`].
    ReadEntry(LogPosition),
    /// Read this seal, then [`TailSearch::seal`].
    ReadSeal(Segment),
    /// The log ends with the entry here; without one it's empty.
    Found(Option<LogPosition>),
    /// A segment is sealed, so the log goes on behind it, and there's nothing: it was damaged.
    Damaged(LogPosition),
}

/// A search under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TailSearch {
    segment_length: u64,
    place: LogPosition,
    came: Came,
    empty: bool,
    ended: bool,
}

/// How the search came to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Came {
    ByHint,
    FromStart,
    /// The entry before it was read.
    Upward,
    /// The segment before it is sealed.
    OverSeal,
}

impl TailSearch {
    /// A search that begins at the hint, the last entry of a listing for one.
    pub fn new(hint: Option<LogPosition>, segment_length: u64) -> TailSearch {
        let came = if hint.is_some() { Came::ByHint } else { Came::FromStart };
        let place = hint.unwrap_or_default();
        TailSearch { segment_length, place, came, empty: false, ended: false }
    }

    /// What to look at.
    pub fn step(&self) -> SearchStep {
        match (self.empty, self.ended, self.came) {
            (false, ..) => SearchStep::ReadEntry(self.place),
            (true, false, _) => SearchStep::ReadSeal(self.segment()),
            (true, true, Came::OverSeal) => SearchStep::Damaged(self.place),
            (true, true, _) => SearchStep::Found(self.place.0.checked_sub(1).map(LogPosition)),
        }
    }

    /// Tells whether there's an entry at the place that was asked for.
    #[must_use]
    pub fn entry(self, is_there: bool) -> TailSearch {
        if is_there {
            TailSearch { place: self.place.next(), came: Came::Upward, ..self }
        } else {
            TailSearch { empty: true, ..self }
        }
    }

    /// Tells whether the segment that was asked for is sealed.
    #[must_use]
    pub fn seal(self, is_there: bool) -> TailSearch {
        if is_there {
            let place = self.segment().next().start(self.segment_length);
            TailSearch { place, came: Came::OverSeal, empty: false, ..self }
        } else if self.came == Came::ByHint {
            TailSearch::new(None, self.segment_length)
        } else {
            TailSearch { ended: true, ..self }
        }
    }

    fn segment(&self) -> Segment {
        Segment::of(self.place, self.segment_length)
    }
}
