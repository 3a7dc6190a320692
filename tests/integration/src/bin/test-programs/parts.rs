//! A short source beside a long one, and an operator that keeps what the short one gave while
//! another one changes all of its state again and again: so the first one's small runs are soon
//! alone in objects that they shared, and tasks have finished long before the job.

use thalweg::prelude::*;

/// Keys of the state that changes; a row's key is its number modulo this.
const CHANGING_KEYS: u64 = 500;
/// Keys of the state that doesn't.
const STILL_KEYS: u64 = 50;
/// Rows of the short source.
const SHORT_ROWS: u64 = 200;

struct Totals {
    name: &'static str,
    /// From this row on its key's totals are written.
    written_from: u64,
    /// The number of the key's rows, their sum, and a text of the last one.
    totals: ValueState<(u64, u64, String)>,
}

/// A text that doesn't compress to nothing.
fn text(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut digits = String::new();
    for _ in 0..12 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        digits.push_str(&format!("{state:016x}"));
    }
    digits
}

impl KeyedProcessFunction<u64, u64, String> for Totals {
    fn process(
        &mut self,
        number: u64,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        let (rows, sum, _) = self.totals.get(context)?.cloned().unwrap_or_default();
        let (rows, sum) = (rows + 1, sum + number);
        self.totals.set(context, (rows, sum, text(number)))?;
        if number >= self.written_from {
            let written = if self.written_from == 0 { rows } else { sum };
            out.collect(format!("{} {} {written}", self.name, context.key()));
        }
        Ok(())
    }
}

fn totals(
    numbers: &DataStream<u64>,
    keys: u64,
    name: &'static str,
    written_from: u64,
) -> DataStream<String> {
    numbers
        .key_by(move |number| number % keys)
        .process(move |open: &mut KeyedOpen<'_, u64>| {
            Ok(Totals { name, written_from, totals: open.state.value_state("totals")? })
        })
        .name(name)
        .uid(name)
}

/// Writes "changing" with each row of the long source: its key and which of the key's rows it is;
/// and "still" with the long one's last rows, one for each key: the sum of these and of the short
/// source's rows. So the output doesn't depend on the order in which rows of a key arrive.
pub(crate) fn run(env: &StreamExecutionEnvironment, args: &[String]) -> thalweg::Result {
    let names = ["rows", "rate", "output", "parallelism"];
    let parameters = ParameterTool::from_args(args, &names)?;
    env.set_parallelism(parameters.require("parallelism")?);
    let rows: u64 = parameters.require("rows")?;
    let options = || SourceOptions::new(no_watermarks());
    let short = DataGenerator::new(|number| number).with_count(SHORT_ROWS);
    let short = env.from_source(short, options(), "short").uid("short");
    let long = DataGenerator::new(|number| number).with_count(rows);
    let options = options().with_rate(parameters.get("rate")?);
    let long = env.from_source(long, options, "long").uid("long");
    let last = long.filter(move |number| *number >= rows - STILL_KEYS).uid("last");
    let still = totals(&last.union(&[&short]), STILL_KEYS, "still", rows - STILL_KEYS);
    let changing = totals(&long, CHANGING_KEYS, "changing", 0);
    still
        .union(&[&changing])
        .sink_to(FileSink::new(parameters.require::<String>("output")?, RowFormat::lines()))
        .uid("output");
    env.execute("parts")?;
    Ok(())
}
