//! The names of a job's objects in a store; nothing else makes such names.
//!
//! ```text
//! <job id>/chk-<n>/shared-<attempt id>          small runs of tasks on one TaskManager
//! <job id>/chk-<n>/<attempt id>-<operator id>   one large run
//! <job id>/chk-<n>/<operator id>-<subtask>      one run, where it came to the JobManager inline
//! <job id>/chk-<n>/manifest                     written last: the checkpoint is complete
//! ```
//!
//! A savepoint has a directory of its own, which can be moved. It holds the last parts of these
//! names: `shared-<attempt id>`, `<attempt id>-<operator id>`,
//! `<operator id>-<subtask>-<checksum>`, `manifest`.
//!
//! Where a log decides what counts, the last part of each of these names begins with `e<epoch>-`,
//! the epoch in that log of the leader whose tasks wrote the object ([`of_epoch`]). So no name is
//! made by two leaders, and a collector knows whose an object is ([`origin_of`]). Then there are
//! also
//!
//! ```text
//! <job id>/e<epoch>-graph                     the JobGraph that the leader runs
//! <job id>/e<epoch>-result                    how the job ended, and what it returned
//! <cluster log>/leader                        who leads the cluster, as far as anybody knows
//! <cluster log>/application                   whose cluster id it is
//! <cluster log>/once/<hash of the name>       a value of `env.once`
//! lineage/<n>                                 which identity the application's state has
//! ```
//!
//! and the logs, which [`log::names`](crate::log::names) names.

use thalweg_core::ids::{CheckpointId, Epoch, ExecutionAttemptId, JobId, OperatorId};

use crate::blob::{BlobPath, BlobPathError};
use crate::log::collect::ObjectOrigin;

const MANIFEST: &str = "manifest";
const LINEAGE: &str = "lineage";

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

/// The large run of an operator: named by the attempt, so that what a lost attempt still writes
/// can't take the place of another one's. `folder` is a checkpoint's or a savepoint's.
///
/// # Errors
/// As [`job_folder`].
pub fn own_run(
    folder: &BlobPath,
    attempt: ExecutionAttemptId,
    operator: OperatorId,
) -> Result<BlobPath, BlobPathError> {
    folder.join(&format!("{attempt}-{operator}"))
}

/// Small runs of several tasks: named by the attempt of which they are the first. An attempt's
/// small runs are in one object of a checkpoint, so no name is made twice.
///
/// # Errors
/// As [`job_folder`].
pub fn shared_runs(
    folder: &BlobPath,
    first: ExecutionAttemptId,
) -> Result<BlobPath, BlobPathError> {
    folder.join(&format!("shared-{first}"))
}

/// The attempt whose object it is by its name: one that [`own_run`] or [`shared_runs`] makes.
pub fn attempt_of(path: &BlobPath) -> Option<ExecutionAttemptId> {
    let plain = without_epoch(path).map_or_else(|| path.clone(), |(plain, _)| plain);
    let (folder, name) = plain.as_str().rsplit_once('/')?;
    let folder = BlobPath::parse(folder).ok()?;
    let (attempt, made) = match name.strip_prefix("shared-") {
        Some(attempt) => {
            let attempt = attempt.parse().ok()?;
            (attempt, shared_runs(&folder, attempt))
        }
        None => {
            let (attempt, operator) = name.split_once('-')?;
            let attempt = attempt.parse().ok()?;
            (attempt, own_run(&folder, attempt, operator.parse().ok()?))
        }
    };
    // Compared as a whole, so that only the one spelling counts.
    (made.as_ref() == Ok(&plain)).then_some(attempt)
}

/// The graph that a leader of the job runs; always [`of_epoch`].
///
/// # Errors
/// As [`job_folder`].
pub fn graph(job: JobId) -> Result<BlobPath, BlobPathError> {
    job_folder(job)?.join("graph")
}

/// What a job returned; always [`of_epoch`].
///
/// # Errors
/// As [`job_folder`].
pub fn result(job: JobId) -> Result<BlobPath, BlobPathError> {
    job_folder(job)?.join("result")
}

/// Who leads a cluster. `cluster` is its log's id.
///
/// # Errors
/// As [`job_folder`].
pub fn leader(cluster: JobId) -> Result<BlobPath, BlobPathError> {
    job_folder(cluster)?.join("leader")
}

/// Which application has the cluster id.
///
/// # Errors
/// As [`job_folder`].
pub fn application(cluster: JobId) -> Result<BlobPath, BlobPathError> {
    job_folder(cluster)?.join("application")
}

/// The folder of the identities that an application has had, one after the other.
///
/// # Errors
/// As [`job_folder`].
pub fn lineages() -> Result<BlobPath, BlobPathError> {
    BlobPath::parse(LINEAGE)
}

/// One of them, by its place; 20 digits.
///
/// # Errors
/// As [`job_folder`].
pub fn lineage(place: u64) -> Result<BlobPath, BlobPathError> {
    lineages()?.join(&format!("{place:020}"))
}

