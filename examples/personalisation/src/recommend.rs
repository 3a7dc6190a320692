//! Recommendations: what others looked at most, in the hour before, in a user's best category.

use thalweg::prelude::*;
use thalweg::serde::Serialize;

use crate::in_order::Interest;
use crate::popular::{HOUR_MS, Ranking};

/// A line of JSON.
#[derive(Debug, Clone, Record, Serialize)]
#[serde(crate = "thalweg::serde")]
pub struct Recommendation {
    user_id: u64,
    event_time_ms: u64,
    category: String,
    products: Vec<u64>,
}

/// Joins interests with the ranking of the hour before, per category. An interest waits until
/// event time has reached it: then that hour's ranking is there, if there is one.
pub struct Recommend {
    /// Interests whose time hasn't come, by time and number.
    waiting: MapState<(u64, u64), Interest>,
    count: ValueState<u64>,
    /// Products by the end of the hour that they are the ranking of.
    rankings: MapState<i64, Vec<u64>>,
}

impl Recommend {
    /// Declares the state.
    pub fn open(open: &mut KeyedOpen<'_, String>) -> FunctionResult<Self> {
        Ok(Self {
            waiting: open.state.map_state("waiting")?,
            count: open.state.value_state("count")?,
            rankings: open.state.map_state("rankings")?,
        })
    }
}

impl KeyedCoProcessFunction<String, Interest, Ranking, Recommendation> for Recommend {
    fn process_first(
        &mut self,
        interest: Interest,
        context: &mut KeyedContext<'_, String>,
        _out: &mut Collector<'_, Recommendation>,
    ) -> FunctionResult {
        context.register_event_time_timer(interest.event_time_ms as i64)?;
        let number = {
            let mut count = self.count.get_or_insert_with(context, || 0)?;
            *count += 1;
            *count
        };
        self.waiting.put(context, (interest.event_time_ms, number), interest)?;
        Ok(())
    }

    fn process_second(
        &mut self,
        ranking: Ranking,
        context: &mut KeyedContext<'_, String>,
        _out: &mut Collector<'_, Recommendation>,
    ) -> FunctionResult {
        // Needed for the hour that follows, and not after it.
        context.register_event_time_timer(ranking.until_ms + HOUR_MS)?;
        self.rankings.put(context, ranking.until_ms, ranking.products)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        time: i64,
        _domain: TimeDomain,
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<'_, Recommendation>,
    ) -> FunctionResult {
        self.rankings.remove(context, &(time - HOUR_MS))?;
        let hour = time - time.rem_euclid(HOUR_MS);
        let products = self.rankings.get(context, &hour)?.cloned();
        let waiting = self.waiting.entries(context)?;
        let due = waiting.map(|(turn, _)| *turn).take_while(|turn| turn.0 as i64 <= time);
        let due: Vec<(u64, u64)> = due.collect();
        for turn in due {
            let interest = self.waiting.remove(context, &turn)?;
            if let (Some(interest), Some(products)) = (interest, &products) {
                out.collect(Recommendation {
                    user_id: interest.user_id,
                    event_time_ms: interest.event_time_ms,
                    category: interest.category,
                    products: products.clone(),
                });
            }
        }
        Ok(())
    }
}
