//! What a manifest mustn't say: what contradicts itself can't be restored. Not here: whether the
//! objects are there.

use std::collections::BTreeMap;

use thalweg_core::key_group::MAX_MAX_PARALLELISM;

use super::{KeyGroups, OperatorManifest, SubtaskManifest};
use crate::blob::BlobPath;

/// Refuses an operator's part that couldn't be restored.
pub(super) fn operator(operator: &OperatorManifest) -> Result<(), String> {
    let wrong = |reason: String| Err(format!("operator {:?}: {reason}", operator.name));
    let (parallelism, max_parallelism) = (operator.parallelism, operator.max_parallelism);
    if parallelism == 0 || max_parallelism == 0 || max_parallelism > MAX_MAX_PARALLELISM {
        return wrong(format!("parallelism {parallelism} of at most {max_parallelism}"));
    }
    if !operator.subtasks.is_sorted_by_key(|subtask| subtask.index) {
        return wrong("its subtasks aren't ordered by index".to_owned());
    }
    let finished = &operator.finished_subtasks;
    let known = finished.iter().all(|index| *index < parallelism);
    if !finished.is_sorted_by(|a, b| a < b) || !known || (operator.finished && !finished.is_empty())
    {
        return wrong(format!("subtasks {finished:?} can't be those of {parallelism} that ended"));
    }
    let mut next_group = 0;
    // A base and its deltas have the same key groups.
    let mut before = None;
    for subtask in &operator.subtasks {
        let index = subtask.index;
        if index >= parallelism {
            return wrong(format!("it has parallelism {parallelism} and a subtask {index}"));
        }
        if subtask.offset.checked_add(subtask.length).is_none() {
            return wrong(format!("subtask {index}: the snapshot ends beyond all objects"));
        }
        match BlobPath::parse(&subtask.object) {
            Ok(path) if path != BlobPath::root() => {}
            Ok(_) => return wrong(format!("subtask {index} has no object")),
            Err(error) => return wrong(format!("subtask {index}: {error}")),
        }
        if let Some(KeyGroups { start, end }) = subtask.key_groups {
            let again = before == Some((index, start, end));
            let overlaps = !again && start < next_group && start < end;
            if start > end || end > max_parallelism || overlaps {
                return wrong(format!("subtask {index} can't own key groups {start} to {end}"));
            }
            next_group = next_group.max(end);
            before = Some((index, start, end));
        }
    }
    Ok(())
}

/// Refuses runs that overlap in an object, end beyond it, or don't agree about its length. The
/// same run may be named twice: two runs of equal bytes are one in a savepoint.
pub(super) fn ranges(operators: &[OperatorManifest]) -> Result<(), String> {
    let mut objects: BTreeMap<&str, Vec<&SubtaskManifest>> = BTreeMap::new();
    for run in operators.iter().flat_map(|operator| &operator.subtasks) {
        objects.entry(&run.object).or_default().push(run);
    }
    for (object, mut runs) in objects {
        runs.sort_by_key(|run| (run.offset, run.length));
        for pair in runs.windows(2) {
            let same = (pair[0].offset, pair[0].length) == (pair[1].offset, pair[1].length);
            if !same && pair[0].offset.saturating_add(pair[0].length) > pair[1].offset {
                let (first, second) = (pair[0].offset, pair[1].offset);
                return Err(format!("the runs at {first} and {second} of {object} overlap"));
            }
            if pair[0].object_length != pair[1].object_length {
                return Err(format!("runs don't agree about the length of {object}"));
            }
        }
        let beyond = |run: &&&SubtaskManifest| {
            run.object_length.is_some_and(|length| run.offset.saturating_add(run.length) > length)
        };
        if let Some(run) = runs.iter().find(beyond) {
            return Err(format!("the run at {} of {object} ends beyond it", run.offset));
        }
    }
    Ok(())
}
