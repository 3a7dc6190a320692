//! The names of part objects.
//!
//! `part-<sink>-<subtask>-<epoch>-<attempt>-<after>-<writer>-<number>.<extension>`
//!
//! An upload has the final name from its begin, for a store has no renames, and is seen under it
//! only when it's completed. What tells whether an upload is dead is therefore in the name: the
//! attempt that began it, and the last checkpoint (`after`) for which that attempt had prepared a
//! commit by then. No name is used twice, as with part files.

use thalweg_operators::sink::SinkContext;

use super::part_name::short;

/// What all parts of one writer have in their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectName {
    /// Of the job and the sink.
    sink: String,
    subtask: u32,
    epoch: u64,
    attempt: u32,
    /// Of this attempt, other than that of another run with the same numbers.
    writer: String,
    extension: &'static str,
}

impl ObjectName {
    pub(super) fn new(context: &SinkContext, extension: &'static str) -> Self {
        let (epoch, attempt) = (context.job.epoch.0, context.subtask.attempt);
        let (opened, from) = (context.clock.wall_ms(), context.restored_from.unwrap_or_default());
        let sink = short(&format!("{}/{}", context.job.id, context.operator));
        let writer = short(&format!("{epoch}/{attempt}/{from}/{opened}"));
        Self { sink, subtask: context.subtask.index, epoch, attempt, writer, extension }
    }

    /// What the names of all uploads of this subtask begin with, whichever attempt's.
    pub(super) fn prefix(&self) -> String {
        format!("part-{}-{}-", self.sink, self.subtask)
    }

    /// The name of the part with this number, begun after that checkpoint was prepared.
    pub(super) fn part(&self, after: u64, number: u64) -> String {
        let Self { epoch, attempt, writer, extension, .. } = self;
        format!("{}{epoch}-{attempt}-{after}-{writer}-{number:04}.{extension}", self.prefix())
    }

    /// Whether an upload of this name was left by an earlier attempt of this subtask, and belongs
    /// to no checkpoint that this attempt, or one after it, may be restored from.
    ///
    /// One that was begun after checkpoint c was prepared belongs to a later one than c. So if
    /// this attempt was restored from c or an earlier one, that later one was never published and
    /// never will be. An upload that was begun before may belong to the restored checkpoint, and
    /// whichever subtask it was dealt to may be about to commit it.
    pub(super) fn is_left_over(&self, name: &str, restored_from: u64) -> bool {
        let Some(rest) = name.strip_prefix(&self.prefix()) else { return false };
        let mut numbers = rest.split('-').map_while(|part| part.parse::<u64>().ok());
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(epoch), Some(attempt), Some(after)) => {
                let earlier = (epoch, attempt) < (self.epoch, u64::from(self.attempt));
                earlier && after >= restored_from
            }
            _ => false,
        }
    }
}
