//! Whether an entry was appended. Pure.
//!
//! 1. `Created`: it was. Whatever else the store said is an unknown outcome, also "it exists":
//!    a repeated request finds what its first try made, and some stores say so by mistake.
//! 2. After an unknown outcome read the place and the one after it.
//! 3. The same entry there: appended, even if another one follows.
//! 4. Another entry there: never appended, for the place is taken for good.
//! 5. Nothing there, but something after it: others went on; the writer is fenced.
//! 6. Nothing at either: write the same again. Not another entry, the first request may still be
//!    on its way.
//! 7. A claim counts only if its segment isn't sealed when that is read after the claim was
//!    written: in a sealed one it may have fallen into the gap of a deleted entry. A publish
//!    can't: what follows a leader's last entry is its own or a claim, which is never deleted.

use super::entry::EntryHeader;

/// What a store said about a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PutFact {
    /// Written.
    Created,
    /// It said that the place is taken.
    AlreadyExists,
    /// It failed, timed out or saw a conflict: written or not, or written later.
    Unknown,
}

/// What follows from a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AfterPut {
    /// It's there.
    Appended,
    /// Read the place and the one after it, then [`after_read_back`].
    ReadBack,
}

/// Rules 1 and 2.
pub fn after_put(fact: PutFact) -> AfterPut {
    match fact {
        PutFact::Created => AfterPut::Appended,
        PutFact::AlreadyExists | PutFact::Unknown => AfterPut::ReadBack,
    }
}

/// What follows from reading back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AfterReadBack {
    /// It's there.
    Appended,
    /// Another entry has the place; this one will never be in the log.
    Taken(EntryHeader),
    /// The log went on without it, or over it, with this entry.
    Overtaken(EntryHeader),
    /// Still unknown: write the same entry again.
    PutAgain,
}

/// Rules 3 to 6: `here` is what is at the entry's place, `next` at the one after it, read in this
/// order.
pub fn after_read_back(
    mine: &EntryHeader,
    here: Option<&EntryHeader>,
    next: Option<&EntryHeader>,
) -> AfterReadBack {
    match (here, next) {
        (Some(here), _) if here == mine => AfterReadBack::Appended,
        (Some(here), _) => AfterReadBack::Taken(*here),
        (None, Some(next)) => AfterReadBack::Overtaken(*next),
        (None, None) => AfterReadBack::PutAgain,
    }
}

/// Whether a claim that was appended makes a leader: rule 7. `sealed` is read after the claim
/// was written.
pub fn claim_counts(sealed: bool) -> bool {
    !sealed
}
