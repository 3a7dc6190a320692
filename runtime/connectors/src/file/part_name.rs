//! The names of part files.
//!
//! A part is written under a name that starts with `.`, which no reader takes for output:
//!
//! `.part-<sink>-<subtask>-<writer>-<number>.<extension>.<checkpoint>.<epoch>.<attempt>.pending`
//!
//! (`.inprogress`, with checkpoint 0, while rows are added) and gets its final name by the commit:
//!
//! `part-<sink>-<subtask>-<writer>-<number>.<extension>`
//!
//! `sink` tells jobs and sinks apart, `writer` the attempts of a subtask, so that a name is never
//! used twice: not after a restart, not by the next run of the application.

use std::str::FromStr;

use thalweg_core::ids::OperatorId;
use thalweg_operators::sink::SinkContext;

/// What all parts of one writer have in their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WriterName {
    /// Of the job and the sink.
    sink: String,
    subtask: u32,
    parallelism: u32,
    /// Of this attempt.
    writer: String,
    pub(super) epoch: u64,
    pub(super) attempt: u32,
    extension: &'static str,
}

impl WriterName {
    pub(super) fn new(context: &SinkContext, extension: &'static str) -> Self {
        let (epoch, attempt) = (context.job.epoch.0, context.subtask.attempt);
        let (opened, from) = (context.clock.wall_ms(), context.restored_from.unwrap_or_default());
        let sink = short(&format!("{}/{}", context.job.id, context.operator));
        let writer = short(&format!("{epoch}/{attempt}/{from}/{opened}"));
        let (subtask, parallelism) = (context.subtask.index, context.subtask.parallelism);
        Self { sink, subtask, parallelism, writer, epoch, attempt, extension }
    }

    /// The name that the part with this number is to have.
    pub(super) fn final_name(&self, number: u64) -> String {
        let Self { sink, subtask, writer, extension, .. } = self;
        format!("part-{sink}-{subtask}-{writer}-{number:04}.{extension}")
    }

    pub(super) fn in_progress(&self, number: u64) -> String {
        let Self { epoch, attempt, .. } = self;
        format!(".{}.0.{epoch}.{attempt}.inprogress", self.final_name(number))
    }

    pub(super) fn pending(&self, number: u64, checkpoint: u64) -> String {
        let Self { epoch, attempt, .. } = self;
        format!(".{}.{checkpoint}.{epoch}.{attempt}.pending", self.final_name(number))
    }

    /// Whether this is the name of a part that an earlier attempt of this subtask has left, or,
    /// under an earlier leader, one of those subtasks that there aren't any more and that fall to
    /// this one; and that no checkpoint can refer to which this attempt, or one after it, may be
    /// restored from:
    ///
    /// - one that was in progress: no checkpoint refers to such a name;
    /// - one that was pending for a checkpoint after the one that this attempt was restored from:
    ///   it was never published, and now never will be.
    ///
    /// All others are kept: of a checkpoint up to that one, another subtask may be about to commit
    /// it; of this attempt or a later one, it is in use.
    pub(super) fn is_left_over(&self, name: &str, restored_from: u64) -> bool {
        let of_sink = name.strip_prefix(".part-").and_then(|rest| rest.strip_prefix(&self.sink));
        let of_subtask = of_sink.and_then(|rest| rest.strip_prefix('-')?.split_once('-'));
        let Some((Ok(subtask), rest)) = of_subtask.map(|(n, rest)| (n.parse::<u32>(), rest)) else {
            return false;
        };
        let mine = subtask == self.subtask;
        let gone = subtask >= self.parallelism && subtask % self.parallelism == self.subtask;
        if !mine && !gone {
            return false;
        }
        let mut parts = rest.rsplit('.');
        let kind = parts.next();
        let mut number = || parts.next().and_then(|part| u64::from_str(part).ok());
        let (Some(attempt), Some(epoch), Some(checkpoint)) = (number(), number(), number()) else {
            return false;
        };
        // Attempts are counted for each subtask, so only the leader tells whether that of another
        // one is over: a job may have been rescaled back meanwhile.
        let earlier = match mine {
            true => (epoch, attempt) < (self.epoch, u64::from(self.attempt)),
            false => epoch < self.epoch,
        };
        match kind {
            Some("inprogress") => earlier,
            Some("pending") => earlier && checkpoint > restored_from,
            _ => false,
        }
    }
}

/// Eight hexadecimal digits that stand for the text.
pub(super) fn short(text: &str) -> String {
    let mut digits = OperatorId::derive(text).to_string();
    digits.truncate(8);
    digits
}