/// The place that a path names, if it is one of these.
pub fn lineage_of(path: &BlobPath) -> Option<u64> {
    let place = path.as_str().strip_prefix(LINEAGE)?.strip_prefix('/')?.parse().ok()?;
    // Compared as a whole, so that only the one spelling counts.
    (lineage(place).as_ref() == Ok(path)).then_some(place)
}

/// A value of `env.once`.
///
/// # Errors
/// As [`job_folder`].
pub fn once(cluster: JobId, name: &str) -> Result<BlobPath, BlobPathError> {
    // Any text can be a name, so it isn't a part of the path; what is stored repeats it.
    job_folder(cluster)?.join(&format!("once/{}", JobId::derive(name)))
}

/// The same name as an object of this epoch; the name itself where there's no log.
///
/// # Errors
/// As [`job_folder`].
pub fn of_epoch(path: &BlobPath, epoch: Option<Epoch>) -> Result<BlobPath, BlobPathError> {
    let Some(Epoch(epoch)) = epoch else { return Ok(path.clone()) };
    match path.as_str().rsplit_once('/') {
        Some((folder, name)) => BlobPath::parse(folder)?.join(&format!("e{epoch}-{name}")),
        None => BlobPath::parse(&format!("e{epoch}-{path}")),
    }
}

/// The name without its epoch, and the epoch.
fn without_epoch(path: &BlobPath) -> Option<(BlobPath, Epoch)> {
    let (folder, name) = path.as_str().rsplit_once('/')?;
    let (epoch, name) = name.strip_prefix('e')?.split_once('-')?;
    let epoch = Epoch(epoch.parse().ok()?);
    let plain = BlobPath::parse(folder).ok()?.join(name).ok()?;
    // Compared as a whole, so that only the one spelling counts.
    (of_epoch(&plain, Some(epoch)).as_ref() == Ok(path)).then_some((plain, epoch))
}

/// Where an object of a job comes from; None if its name doesn't tell. What belongs to a leader
/// and not to one of its checkpoints comes after all of these.
pub fn origin_of(path: &BlobPath) -> Option<ObjectOrigin> {
    let (plain, epoch) = without_epoch(path)?;
    let mut parts = plain.as_str().split('/');
    let _job: JobId = parts.next()?.parse().ok()?;
    let checkpoint_id = match (parts.next()?, parts.next()) {
        (folder, Some(_)) => CheckpointId(folder.strip_prefix("chk-")?.parse().ok()?),
        ("graph" | "result", None) => CheckpointId(u64::MAX),
        (_, None) => return None,
    };
    parts.next().is_none().then_some(ObjectOrigin { epoch, checkpoint_id })
}

/// Whether it's the name of one of the small records that [`sealed`](crate::sealed) writes.
pub fn is_record(path: &BlobPath) -> bool {
    let plain = without_epoch(path).map(|(plain, _)| plain);
    let has_epoch = plain.is_some();
    let path = plain.as_ref().unwrap_or(path);
    let mut parts = path.as_str().split('/');
    let of_job = parts.next().is_some_and(|job| job.parse::<JobId>().is_ok());
    let named = match (parts.next(), parts.next()) {
        (Some("graph" | "result"), None) => has_epoch,
        (Some("leader" | "application"), None) => !has_epoch,
        (Some("once"), Some(name)) => !has_epoch && name.parse::<JobId>().is_ok(),
        _ => false,
    };
    of_job && named && parts.next().is_none()
}

/// Whether it's the name of a record that nobody but the leader of a cluster writes.
pub fn is_of_clusters_leader(path: &BlobPath) -> bool {
    let starting = path.as_str().rsplit('/').next() == Some("application");
    is_record(path) && without_epoch(path).is_none() && !starting
}

/// A savepoint's manifest, in the savepoint's own directory.
///
/// # Errors
/// As [`job_folder`].
pub fn savepoint_manifest() -> Result<BlobPath, BlobPathError> {
    BlobPath::parse(MANIFEST)
}

/// A run of an operator's subtask in a savepoint's own directory, where it came to the JobManager
/// inline or was copied from a checkpoint; `crc32c` is its bytes', which tells it from others of
/// the same subtask.
///
/// # Errors
/// As [`job_folder`].
pub fn savepoint_run(
    operator: OperatorId,
    subtask: u32,
    crc32c: u32,
) -> Result<BlobPath, BlobPathError> {
    BlobPath::parse(&format!("{operator}-{subtask}-{crc32c:08x}"))
}

