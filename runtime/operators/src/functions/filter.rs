//! Keeps some rows.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::{Batch, Record};

use crate::contract::{Operator, OperatorError, Output, RunContext};

/// Keeps the rows for which a function is true.
#[derive(Debug)]
pub struct Filter<T, F> {
    predicate: Arc<F>,
    /// One flag a row; kept from batch to batch for its memory.
    keep: Vec<bool>,
    rows: PhantomData<fn(T)>,
}

impl<T, F> Filter<T, F> {
    /// Keeps what `predicate` says.
    pub fn new(predicate: Arc<F>) -> Self {
        Self { predicate, keep: Vec::new(), rows: PhantomData }
    }
}

/// Values up to this size are moved whether they stay or not.
const SMALL_BYTES: usize = 32;

/// Keeps the values whose flag is true, in their order.
fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
    if size_of::<T>() > SMALL_BYTES {
        let mut flags = keep.iter();
        return values.retain(|_| flags.next().copied().unwrap_or(false));
    }
    // No branch depends on a flag: one that can't be foreseen costs as much as many moves. Values
    // that go stand between those that stay and those to come.
    let mut kept = 0;
    for (at, keep) in keep.iter().enumerate().take(values.len()) {
        values.swap(kept, at);
        kept += usize::from(*keep);
    }
    values.truncate(kept);
}

impl<T: Record, F: Fn(&T) -> bool + Send + Sync> Operator for Filter<T, F> {
    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (mut values, mut columns) = batch.take_parts::<T>()?;
        self.keep.clear();
        self.keep.extend(values.iter().map(|v| (self.predicate)(v)));
        if self.keep.contains(&false) {
            retain(&mut values, &self.keep);
            columns.retain(&self.keep);
        }
        output.emit_rows(values, columns);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::retain;

    fn check<T: Clone + PartialEq + Debug>(of: impl Fn(u64) -> T) {
        // All patterns of eight flags.
        for pattern in 0..256_u64 {
            let keep: Vec<bool> = (0..8).map(|at| pattern >> at & 1 == 1).collect();
            let mut values: Vec<T> = (0..8).map(&of).collect();
            retain(&mut values, &keep);
            let expected = (0..8).filter(|at| keep[*at as usize]).map(&of);
            assert_eq!(values, expected.collect::<Vec<_>>(), "{pattern:08b}");
        }
    }

    #[test]
    fn what_stays_keeps_its_order_whatever_its_size() {
        check(|n| n);
        check(|n| n.to_string());
        check(|n| [n; 9]);
    }
}
