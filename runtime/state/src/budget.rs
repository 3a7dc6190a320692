//! The memory that state may use: one budget for a slot, accounts that draw on it. Not here:
//! what a value costs, which its owner measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Accounts draw on the budget in steps of this many bytes, so that threads rarely meet there.
const STEP: usize = 64 * 1024;

/// A number of bytes that several operators, on several threads, share. Clones are the same
/// budget.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    drawn: AtomicUsize,
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> MemoryBudget {
        MemoryBudget(Arc::new(Inner { limit, drawn: AtomicUsize::new(0) }))
    }

    /// A budget that is never used up.
    pub fn unlimited() -> MemoryBudget {
        MemoryBudget::new(usize::MAX)
    }

    /// Its size in bytes.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Bytes drawn by all accounts together: what's used, rounded up by up to 64 KiB for each.
    pub fn drawn(&self) -> usize {
        self.0.drawn.load(Ordering::Relaxed)
    }

    /// Takes `bytes` at once, until what is returned is dropped; None if there aren't as many left.
    pub fn reserve(&self, bytes: usize) -> Option<Reservation> {
        self.draw(bytes).then(|| Reservation { bytes, budget: self.clone() })
    }

    fn draw(&self, bytes: usize) -> bool {
        let limit = self.0.limit;
        let drawn = |drawn: usize| drawn.checked_add(bytes).filter(|drawn| *drawn <= limit);
        self.0.drawn.fetch_update(Ordering::Relaxed, Ordering::Relaxed, drawn).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.drawn.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes of a budget that are given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: usize,
    budget: MemoryBudget,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// One operator's use of a budget.
#[derive(Debug)]
pub(crate) struct MemoryAccount {
    used: usize,
    drawn: usize,
    budget: MemoryBudget,
}

/// The budget doesn't hold what is used.
#[derive(Debug)]
pub(crate) struct Overdrawn {
    pub(crate) used: usize,
    pub(crate) limit: usize,
}

impl MemoryAccount {
    pub(crate) fn new(budget: MemoryBudget) -> MemoryAccount {
        MemoryAccount { used: 0, drawn: 0, budget }
    }

    /// An account of which nobody asks.
    pub(crate) fn uncharged() -> MemoryAccount {
        MemoryAccount::new(MemoryBudget::unlimited())
    }

    /// Uses another budget from now on.
    pub(crate) fn move_to(&mut self, budget: MemoryBudget) -> Result<(), Overdrawn> {
        self.budget.give_back(std::mem::take(&mut self.drawn));
        self.budget = budget;
        self.check()
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Notes that `after` bytes are used where `before` were. [`check`](Self::check) tells
    /// whether they may be.
    #[inline]
    pub(crate) fn change(&mut self, before: usize, after: usize) {
        self.used = (self.used + after).saturating_sub(before);
    }

    /// Whether the budget holds all that is used. Cheap: one comparison, most of the time.
    #[inline]
    pub(crate) fn check(&mut self) -> Result<(), Overdrawn> {
        if self.used <= self.drawn { Ok(()) } else { self.draw() }
    }

    /// Gives back what it has drawn and doesn't use, if that's much.
    pub(crate) fn give_back_unused(&mut self) {
        let keep = self.used.next_multiple_of(STEP);
        if self.drawn > keep + 4 * STEP {
            self.budget.give_back(self.drawn - keep);
            self.drawn = keep;
        }
    }

    #[cold]
    fn draw(&mut self) -> Result<(), Overdrawn> {
        let needed = self.used - self.drawn;
        for bytes in [needed.next_multiple_of(STEP), needed] {
            if self.budget.draw(bytes) {
                self.drawn += bytes;
                return Ok(());
            }
        }
        let others = self.budget.drawn().saturating_sub(self.drawn);
        Err(Overdrawn { used: self.used + others, limit: self.budget.limit() })
    }
}

impl Drop for MemoryAccount {
    fn drop(&mut self) {
        self.budget.give_back(self.drawn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_taken_whole_or_not_at_all_and_given_back() {
        let budget = MemoryBudget::new(100);
        let first = budget.reserve(60);
        assert!(first.is_some() && budget.reserve(41).is_none());
        assert_eq!(budget.drawn(), 60);
        let second = budget.reserve(40);
        drop(first);
        assert_eq!((budget.drawn(), second.is_some()), (40, true));
    }

    #[test]
    fn what_was_drawn_for_much_is_given_back_when_little_is_used() {
        let budget = MemoryBudget::new(10 * STEP);
        let mut account = MemoryAccount::new(budget.clone());
        account.change(0, 8 * STEP);
        assert!(account.check().is_ok());
        account.change(8 * STEP, STEP + 1);
        account.give_back_unused();
        assert_eq!(budget.drawn(), 2 * STEP);
        account.change(0, 2 * STEP);
        assert!(account.check().is_ok() && budget.drawn() > 3 * STEP);
        account.give_back_unused();
        drop(account);
        assert_eq!(budget.drawn(), 0);
    }

    #[test]
    fn accounts_share_a_budget_and_give_back_what_they_drew() {
        let budget = MemoryBudget::new(100_000);
        let mut first = MemoryAccount::new(budget.clone());
        let mut second = MemoryAccount::new(budget.clone());
        first.change(0, 60_000);
        assert!(first.check().is_ok());
        second.change(0, 34_464);
        assert!(second.check().is_ok(), "the exact rest can be drawn");
        second.change(0, 1);
        let overdrawn = second.check().unwrap_err();
        assert_eq!((overdrawn.used, overdrawn.limit), (100_001, 100_000));
        drop(first);
        assert!(second.check().is_ok());
        drop(second);
        assert_eq!(budget.drawn(), 0);
    }
}
