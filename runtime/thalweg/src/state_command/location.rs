//! What a path means: which directory is the store, and which part of it is asked for. Not here:
//! whether anything is there.

use thalweg_core::ids::{CheckpointId, JobId};

/// A place that the user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    /// The store's root, as stores are opened by.
    pub(super) directory: String,
    /// What of it.
    pub(super) scope: Scope,
}

/// A part of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it; it may be a savepoint's own directory.
    Everything,
    /// A job.
    Job(JobId),
    /// A checkpoint of a job.
    Checkpoint(JobId, CheckpointId),
}

impl Scope {
    /// Whether the checkpoint is in this part.
    pub(super) fn contains(self, job: JobId, checkpoint: CheckpointId) -> bool {
        match self {
            Scope::Everything => true,
            Scope::Job(wanted) => wanted == job,
            Scope::Checkpoint(wanted, id) => (wanted, id) == (job, checkpoint),
        }
    }
}

impl Location {
    /// The place that this path means: `DIR`, `DIR/JOB_ID` or `DIR/JOB_ID/chk-N`, also with the
    /// name of a manifest behind the last one, or behind `DIR`.
    pub(super) fn parse(path: &str) -> Location {
        let path = without_slashes(path);
        let (folder, last) = split(path);
        let manifest = last == "manifest"
            || last.strip_prefix('e').and_then(|rest| rest.strip_suffix("-manifest")).is_some();
        let path = if manifest { folder } else { path };
        let (above, last) = split(path);
        let checkpoint = last.strip_prefix("chk-").and_then(|number| number.parse().ok());
        if let (Some(number), (store, Ok(job))) = (checkpoint, parse_job(above)) {
            let scope = Scope::Checkpoint(job, CheckpointId(number));
            return Location { directory: directory(store), scope };
        }
        match parse_job(path) {
            (store, Ok(job)) => Location { directory: directory(store), scope: Scope::Job(job) },
            _ => Location { directory: directory(path), scope: Scope::Everything },
        }
    }
}

/// The folder, and the job that it names within the one above.
fn parse_job(folder: &str) -> (&str, Result<JobId, thalweg_core::ids::ParseIdError>) {
    let (above, last) = split(folder);
    (above, last.parse())
}

fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", last)) => ("/", last),
        Some((folder, last)) => (folder, last),
        None => ("", path),
    }
}

fn without_slashes(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.starts_with('/') => "/",
        trimmed => trimmed,
    }
}

fn directory(path: &str) -> String {
    if path.is_empty() { ".".to_owned() } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_a_store_a_job_or_a_checkpoint() {
        let job = JobId::new(10);
        let checkpoint = Scope::Checkpoint(job, CheckpointId(7));
        for (path, directory, scope) in [
            ("/data/checkpoints/", "/data/checkpoints", Scope::Everything),
            ("/", "/", Scope::Everything),
            (".", ".", Scope::Everything),
            ("s3://bucket/app", "s3://bucket/app", Scope::Everything),
            (&format!("/data/{job}"), "/data", Scope::Job(job)),
            (&format!("{job}"), ".", Scope::Job(job)),
            (&format!("/{job}"), "/", Scope::Job(job)),
            (&format!("s3://bucket/{job}/chk-7/"), "s3://bucket", checkpoint),
            (&format!("{job}/chk-7/manifest"), ".", checkpoint),
            (&format!("a/{job}/chk-7/e3-manifest"), "a", checkpoint),
            ("/savepoints/sp-1/manifest", "/savepoints/sp-1", Scope::Everything),
            ("/data/chk-7", "/data/chk-7", Scope::Everything),
        ] {
            let expected = Location { directory: directory.to_owned(), scope };
            assert_eq!(Location::parse(path), expected, "{path}");
        }
    }
}
