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

pub use self::options::{
    CollectOptions, DeleteOptions, Place, ShowOptions, StateAction, StateOptions,
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

/// Whether all is sound, as far as that was asked.
fn perform(options: &StateOptions, out: &mut dyn Write) -> Result<bool, StateCommandError> {
    let place = match &options.action {
        StateAction::Ls(place) | StateAction::Verify(place) => place,
        StateAction::Show(options) => &options.place,
        StateAction::Gc(options) => &options.place,
        StateAction::Delete(options) => {
            delete::delete(options, out)?;
            return Ok(true);
        }
    };
    let location = Location::parse(&place.path);
    let stores = Stores::of_command(&place.configuration()?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(StateCommandError::Runtime)?;
    let runtime = Arc::new(runtime);
    let store = OpenStore::open(&stores, &location.directory, Arc::clone(&runtime))?;
    let logs = match &place.logs {
        Some(directory) => &OpenStore::open(&stores, directory, runtime)?,
        None => &store,
    };
    let separate_logs = place.logs.is_some();
    let selection = Selection::read(&store, separate_logs.then_some(logs), location.scope)?;
    match &options.action {
        StateAction::Ls(place) => list::list(&store, &selection, place.json, out)?,
        StateAction::Verify(place) => {
            let retained = place.configuration()?.get(&checkpointing::NUM_RETAINED);
            let report = verify::verify_all(&store, logs, &selection, retained);
            return verify::print(&report, place.json, out);
        }
        StateAction::Gc(options) => {
            let configured = place.configuration()?.get(&checkpointing::NUM_RETAINED);
            let retained = options.retained.unwrap_or(configured).max(1);
            let decide = |selection: &Selection| {
                collect::plan(&store, logs, selection, retained, separate_logs)
            };
            let mut planned = decide(&selection);
            if let Err(StateCommandError::PublishedMissing { .. }) = planned {
                // Another one was published since, and a leader has collected.
                let logs = separate_logs.then_some(logs);
                planned = decide(&Selection::read(&store, logs, location.scope)?);
            }
            let planned = planned?;
            if planned.is_empty() {
                return Err(StateCommandError::NoLog { path: place.path.clone() });
            }
            collect::print(&planned, place.json, out)?;
        }
        // Done above.
        StateAction::Delete(_) => {}
        StateAction::Show(options) => {
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
