//! The names of a job's objects in a store; nothing else makes such names.
//!
//! ```text
//! <job id>/chk-<n>/<attempt id>               a task's snapshot: a run for each of its operators
//! <job id>/chk-<n>/<operator id>-<subtask>    one run, where it came to the JobManager inline
//! <job id>/chk-<n>/manifest                   written last: the checkpoint is complete
//! ```

use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId, OperatorId};

use crate::blob::{BlobPath, BlobPathError};

const MANIFEST: &str = "manifest";

/// The folder of all that a job stores.
///
/// # Errors
/// None in practice: the names below hold nothing that a path can't. The same for the others.
pub fn job_folder(job: JobId) -> Result<BlobPath, BlobPathError> {
    BlobPath::parse(&job.to_string())
}

/// The folder of a checkpoint.
///
/// # Errors
/// As [`job_folder`].
pub fn checkpoint_folder(job: JobId, checkpoint: CheckpointId) -> Result<BlobPath, BlobPathError> {
    job_folder(job)?.join(&format!("chk-{checkpoint}"))
}

/// A checkpoint's manifest.
///
/// # Errors
/// As [`job_folder`].
pub fn manifest(job: JobId, checkpoint: CheckpointId) -> Result<BlobPath, BlobPathError> {
    checkpoint_folder(job, checkpoint)?.join(MANIFEST)
}

/// The snapshot of an operator's subtask.
///
/// # Errors
/// As [`job_folder`].
pub fn snapshot(
    job: JobId,
    checkpoint: CheckpointId,
    operator: OperatorId,
    subtask: u32,
) -> Result<BlobPath, BlobPathError> {
    checkpoint_folder(job, checkpoint)?.join(&format!("{operator}-{subtask}"))
}

/// The snapshot of a task: named by the attempt, so that what a lost attempt still writes can't
/// take the place of another one's.
///
/// # Errors
/// As [`job_folder`].
pub fn task_snapshot(
    job: JobId,
    checkpoint: CheckpointId,
    attempt: ExecutionAttemptId,
) -> Result<BlobPath, BlobPathError> {
    checkpoint_folder(job, checkpoint)?.join(&attempt.to_string())
}

/// A savepoint's manifest, in the savepoint's own directory.
///
/// # Errors
/// As [`job_folder`].
pub fn savepoint_manifest() -> Result<BlobPath, BlobPathError> {
    BlobPath::parse(MANIFEST)
}

/// The checkpoint that a path is the manifest of, if it is one's.
pub fn checkpoint_of_manifest(path: &BlobPath) -> Option<(JobId, CheckpointId)> {
    let mut parts = path.as_str().split('/');
    let job: JobId = parts.next()?.parse().ok()?;
    let number: u64 = parts.next()?.strip_prefix("chk-")?.parse().ok()?;
    let checkpoint = CheckpointId(number);
    // Compared as a whole, so that only the one spelling counts.
    (manifest(job, checkpoint).as_ref() == Ok(path)).then_some((job, checkpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_these_and_a_manifests_name_tells_its_checkpoint() {
        let (job, checkpoint) = (JobId::new(10), CheckpointId(7));
        let operator = OperatorId::new(11);
        let folder = "0000000000000000000000000000000a/chk-7";
        let path = manifest(job, checkpoint).unwrap();
        assert_eq!(path.as_str(), format!("{folder}/manifest"));
        assert_eq!(
            snapshot(job, checkpoint, operator, 3).unwrap().as_str(),
            format!("{folder}/0000000000000000000000000000000b-3")
        );
        assert_eq!(
            task_snapshot(job, checkpoint, ExecutionAttemptId::new(12)).unwrap().as_str(),
            format!("{folder}/0000000000000000000000000000000c")
        );
        assert_eq!(checkpoint_of_manifest(&path), Some((job, checkpoint)));
        for other in
            ["x/chk-7/manifest", "chk-7", &format!("{folder}/x"), &format!("{folder}/manifest/x")]
        {
            assert_eq!(checkpoint_of_manifest(&BlobPath::parse(other).unwrap()), None, "{other}");
        }
    }
}
