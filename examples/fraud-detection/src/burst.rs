//! The rule `burst`: more than five payments of an account in a minute.

use thalweg::prelude::*;

use crate::alert::Alert;
use crate::transaction::Transaction;

/// As many payments in a window are nothing special.
const USUAL: u64 = 5;

/// Counts payments.
pub struct CountPayments;

impl AggregateFunction<Transaction> for CountPayments {
    type Accumulator = u64;
    type Output = u64;

    fn create_accumulator(&self) -> u64 {
        0
    }

    fn add(&self, _payment: &Transaction, count: &mut u64) {
        *count += 1;
    }

    fn get_result(&self, count: &u64) -> u64 {
        *count
    }

    fn merge(&self, count: &mut u64, other: &u64) {
        *count += other;
    }
}

/// One alert for a window with too many.
pub fn alert(
    account_id: &u64,
    context: &WindowContext,
    counts: Elements<u64>,
    out: &mut Collector<'_, Alert>,
) -> FunctionResult {
    for count in counts.filter(|count| *count > USUAL) {
        out.collect(Alert {
            account_id: *account_id,
            rule: "burst".into(),
            event_time_ms: context.window().end as u64,
            transaction_id: None,
            count: Some(count),
        });
    }
    Ok(())
}
