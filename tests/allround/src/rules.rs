//! Broadcast state: rules that every subtask hears in their order and keeps.

use thalweg::prelude::*;

use crate::input::Row;
use crate::line::{self, ALERT};

/// Keeps all rules; the first subtask says which it has heard.
pub struct Rules {
    speaks: bool,
}

impl Rules {
    /// Its state is the broadcast one.
    ///
    /// # Errors
    /// None.
    pub fn open(open: &mut ProcessOpen<'_>) -> FunctionResult<Self> {
        Ok(Self { speaks: open.subtask.index == 0 })
    }
}

impl BroadcastProcessFunction<Row, u64, u64, u64, String> for Rules {
    fn process(
        &mut self,
        row: Row,
        rules: &BroadcastView<'_, u64, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        // A key's first row in a while looks at all of them.
        if row.sequence.is_multiple_of(50) {
            let count = rules.entries()?.count() as u64;
            let highest = rules.entries()?.last().map_or(0, |(number, _)| *number);
            if count != highest {
                out.collect(format!("{ALERT} {count} rules are known, up to {highest}"));
            }
        }
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        number: u64,
        rules: &mut BroadcastContext<'_, u64, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        if rules.get(&number)?.is_some() {
            out.collect(format!("{ALERT} rule {number} is heard twice"));
        }
        if number > 1 && rules.get(&(number - 1))?.is_none() {
            out.collect(format!("{ALERT} rule {number} is heard before the one before it"));
        }
        rules.put(number, number)?;
        if self.speaks {
            out.collect(line::rule(number));
        }
        Ok(())
    }
}