/// The checkpoint that a path is the manifest of, if it is one's.
pub fn checkpoint_of_manifest(path: &BlobPath) -> Option<(JobId, CheckpointId)> {
    let plain = without_epoch(path).map_or_else(|| path.clone(), |(plain, _)| plain);
    let mut parts = plain.as_str().split('/');
    let job: JobId = parts.next()?.parse().ok()?;
    let number: u64 = parts.next()?.strip_prefix("chk-")?.parse().ok()?;
    let checkpoint = CheckpointId(number);
    // Compared as a whole, so that only the one spelling counts.
    (manifest(job, checkpoint).as_ref() == Ok(&plain)).then_some((job, checkpoint))
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
        let (chk, attempt) =
            (checkpoint_folder(job, checkpoint).unwrap(), ExecutionAttemptId::new(12));
        let twelve = "0000000000000000000000000000000c";
        let shared = shared_runs(&chk, attempt).unwrap();
        assert_eq!(shared.as_str(), format!("{folder}/shared-{twelve}"));
        let own = own_run(&chk, attempt, operator).unwrap();
        assert_eq!(own.as_str(), format!("{folder}/{twelve}-0000000000000000000000000000000b"));
        let in_savepoint = shared_runs(&BlobPath::root(), attempt).unwrap();
        assert_eq!(in_savepoint.as_str(), format!("shared-{twelve}"));
        assert_eq!(checkpoint_of_manifest(&path), Some((job, checkpoint)));
        for other in
            ["x/chk-7/manifest", "chk-7", &format!("{folder}/x"), &format!("{folder}/manifest/x")]
        {
            assert_eq!(checkpoint_of_manifest(&BlobPath::parse(other).unwrap()), None, "{other}");
        }
    }

    #[test]
    fn an_objects_name_tells_the_attempt_that_has_made_it() {
        let attempt = ExecutionAttemptId::new(12);
        let folder = checkpoint_folder(JobId::new(10), CheckpointId(7)).unwrap();
        let own = own_run(&folder, attempt, OperatorId::new(11)).unwrap();
        for path in [own.clone(), shared_runs(&folder, attempt).unwrap()] {
            assert_eq!(attempt_of(&path), Some(attempt), "{path}");
            let path = of_epoch(&path, Some(Epoch(3))).unwrap();
            assert_eq!(attempt_of(&path), Some(attempt), "{path}");
        }
        let inline = snapshot(JobId::new(10), CheckpointId(7), OperatorId::new(11), 3).unwrap();
        let others = [inline, manifest(JobId::new(10), CheckpointId(7)).unwrap()];
        assert!(others.iter().all(|path| attempt_of(path).is_none()));
    }

    #[test]
    fn records_are_told_from_all_other_objects() {
        let (job, epoch) = (JobId::new(10), Some(Epoch(3)));
        let named = |path: BlobPath| of_epoch(&path, epoch).unwrap();
        let records = [
            named(graph(job).unwrap()),
            named(result(job).unwrap()),
            leader(job).unwrap(),
            application(job).unwrap(),
            once(job, "any name").unwrap(),
        ];
        assert!(records.iter().all(is_record));
        let others = [
            graph(job).unwrap(),
            named(leader(job).unwrap()),
            named(manifest(job, CheckpointId(7)).unwrap()),
            manifest(job, CheckpointId(7)).unwrap(),
            BlobPath::parse("x/leader").unwrap(),
            leader(job).unwrap().join("x").unwrap(),
        ];
        assert!(!others.iter().any(is_record));
        let of_leader = [leader(job).unwrap(), once(job, "any name").unwrap()];
        let told: Vec<_> = records.iter().filter(|path| is_of_clusters_leader(path)).collect();
        assert_eq!(told, of_leader.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_name_with_an_epoch_tells_its_origin_and_no_other_name_does() {
        let (job, checkpoint, epoch) = (JobId::new(10), CheckpointId(7), Epoch(3));
        let folder = "0000000000000000000000000000000a";
        let path = of_epoch(&manifest(job, checkpoint).unwrap(), Some(epoch)).unwrap();
        assert_eq!(path.as_str(), format!("{folder}/chk-7/e3-manifest"));
        assert_eq!(checkpoint_of_manifest(&path), Some((job, checkpoint)));
        let chk = checkpoint_folder(job, checkpoint).unwrap();
        let attempt = shared_runs(&chk, ExecutionAttemptId::new(12)).unwrap();
        let named = of_epoch(&attempt, Some(epoch)).unwrap();
        for path in [path, named] {
            let origin = ObjectOrigin { epoch, checkpoint_id: checkpoint };
            assert_eq!(origin_of(&path), Some(origin), "{path}");
        }
        for path in [graph(job).unwrap(), result(job).unwrap()] {
            let path = of_epoch(&path, Some(epoch)).unwrap();
            let origin = ObjectOrigin { epoch, checkpoint_id: CheckpointId(u64::MAX) };
            assert_eq!(origin_of(&path), Some(origin), "{path}");
        }
        assert_eq!(of_epoch(&attempt, None).unwrap(), attempt);
        let digits = "1234567890123456789012345678901";
        for other in [
            attempt.as_str(),
            &format!("{folder}/chk-7/e{digits}-2"),
            &format!("{folder}/chk-7/e03-manifest"),
            &format!("{folder}/chk-7/x/e3-manifest"),
            &format!("{folder}/other/e3-manifest"),
            &format!("{folder}/e3-strange"),
            "x/chk-7/e3-manifest",
            "e3-graph",
        ] {
            assert_eq!(origin_of(&BlobPath::parse(other).unwrap()), None, "{other}");
        }
    }
}
