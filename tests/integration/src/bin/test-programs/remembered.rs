//! Puts values into state with a short and with a long time to live, lets rows pass for a while,
//! and asks for the values at the end: what has expired meanwhile is said to be gone.

use thalweg::prelude::*;

/// The number of keys; the first so many rows put a value for each of them, the last ask for it.
const KEYS: u64 = 40;

/// State of one time to live.
struct Lived {
    value: ValueState<u64, TimeToLive>,
    list: ListState<u64, TimeToLive>,
    map: MapState<u64, u64, TimeToLive>,
}

impl Lived {
    fn open(
        open: &mut KeyedOpen<'_, u64>,
        time: Duration,
        names: [&str; 3],
    ) -> FunctionResult<Self> {
        let mut state = open.state.with_time_to_live(StateTtlConfig::new(time));
        let [value, list, map] = names;
        Ok(Self {
            value: state.value_state(value)?,
            list: state.list_state(list)?,
            map: state.map_state(map)?,
        })
    }

    fn put(&mut self, number: u64, context: &mut KeyedContext<'_, u64>) -> FunctionResult {
        self.value.set(context, number)?;
        self.list.add(context, number)?;
        self.map.put(context, number, number)?;
        Ok(())
    }

    /// How much of it is there: up to three.
    fn there(&mut self, context: &mut KeyedContext<'_, u64>) -> FunctionResult<u64> {
        let value = u64::from(self.value.get(context)?.is_some());
        let list = self.list.get(context)?.len() as u64;
        let map = self.map.entries(context)?.count() as u64;
        Ok(value + list + map)
    }
}

struct Remember {
    short: Lived,
    long: Lived,
    rows: u64,
}

impl KeyedProcessFunction<u64, u64, String> for Remember {
    fn process(
        &mut self,
        number: u64,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        if number < KEYS {
            self.short.put(number, context)?;
            self.long.put(number, context)?;
        } else if number >= self.rows - KEYS {
            let (key, short, long) =
                (*context.key(), self.short.there(context)?, self.long.there(context)?);
            out.collect(format!("{key} short {short} long {long}"));
        }
        Ok(())
    }
}

/// Writes, for each key, how much of its three values of each time to live is there at the end.
pub(crate) fn run(env: &StreamExecutionEnvironment, args: &[String]) -> thalweg::Result {
    let names = ["rows", "rate", "short-ms", "output", "parallelism"];
    let parameters = ParameterTool::from_args(args, &names)?;
    env.set_parallelism(parameters.require("parallelism")?);
    let short = Duration::from_millis(parameters.require("short-ms")?);
    let long = Duration::from_secs(24 * 60 * 60);
    let rows: u64 = parameters.require("rows")?;
    let numbers = DataGenerator::new(|number| number).with_count(rows);
    let options = SourceOptions::new(no_watermarks()).with_rate(parameters.get("rate")?);
    env.from_source(numbers, options, "rows")
        .uid("rows")
        .key_by(|number| number % KEYS)
        .process(move |open: &mut KeyedOpen<'_, u64>| {
            let short = Lived::open(open, short, ["short value", "short list", "short map"])?;
            let long = Lived::open(open, long, ["long value", "long list", "long map"])?;
            Ok(Remember { short, long, rows })
        })
        .name("remember")
        .uid("remember")
        .sink_to(FileSink::new(parameters.require::<String>("output")?, RowFormat::lines()))
        .uid("output");
    env.execute("remembered")?;
    Ok(())
}
