//! Which of a subtask's runs hold a state that it still has. Not here: reading them.

use super::description::StateKind;
use super::reader::RunReader;

/// The places of the runs, and in each the number of the state. `runs` are those of one subtask,
/// from its base to its newest delta. Each lists all states that the subtask had when it was
/// written: where one isn't listed it had been dropped, and what older runs hold of it must not
/// come back with a later state of that name.
pub fn layers<'r>(
    runs: impl IntoIterator<Item = &'r RunReader>,
    name: &str,
    kind: StateKind,
) -> Vec<(usize, usize)> {
    let mut layers = Vec::new();
    for (place, run) in runs.into_iter().enumerate() {
        match run.find_state(name, kind) {
            Some(number) => layers.push((place, number)),
            None => layers.clear(),
        }
    }
    layers
}
