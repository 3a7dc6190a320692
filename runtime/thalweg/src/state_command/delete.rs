//! `thalweg state delete`: deletes all that applications keep in stores, for good. The one command
//! here that changes anything. Not here: what is deleted in which order
//! (`thalweg_jobmanager::high_availability::erasure`).

use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use thalweg_core::clock::SystemClock;
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::high_availability;
use thalweg_jobmanager::high_availability::erasure::{Erasure, Holdings};
use thalweg_jobmanager::high_availability::lineage::LineageEntry;
use thalweg_jobmanager::high_availability::{LeaderHint, read_hint_of};
use tokio::runtime::Runtime;

use super::error::StateCommandError;
use super::location::{Location, Scope};
use super::options::DeleteOptions;
use super::output;
use super::runtime;
use super::store::OpenStore;
use crate::process::{Stores, writer_id};

/// What became of a place.
#[derive(Debug, Serialize)]
struct Deletion {
    path: String,
    dry_run: bool,
    jobs: Vec<String>,
    /// What is deleted.
    objects: Vec<String>,
    /// What belongs to no job that has a log there, and stays.
    foreign: Vec<String>,
}

/// Deletes what is at the places, one after the other.
pub(super) fn delete(
    options: &DeleteOptions,
    out: &mut dyn Write,
) -> Result<(), StateCommandError> {
    let configuration = options.configuration.read()?;
    let stores = Stores::of_command(&configuration);
    let runtime = runtime()?;
    let mut deletions = Vec::new();
    for path in &options.paths {
        if let Some(deletion) = one(options, path, (&configuration, &stores), &runtime)? {
            deletions.push(deletion);
        }
    }
    if options.json {
        return output::json(out, &deletions);
    }
    for Deletion { path, dry_run, jobs, objects, foreign } in &deletions {
        if *dry_run {
            for object in objects {
                writeln!(out, "{object}")?;
            }
        }
        let what = if *dry_run { "would be deleted" } else { "are deleted" };
        let (count, jobs) = (objects.len(), jobs.len());
        writeln!(out, "{path}: {count} objects of {jobs} jobs {what}; the ends of logs stay")?;
        for name in foreign {
            writeln!(out, "{path}: {name} belongs to no job with a log, and stays")?;
        }
    }
    Ok(())
}

/// Nothing if there is nothing and somebody who deletes again may find that.
fn one(
    options: &DeleteOptions,
    path: &str,
    (configuration, stores): (&Configuration, &Stores),
    runtime: &Arc<Runtime>,
) -> Result<Option<Deletion>, StateCommandError> {
    let location = Location::parse(path);
    if location.scope != Scope::Everything {
        return Err(StateCommandError::NotAStore { path: path.to_owned() });
    }
    let open = |directory: &str| OpenStore::open(stores, directory, Arc::clone(runtime));
    let store = match open(&location.directory) {
        // Its last object was deleted, and the directory with it.
        Err(StateCommandError::NoDirectory { .. }) if options.successor.is_some() => {
            return Ok(None);
        }
        opened => opened?,
    };
    let logs = options.logs.as_deref().map(open).transpose()?;
    let (store, checkpoints) = match &logs {
        Some(logs) => (logs.shared(), Some(store.shared())),
        None => (store.shared(), None),
    };
    let successor = options.owner.clone().zip(options.successor.clone());
    let successor = successor.map(|(owner, cluster_id)| LineageEntry { owner, cluster_id });
    let (writer, address) = (writer_id(&SystemClock::new()), "thalweg state delete".to_owned());
    let pause = configuration.get(&high_availability::RETRY_PERIOD);
    let erasure = Erasure { store, checkpoints, writer, address, successor, pause };
    let failed = |error| StateCommandError::Deletion { path: path.to_owned(), source: error };
    let found = runtime.block_on(erasure.look()).map_err(|error| failed(Box::new(error)))?;
    if is_savepoint(&found) {
        return Err(StateCommandError::IsSavepoint { path: path.to_owned() });
    }
    let is_the_operators = options.successor.is_some() && found.unclaimed.is_empty();
    if !found.has_logs() && !is_the_operators {
        return Err(StateCommandError::NotFenced { path: path.to_owned() });
    }
    if !options.dry_run {
        if !options.stopped {
            nobody_leads(&erasure, &found, path, (configuration, runtime))?;
        }
        runtime.block_on(erasure.erase()).map_err(|error| failed(Box::new(error)))?;
    }
    let stays = found.unclaimed.iter().chain(&found.foreign);
    Ok(Some(Deletion {
        path: path.to_owned(),
        dry_run: options.dry_run,
        jobs: found.jobs.iter().map(ToString::to_string).collect(),
        objects: found.doomed.iter().flatten().map(ToString::to_string).collect(),
        foreign: stays.map(ToString::to_string).collect(),
    }))
}

fn is_savepoint(found: &Holdings) -> bool {
    let own = thalweg_storage::layout::savepoint_manifest().ok();
    found.foreign.iter().any(|path| own.as_ref() == Some(path))
}

/// Looks whether a leader shows itself: twice, as far apart as its lease is long. One in Kubernetes
/// doesn't: it holds a Lease, and writes its hint once.
fn nobody_leads(
    erasure: &Erasure,
    found: &Holdings,
    path: &str,
    (configuration, runtime): (&Configuration, &Runtime),
) -> Result<(), StateCommandError> {
    let hints = || -> Result<Vec<LeaderHint>, StateCommandError> {
        let mut hints = Vec::new();
        for cluster in &found.clusters {
            let read = runtime.block_on(read_hint_of(erasure.store.as_ref(), *cluster));
            let read = read.map_err(|error| StateCommandError::Deletion {
                path: path.to_owned(),
                source: Box::new(error),
            })?;
            hints.extend(read.filter(|hint| !hint.released));
        }
        Ok(hints)
    };
    let before = hints()?;
    if before.is_empty() {
        return Ok(());
    }
    if let Some(hint) = before.iter().find(|hint| !hint.revision.is_empty()) {
        let (path, address, revision) =
            (path.to_owned(), hint.address.clone(), hint.revision.clone());
        return Err(StateCommandError::LedInKubernetes { path, address, revision });
    }
    let lease = configuration.get(&high_availability::LEASE_DURATION);
    runtime.block_on(async { tokio::time::sleep(lease).await });
    match hints()?.into_iter().find(|hint| !before.contains(hint)) {
        Some(hint) => {
            let (path, address) = (path.to_owned(), hint.address);
            Err(StateCommandError::Led { path, address })
        }
        None => Ok(()),
    }
}
