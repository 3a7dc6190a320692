//! Personalisation for a shop: sessions and recommendations out of views and purchases.

mod event;
mod in_order;
mod popular;
mod recommend;
mod sessions;

use std::process::ExitCode;

use event::{Event, Purchase, View};
use in_order::BestCategory;
use popular::{CountViews, HOUR_MS};
use recommend::Recommend;
use sessions::Summarise;
use thalweg::prelude::*;

/// How far an event may come out of order, in its file.
const OUT_OF_ORDER: Duration = Duration::from_secs(10);
/// A session ends when its user is silent for longer.
const SESSION_GAP_MS: i64 = 30 * 60 * 1_000;

/// A source's events: a file, a folder, or `tcp://HOST:PORT`.
fn events<T: event::Row>(
    env: &StreamExecutionEnvironment,
    parameters: &ParameterTool,
    name: &str,
    to_event: fn(T) -> Event,
) -> thalweg::Result<DataStream<Event>> {
    let default = format!("{}/data/{name}.csv", env!("CARGO_MANIFEST_DIR"));
    let path = parameters.get_or(name, default)?;
    let time = WatermarkStrategy::bounded_out_of_orderness(OUT_OF_ORDER)
        .with_timestamps(T::event_time_ms)
        .with_late_output(OutputTag::new("late"));
    let options = SourceOptions::new(time).with_rate(parameters.get("rate")?);
    let rows = match path.strip_prefix("tcp://") {
        Some(address) => env.from_source(SocketSource::csv(address), options, name),
        None => env.from_source(FileSource::csv(path), options, name),
    };
    Ok(rows.uid(name).map(to_event))
}

/// Where results go: a folder of part files, or stdout.
fn write<T: Record + thalweg::serde::Serialize>(
    rows: &DataStream<T>,
    folder: Option<String>,
    name: &str,
) {
    match folder {
        Some(folder) => rows.sink_to(FileSink::new(folder, RowFormat::json_lines())),
        None => rows.sink_to(PrintSink::stdout(RowFormat::json_lines())),
    }
    .name(name)
    .uid(name);
}

fn main() -> ExitCode {
    thalweg::run("personalisation", |env, args| {
        let names = ["views", "purchases", "sessions", "recommendations", "rate", "parallelism"];
        let parameters = ParameterTool::from_args(args, &names)?;
        if let Some(parallelism) = parameters.get("parallelism")? {
            env.set_parallelism(parallelism);
        }
        let views = events::<View>(env, &parameters, "views", Event::from_view)?;
        let purchases = events::<Purchase>(env, &parameters, "purchases", Event::from_purchase)?;
        let by_user = views.union(&[&purchases]).key_by(|event| event.user_id);

        let sessions = by_user
            .window(WindowAssigner::session(SESSION_GAP_MS))
            .aggregate_with(Summarise, |_| Ok(sessions::line))
            .name("sessions")
            .uid("session-windows");
        write(&sessions, parameters.get("sessions")?, "sessions");

        let popular = views
            .key_by(|view| view.category.clone())
            .window(WindowAssigner::tumbling(HOUR_MS))
            .aggregate_with(CountViews, |_| Ok(popular::ranking))
            .name("popular")
            .uid("popular");
        let interested = by_user.process(BestCategory::open).name("interests").uid("interests");
        let recommendations = interested
            .key_by(|interest| interest.category.clone())
            .connect(&popular.key_by(|ranking| ranking.category.clone()))
            .process(Recommend::open)
            .name("recommend")
            .uid("recommend");
        write(&recommendations, parameters.get("recommendations")?, "recommendations");

        env.execute("personalisation")?;
        Ok(())
    })
}
