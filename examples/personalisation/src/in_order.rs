//! A user's interests: events in order, scores since the beginning.

use thalweg::prelude::*;

use crate::event::Event;

/// A user has viewed a product of what was then their best category.
#[derive(Debug, Clone, Record)]
pub struct Interest {
    /// Who.
    pub user_id: u64,
    /// When: ms since 1970.
    pub event_time_ms: u64,
    /// Their best category.
    pub category: String,
}

/// An event's turn: by time, purchases before views, product, category. The last part tells equal
/// events apart.
type Turn = (u64, bool, u64, String, u64);

/// Brings a user's events into order and finds views of their best category.
pub struct BestCategory {
    waiting: MapState<Turn, Event>,
    /// How many events have come, to tell equal ones apart.
    count: ValueState<u64>,
    scores: MapState<String, u64>,
}

impl BestCategory {
    /// Declares the state.
    pub fn open(open: &mut KeyedOpen<'_, u64>) -> FunctionResult<Self> {
        Ok(Self {
            waiting: open.state.map_state("waiting")?,
            count: open.state.value_state("count")?,
            scores: open.state.map_state("scores")?,
        })
    }

    /// The category with the highest score, ties by name.
    fn best(&self, context: &mut KeyedContext<'_, u64>) -> FunctionResult<Option<String>> {
        let scores = self.scores.entries(context)?;
        let best = scores.max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0)));
        Ok(best.map(|(category, _)| category.clone()))
    }
}

impl KeyedProcessFunction<u64, Event, Interest> for BestCategory {
    fn process(
        &mut self,
        event: Event,
        context: &mut KeyedContext<'_, u64>,
        _out: &mut Collector<'_, Interest>,
    ) -> FunctionResult {
        context.register_event_time_timer(event.event_time_ms as i64)?;
        let number = {
            let mut count = self.count.get_or_insert_with(context, || 0)?;
            *count += 1;
            *count
        };
        let viewed = event.bought_for_cents.is_none();
        let category = event.category.clone();
        let turn = (event.event_time_ms, viewed, event.product_id, category, number);
        self.waiting.put(context, turn, event)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        time: i64,
        _domain: TimeDomain,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, Interest>,
    ) -> FunctionResult {
        let waiting = self.waiting.entries(context)?;
        let due = waiting.map(|(turn, _)| turn).take_while(|turn| turn.0 as i64 <= time);
        let due: Vec<Turn> = due.cloned().collect();
        for turn in due {
            let Some(event) = self.waiting.remove(context, &turn)? else { continue };
            let score = event.score();
            *self.scores.get_or_insert_with(context, event.category.clone(), || 0)? += score;
            let viewed = event.bought_for_cents.is_none();
            if viewed && self.best(context)?.as_ref() == Some(&event.category) {
                let Event { user_id, event_time_ms, category, .. } = event;
                out.collect(Interest { user_id, event_time_ms, category });
            }
        }
        Ok(())
    }
}
