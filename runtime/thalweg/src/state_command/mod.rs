//! `thalweg state`: looks at what a checkpoint store holds, without a cluster. All but `delete`
//! only read, so they can run beside one.
//!
//! `location` says what a path means, `selection` what is there; `list`, `show`, `rows`,
//! `verify`, `collect` and `delete` are the commands. Formats are read by `thalweg-storage` and
//! `thalweg-state`.

mod collect;
mod delete;
mod error;
mod list;
mod location;
mod options;
mod output;
mod rows;
mod runs;
mod selection;
mod show;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod verify_run;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;

use thalweg_core::configuration::options::checkpointing;
use tokio::runtime::Runtime;

pub use self::options::{
    CollectOptions, ConfigurationOptions, DeleteOptions, Place, ShowOptions, StateAction,
    StateOptions,
};

use self::error::StateCommandError;
use self::location::Location;
use self::selection::Selection;
use self::store::OpenStore;
use crate::process::Stores;

/// Carries out a command: 0 if all went well, 1 if it couldn't be done or a verification found
/// something.
pub fn state(options: &StateOptions) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let outcome = perform(options, &mut out).and_then(|sound| {
        out.flush()?;
        Ok(sound)
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if error.is_closed_output() => ExitCode::SUCCESS,
        Err(error) => {
            // What was printed before it comes first; that can fail for the same reason only.
            let _ = out.flush();
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What stores are asked with, while a command of one thread waits.
fn runtime() -> Result<Arc<Runtime>, StateCommandError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let built = builder.worker_threads(1).enable_all().build();
    built.map(Arc::new).map_err(StateCommandError::Runtime)
}

/// A place that is looked at.
struct Opened {
    location: Location,
    store: OpenStore,
    /// Where logs are, if that is another store.
    separate_logs: Option<OpenStore>,
    selection: Selection,
}

impl Opened {
    fn open(place: &Place) -> Result<Self, StateCommandError> {
        let location = Location::parse(&place.path);
        let stores = Stores::of_command(&place.configuration.read()?);
        let runtime = runtime()?;
        let store = OpenStore::open(&stores, &location.directory, Arc::clone(&runtime))?;
        let logs = place.logs.as_ref();
        let separate_logs =
            logs.map(|directory| OpenStore::open(&stores, directory, runtime)).transpose()?;
        let selection = Selection::read(&store, separate_logs.as_ref(), location.scope)?;
        Ok(Self { location, store, separate_logs, selection })
    }

    fn logs(&self) -> &OpenStore {
        self.separate_logs.as_ref().unwrap_or(&self.store)
    }
}

/// Whether all is sound, as far as that was asked.
fn perform(options: &StateOptions, out: &mut dyn Write) -> Result<bool, StateCommandError> {
    match &options.action {
        StateAction::Delete(options) => delete::delete(options, out)?,
        StateAction::Ls(place) => {
            let opened = Opened::open(place)?;
            list::list(&opened.store, &opened.selection, place.json, out)?;
        }
        StateAction::Verify(place) => {
            let opened = Opened::open(place)?;
            let retained = place.configuration.read()?.get(&checkpointing::NUM_RETAINED);
            let (store, selection) = (&opened.store, &opened.selection);
            let report = verify::verify_all(store, opened.logs(), selection, retained);
            return verify::print(&report, place.json, out);
        }
        StateAction::Gc(options) => collect(options, out)?,
        StateAction::Show(options) => {
            let Opened { location, store, selection, .. } = Opened::open(&options.place)?;
            let manifest = selection.only(&store, &location)?;
            let elsewhere = store.holding(&manifest)?;
            let store = elsewhere.as_ref().unwrap_or(&store);
            match &options.state {
                Some(state) => rows::rows(store, &manifest, options, state, out)?,
                None => {
                    let operator = options.operator.as_deref();
                    show::show(store, &manifest, operator, options.place.json, out)?;
                }
            }
        }
    }
    Ok(true)
}

/// Says what a collection would delete.
fn collect(options: &CollectOptions, out: &mut dyn Write) -> Result<(), StateCommandError> {
    let place = &options.place;
    let opened = Opened::open(place)?;
    let configured = place.configuration.read()?.get(&checkpointing::NUM_RETAINED);
    let retained = options.retained.unwrap_or(configured).max(1);
    let logs = opened.separate_logs.as_ref();
    let decide = |selection: &Selection| {
        collect::plan(&opened.store, opened.logs(), selection, retained, logs.is_some())
    };
    let mut planned = decide(&opened.selection);
    if let Err(StateCommandError::PublishedMissing { .. }) = planned {
        // Another one was published since, and a leader has collected.
        planned = decide(&Selection::read(&opened.store, logs, opened.location.scope)?);
    }
    let planned = planned?;
    if planned.is_empty() {
        return Err(StateCommandError::NoLog { path: place.path.clone() });
    }
    collect::print(&planned, place.json, out)
}
