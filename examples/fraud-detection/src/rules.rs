//! The rules about two directly consecutive payments of an account.

use thalweg::prelude::*;

use crate::alert::Alert;
use crate::transaction::Transaction;

/// A payment below this, then ...
const SMALL_CENTS: u64 = 100;
/// ... one above this, ...
const LARGE_CENTS: u64 = 50_000;
/// ... within this: somebody has tried the card first.
const TRIED_MS: u64 = 60_000;
/// Two places in less than this: nobody travels so fast.
const TRAVEL_MS: u64 = 600_000;

/// Brings an account's payments into the order of event time, then id, and compares each with the
/// one before it.
pub struct ConsecutivePayments {
    /// Payments whose turn hasn't come, by time and id.
    waiting: MapState<(u64, u64), Transaction>,
    last: ValueState<Transaction>,
}

impl ConsecutivePayments {
    /// Declares the state.
    pub fn open(open: &mut KeyedOpen<'_, u64>) -> FunctionResult<Self> {
        let waiting = open.state.map_state("waiting")?;
        Ok(Self { waiting, last: open.state.value_state("last")? })
    }
}

/// The rules that `payment`, directly after `last`, breaks.
fn broken(last: &Transaction, payment: &Transaction) -> impl Iterator<Item = &'static str> {
    let apart_ms = payment.event_time_ms - last.event_time_ms;
    let small = last.amount_cents < SMALL_CENTS && payment.amount_cents > LARGE_CENTS;
    let small_then_large = (small && apart_ms <= TRIED_MS).then_some("small_then_large");
    let elsewhere = last.location != payment.location && apart_ms < TRAVEL_MS;
    small_then_large.into_iter().chain(elsewhere.then_some("impossible_travel"))
}

impl KeyedProcessFunction<u64, Transaction, Alert> for ConsecutivePayments {
    fn process(
        &mut self,
        payment: Transaction,
        context: &mut KeyedContext<'_, u64>,
        _out: &mut Collector<'_, Alert>,
    ) -> FunctionResult {
        context.register_event_time_timer(payment.event_time_ms as i64)?;
        self.waiting.put(context, (payment.event_time_ms, payment.transaction_id), payment)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        time: i64,
        _domain: TimeDomain,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, Alert>,
    ) -> FunctionResult {
        let waiting = self.waiting.entries(context)?;
        let due: Vec<(u64, u64)> =
            waiting.map(|(turn, _)| *turn).take_while(|turn| turn.0 as i64 <= time).collect();
        for turn in due {
            let Some(payment) = self.waiting.remove(context, &turn)? else { continue };
            if let Some(last) = self.last.get(context)? {
                for rule in broken(last, &payment) {
                    out.collect(Alert {
                        account_id: payment.account_id,
                        rule: rule.into(),
                        event_time_ms: payment.event_time_ms,
                        transaction_id: Some(payment.transaction_id),
                        count: None,
                    });
                }
            }
            self.last.set(context, payment)?;
        }
        Ok(())
    }
}
