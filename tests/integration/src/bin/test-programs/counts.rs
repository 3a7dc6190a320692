//! Counts rows per key in keyed state, and panics at a given row: always, or once.

use std::fs::OpenOptions;
use std::path::PathBuf;

use thalweg::prelude::*;

/// The number of keys; a row's key is its number modulo this.
const KEYS: u64 = 100;

struct Count {
    count: ValueState<u64>,
    fail_at: Option<u64>,
    /// With it, only who can create this file fails.
    once: Option<PathBuf>,
}

#[expect(clippy::panic, reason = "this is what the tests want to see")]
fn fail(number: u64) {
    panic!("row {number} is too much");
}

impl KeyedProcessFunction<u64, u64, String> for Count {
    fn process(
        &mut self,
        number: u64,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        if self.fail_at == Some(number) && self.is_turn() {
            fail(number);
        }
        let count = self.count.get(context)?.copied().unwrap_or(0) + 1;
        self.count.set(context, count)?;
        let key = context.key();
        out.collect(format!("{key} {count}"));
        Ok(())
    }
}

impl Count {
    fn is_turn(&self) -> bool {
        let Some(file) = &self.once else { return true };
        OpenOptions::new().write(true).create_new(true).open(file).is_ok()
    }
}

/// Writes each key's counts, from 1 to the number of its rows.
pub(crate) fn run(env: &StreamExecutionEnvironment, args: &[String]) -> thalweg::Result {
    let names = ["rows", "rate", "fail-at", "once", "output", "parallelism"];
    let parameters = ParameterTool::from_args(args, &names)?;
    env.set_parallelism(parameters.require("parallelism")?);
    let fail_at: Option<u64> = parameters.get("fail-at")?;
    let once: Option<PathBuf> = parameters.get("once")?;
    let rows = DataGenerator::new(|number| number).with_count(parameters.require("rows")?);
    let options = SourceOptions::new(no_watermarks()).with_rate(parameters.get("rate")?);
    env.from_source(rows, options, "rows")
        .uid("rows")
        .key_by(|number| number % KEYS)
        .process(move |open: &mut KeyedOpen<'_, u64>| {
            let count = open.state.value_state("count")?;
            Ok(Count { count, fail_at, once: once.clone() })
        })
        .name("fragile count")
        .uid("count")
        .sink_to(FileSink::new(parameters.require::<String>("output")?, RowFormat::lines()))
        .uid("output");
    env.execute("counts")?;
    Ok(())
}
