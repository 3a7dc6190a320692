//! Verifies one run of a checkpoint: that it is there and is the one that the manifest means, then
//! block by block. Not here: which runs, and what follows when one isn't there.

use std::sync::Arc;

use thalweg_state::run::{RunReader, verify};
use thalweg_storage::CheckpointManifest;

use super::runs::RunPlace;
use super::store::OpenStore;
use super::verify::{Problem, is_missing};

/// What was found out about a run.
#[derive(Default)]
pub(super) struct CheckedRun {
    /// The rows of its sound blocks.
    pub(super) rows: u64,
    pub(super) problems: Vec<Problem>,
    /// Its object isn't there, or was deleted while it was read.
    pub(super) is_missing: bool,
}

/// Reads all of a run.
pub(super) fn check(
    store: &OpenStore,
    manifest: &CheckpointManifest,
    place: &RunPlace<'_>,
) -> CheckedRun {
    let mut checked = CheckedRun::default();
    let problem = |problem: String| Problem {
        object: place.object.to_owned(),
        checkpoint: Some(manifest.checkpoint_id.0),
        operator: Some(place.operator.name.clone()),
        uid: place.operator.uid.clone(),
        subtask: Some(place.subtask),
        state: None,
        key_groups: place
            .key_groups
            .filter(|groups| !groups.is_empty())
            .map(|groups| [groups.start, groups.end - 1]),
        problem,
    };
    let bytes = match place.bytes(store) {
        Ok(bytes) => Arc::new(bytes),
        Err(error) => {
            checked.problems.push(problem(error.to_string()));
            return checked;
        }
    };
    let checksum = match bytes.checksum() {
        Ok(checksum) => checksum,
        Err(error) => {
            checked.is_missing = is_missing(&error);
            checked.problems.push(problem(error.to_string()));
            return checked;
        }
    };
    match RunReader::open(bytes.clone()) {
        Ok(run) => check_contents(&run, place, problem, &mut checked),
        Err(error) => checked.problems.push(problem(error.to_string())),
    }
    // What is wrong was found more exactly already.
    if checksum != place.crc32c && checked.problems.is_empty() {
        let expected = place.crc32c;
        checked.problems.push(problem(format!(
            "the run's checksum is {checksum:08x}, the manifest says {expected:08x}: it was \
             replaced by another one"
        )));
    }
    // One that is deleted while it's read looks damaged.
    if !checked.problems.is_empty()
        && let Err(error) = bytes.checksum()
        && is_missing(&error)
    {
        checked.is_missing = true;
        checked.problems = vec![problem(error.to_string())];
    }
    checked
}

fn check_contents(
    run: &RunReader,
    place: &RunPlace<'_>,
    problem: impl Fn(String) -> Problem,
    checked: &mut CheckedRun,
) {
    checked.problems.extend(wrong_origin(run, place).map(&problem));
    let problems = &mut checked.problems;
    checked.rows = verify(run, place.key_groups, |block, error| {
        let state = run.state(block.state).map(|state| state.name.clone());
        let groups = [u32::from(block.first_key_group), u32::from(block.last_key_group)];
        problems.push(Problem { state, key_groups: Some(groups), ..problem(error.to_string()) });
    });
}

/// How the run's own words differ from the manifest's.
fn wrong_origin(run: &RunReader, place: &RunPlace<'_>) -> Option<String> {
    let origin = &run.description().origin;
    let found = (origin.subtask, origin.parallelism, origin.max_parallelism);
    let operator = place.operator;
    let expected = (place.subtask, operator.parallelism, operator.max_parallelism);
    (found != expected).then(|| {
        format!(
            "the run is of subtask {} of {} (max parallelism {}), the manifest says {} of {} ({})",
            found.0, found.1, found.2, expected.0, expected.1, expected.2
        )
    })
}
