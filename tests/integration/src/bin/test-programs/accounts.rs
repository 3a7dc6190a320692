//! Keeps accounts in keyed state: one program, whose types are those of the version that its
//! arguments name. What it writes doesn't depend on the version, so a run that one version began
//! and another one ended must give what a single one would have.

mod versions;

use std::marker::PhantomData;

use thalweg::prelude::*;

use self::versions::Version;

/// The number of keys; a row's key is its number modulo this.
const KEYS: u64 = 40;

struct Keep<V: Version> {
    account: ValueState<V::Account>,
    movements: ListState<V::Movement>,
    by_digit: MapState<u8, V::Movement>,
    /// From this row on, values are written that only a later version knows.
    novel_from: Option<u64>,
    version: PhantomData<V>,
}

impl<V: Version> KeyedProcessFunction<V::AccountKey, u64, String> for Keep<V> {
    fn process(
        &mut self,
        number: u64,
        context: &mut KeyedContext<'_, V::AccountKey>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        let novel = self.novel_from.is_some_and(|from| number >= from);
        let before = self.account.get(context)?.map(V::cents);
        let key = number % KEYS;
        let cents = before.unwrap_or(0) + number;
        self.account.set(context, V::account(format!("owner {key}"), cents, novel))?;
        self.movements.add(context, V::movement(number))?;
        self.by_digit.put(context, (number / KEYS % 10) as u8, V::movement(number))?;
        let owner = self.account.get(context)?.map(V::owner).unwrap_or_default();
        let all: u64 = self.movements.get(context)?.iter().map(V::amount).sum();
        let mut latest = 0;
        for entry in self.by_digit.entries(context)? {
            latest += V::amount(entry.1);
        }
        out.collect(format!("{key} {owner:?} {cents} {all} {latest}"));
        Ok(())
    }
}

/// Writes, for each row, its account and what the other states make of the movements so far.
pub(crate) fn run(env: &StreamExecutionEnvironment, args: &[String]) -> thalweg::Result {
    let names = ["version", "rows", "rate", "novel-from", "output", "parallelism"];
    let parameters = ParameterTool::from_args(args, &names)?;
    match parameters.require::<String>("version")?.as_str() {
        "first" => describe::<versions::first::First>(env, &parameters),
        "second" => describe::<versions::second::Second>(env, &parameters),
        "without-default" => describe::<versions::refused::WithoutDefault>(env, &parameters),
        "retyped" => describe::<versions::refused::Retyped>(env, &parameters),
        "rekeyed" => describe::<versions::refused::Rekeyed>(env, &parameters),
        other => Err(format!("there is no version {other}").into()),
    }
}

fn describe<V: Version>(
    env: &StreamExecutionEnvironment,
    parameters: &ParameterTool,
) -> thalweg::Result {
    env.set_parallelism(parameters.require("parallelism")?);
    let novel_from: Option<u64> = parameters.get("novel-from")?;
    let rows = DataGenerator::new(|number| number).with_count(parameters.require("rows")?);
    let options = SourceOptions::new(no_watermarks()).with_rate(parameters.get("rate")?);
    env.from_source(rows, options, "rows")
        .uid("rows")
        .key_by(|number| V::key(number % KEYS))
        .process(move |open: &mut KeyedOpen<'_, V::AccountKey>| {
            Ok(Keep::<V> {
                account: open.state.value_state("account")?,
                movements: open.state.list_state("movements")?,
                by_digit: open.state.map_state("by digit")?,
                novel_from,
                version: PhantomData,
            })
        })
        .name("keep accounts")
        .uid("accounts")
        .sink_to(FileSink::new(parameters.require::<String>("output")?, RowFormat::lines()))
        .uid("output");
    env.execute("accounts")?;
    Ok(())
}
