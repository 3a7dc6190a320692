//! `allround troubled`: a small job without an end, to which one thing happens that an alert tells
//! of: `[--rate N] [--from MS] [--keys N] [--state BYTES] [--pause MS] [--fail-at N]`. Without
//! these all is well.
//!
//! Not here: what is done to it from outside, and which alerts that brings (`tests/kubernetes`).

use thalweg::prelude::*;

use crate::input::payload;

/// What happens to it.
#[derive(Debug, Clone, Copy)]
struct Troubles {
    /// Rows per second.
    rate: u64,
    /// The first row's event time in ms since 1970; time goes on as fast as rows come.
    from: i64,
    /// How many keys there are.
    keys: u64,
    /// Bytes that are remembered of each key.
    state: usize,
    /// How long each row takes.
    pause: Duration,
    /// The row with this number never gets through.
    fail_at: Option<u64>,
}

impl Troubles {
    fn of(args: &[String]) -> thalweg::Result<Self> {
        let names = ["rate", "from", "keys", "state", "pause", "fail-at"];
        let parameters = ParameterTool::from_args(args, &names)?;
        Ok(Self {
            rate: parameters.get_or("rate", 20)?,
            from: parameters.get_or("from", 0)?,
            keys: parameters.get_or("keys", 10)?,
            state: parameters.get_or("state", 0)?,
            pause: Duration::from_millis(parameters.get_or("pause", 0)?),
            fail_at: parameters.get("fail-at")?,
        })
    }

    fn time(&self, number: u64) -> i64 {
        self.from + (number * 1_000 / self.rate.max(1)) as i64
    }
}

/// Brings them about.
struct Trouble {
    kept: ValueState<String>,
    troubles: Troubles,
}

impl KeyedProcessFunction<u64, u64, u64> for Trouble {
    #[expect(clippy::disallowed_methods, reason = "being slow is what it is for")]
    fn process(
        &mut self,
        number: u64,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, u64>,
    ) -> FunctionResult {
        let Troubles { state, pause, fail_at, .. } = self.troubles;
        if fail_at == Some(number) {
            return Err(format!("row {number} is one too many").into());
        }
        if state > 0 && self.kept.get(context)?.is_none() {
            self.kept.set(context, payload(*context.key(), 0, state))?;
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        out.collect(number);
        Ok(())
    }
}

/// Describes and executes the job.
///
/// # Errors
/// The options are wrong, or the job fails.
pub fn run(env: &StreamExecutionEnvironment, args: &[String]) -> thalweg::Result {
    let troubles = Troubles::of(args)?;
    let rows = DataGenerator::new(|number| number);
    let time = WatermarkStrategy::monotonous_timestamps()
        .with_timestamps(move |number: &u64| troubles.time(*number));
    let options = SourceOptions::new(time).with_rate(Some(troubles.rate as f64));
    env.from_source(rows, options, "rows")
        .uid("rows")
        .key_by(move |number| number % troubles.keys.max(1))
        .process(move |open: &mut KeyedOpen<'_, u64>| {
            Ok(Trouble { kept: open.state.value_state("kept")?, troubles })
        })
        .name("trouble")
        .uid("trouble")
        .sink_to(BlackholeSink::new())
        .uid("output");
    env.execute("troubled")?;
    Ok(())
}
