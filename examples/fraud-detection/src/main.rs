//! Fraud detection for a bank's card payments: three rules over one stream of transactions.

mod alert;
mod burst;
mod rules;
mod transaction;

use std::process::ExitCode;

use burst::CountPayments;
use rules::ConsecutivePayments;
use thalweg::prelude::*;
use transaction::Transaction;

/// How far a payment may come out of order, in its file.
const OUT_OF_ORDER: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    thalweg::run("fraud-detection", |env, args| {
        let names = ["transactions", "alerts", "late", "rate", "parallelism"];
        let parameters = ParameterTool::from_args(args, &names)?;
        if let Some(parallelism) = parameters.get("parallelism")? {
            env.set_parallelism(parallelism);
        }
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/data/transactions.csv").to_string();
        let source = FileSource::csv(parameters.get_or("transactions", default)?);

        let late = OutputTag::<Transaction>::new("late");
        let time = WatermarkStrategy::bounded_out_of_orderness(OUT_OF_ORDER)
            .with_timestamps(|payment: &Transaction| payment.event_time_ms as i64)
            .with_late_output(late.clone());
        let options = SourceOptions::new(time).with_rate(parameters.get("rate")?);
        let payments = env.from_source(source, options, "transactions").uid("transactions");
        let by_account = payments.key_by(|payment| payment.account_id);

        let consecutive = by_account.process(ConsecutivePayments::open).name("rules").uid("rules");
        let bursts = by_account
            .window(WindowAssigner::sliding(60_000, 10_000))
            .aggregate_with(CountPayments, |_| Ok(burst::alert))
            .name("burst")
            .uid("burst");
        let alerts = consecutive.union(&[&bursts]);
        match parameters.get::<String>("alerts")? {
            Some(folder) => alerts.sink_to(FileSink::new(folder, RowFormat::json_lines())),
            None => alerts.sink_to(PrintSink::stdout(RowFormat::json_lines())),
        }
        .name("alerts")
        .uid("alerts");
        if let Some(folder) = parameters.get::<String>("late")? {
            payments
                .side_output(&late)
                .sink_to(FileSink::new(folder, RowFormat::json_lines()))
                .name("late")
                .uid("late");
        }
        env.execute("fraud-detection")?;
        Ok(())
    })
}
