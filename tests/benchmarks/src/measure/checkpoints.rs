//! A folder for the checkpoints of a job, and what was published there.

use std::path::Path;

use tempfile::TempDir;
use thalweg::prelude::Duration;

use crate::Outcome;

/// Full checkpoints at an interval. The folder goes with it.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: TempDir,
    interval: Duration,
}

impl Checkpoints {
    /// Into a new folder.
    pub(crate) fn every(interval: Duration) -> Outcome<Self> {
        Ok(Self { folder: tempfile::tempdir()?, interval })
    }

    /// The configuration of the processes that take them.
    pub(crate) fn settings(&self) -> [String; 3] {
        [
            format!("execution.checkpointing.interval={} ms", self.interval.as_millis()),
            format!("execution.checkpointing.dir={}", self.folder.path().display()),
            // So that they can be counted.
            "execution.checkpointing.num-retained=1000".to_owned(),
        ]
    }

    /// How many were published and how large they are, for people.
    pub(crate) fn published(&self) -> Outcome<String> {
        let (mut manifests, mut bytes) = (0, 0);
        for_each_file(self.folder.path(), &mut |name, length| {
            bytes += length;
            manifests += usize::from(name.contains("manifest"));
        })?;
        Ok(format!("{manifests} checkpoints of {:.1} MB in all", bytes as f64 / 1e6))
    }
}

fn for_each_file(folder: &Path, see: &mut impl FnMut(&str, u64)) -> Outcome {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            for_each_file(&entry.path(), see)?;
        } else {
            see(&entry.file_name().to_string_lossy(), entry.metadata()?.len());
        }
    }
    Ok(())
}
