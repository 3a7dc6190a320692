//! Two jobs, of which the second one depends on the first one's result, in what its function does
//! and in the shape of its graph.

use thalweg::prelude::*;

/// Finds the highest number, then writes the ten highest, each with that number and with the
/// process that the value of `env.once` is from.
pub(crate) fn run(env: &StreamExecutionEnvironment, args: &[String]) -> thalweg::Result {
    let parameters = ParameterTool::from_args(args, &["output", "parallelism"])?;
    env.set_parallelism(parameters.require("parallelism")?);
    let process = env.once("process", || Ok(std::process::id()))?;
    let numbers = || {
        let numbers = DataGenerator::new(|number| number * 7 % 1_000).with_count(1_000);
        env.from_source(numbers, no_watermarks(), "numbers")
    };
    let rising = numbers().key_by(|number| number % 10).reduce(u64::max).execute_and_collect()?;
    let highest = rising.into_iter().max().ok_or("the first job gave nothing")?;
    let output = FileSink::new(parameters.require::<String>("output")?, RowFormat::lines());
    numbers()
        .filter(move |number| number + 10 > highest)
        .name(&format!("close to {highest}"))
        .map(move |number| format!("{number} of {highest} by {process}"))
        .rebalance()
        .sink_to(output);
    env.execute("the highest")?;
    Ok(())
}
