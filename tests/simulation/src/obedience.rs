//! Whose tasks TaskManagers begin: never an older leader's once they have begun a newer one's.
//! What keeps the output right besides (the jobs' logs) would hide it. A task tells its epoch when
//! its sink opens, in one of its steps; its TaskManager's pace is told of that step directly
//! afterwards, on the same thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::ids::Epoch;

#[derive(Debug, Default)]
struct Books {
    /// The epoch of the tasks whose sinks have opened in the step that is being done.
    opened: Option<Epoch>,
    /// The highest one in each life of a TaskManager.
    highest: BTreeMap<(String, u64), Epoch>,
    violations: Vec<String>,
}

/// The books. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Obedience(Arc<Mutex<Books>>);

impl Obedience {
    /// A sink opens in a task that the leader of this epoch has deployed.
    pub fn opened(&self, epoch: Epoch) {
        self.0.lock().opened = Some(epoch);
    }

    /// A step of a task was done in this life of a TaskManager.
    pub fn stepped(&self, host: &str, life: u64) {
        let mut books = self.0.lock();
        let Some(epoch) = books.opened.take() else { return };
        let highest = books.highest.entry((host.to_owned(), life)).or_default();
        let before = *highest;
        *highest = before.max(epoch);
        if epoch < before {
            let violation = format!(
                "TaskManager {life} on {host} begins tasks of epoch {} after those of epoch {}",
                epoch.0, before.0
            );
            books.violations.push(violation);
        }
    }

    /// What was done that must never be.
    pub fn violation(&self) -> Option<String> {
        self.0.lock().violations.first().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_leaders_tasks_after_a_newer_ones_are_found_out_in_each_life_by_itself() {
        let obedience = Obedience::default();
        for (life, epoch) in [(1, 1), (1, 2), (2, 1), (1, 2), (2, 3)] {
            obedience.opened(Epoch(epoch));
            obedience.stepped("a", life);
            obedience.stepped("b", 7);
        }
        assert_eq!(obedience.violation(), None);
        obedience.opened(Epoch(1));
        obedience.stepped("a", 1);
        let violation = obedience.violation().unwrap();
        assert!(violation.contains("TaskManager 1 on a") && violation.contains("epoch 2"));
    }
}
