//! Uploads that somebody completes later, and where they are kept until then.
//!
//! S3 keeps an upload until it is completed, and a completion that is broken off can be made
//! again. With MinIO it can't: it deletes what it knows of the parts, notices that nobody waits
//! for the answer any more, and gives up; from then on the upload is no good (`InvalidPart`).
//! Whoever is killed while it commits would lose rows that a checkpoint holds. MinIO also drops
//! uploads that nobody has touched for a day. There an upload goes to the folder `_staged`
//! (readers of folders pass over names that begin so), is completed when it is sealed, and the
//! commit is a copy by the server, which can be broken off and made again. Not here: the requests.

use super::super::{BlobError, BlobErrorKind, BlobPath, CompleteOutcome, FinishedUpload, UploadId};
use super::client::Repeat;
use super::settings::UploadCommit;
use super::{Object, S3Store};

/// Where uploads are kept that a copy commits, below the store's location.
const FOLDER: &str = "_staged";

/// What the ids of such uploads begin with; no server's do. Nothing follows for one that is known
/// by its object alone.
const STAGED: &str = "staged:";

impl S3Store {
    /// Begins an upload that somebody completes later.
    pub(super) async fn begin_at(
        &self,
        path: &BlobPath,
        object: &Object,
        note: &str,
    ) -> Result<UploadId, BlobError> {
        if !self.stages(object).await? {
            return self.begin(object, note).await;
        }
        let UploadId(id) = self.begin(&self.staged(path)?, note).await?;
        Ok(UploadId(format!("{STAGED}{id}")))
    }

    /// Whether new uploads are staged. Asks the server something if it hasn't answered anything.
    async fn stages(&self, object: &Object) -> Result<bool, BlobError> {
        match self.client.settings().upload_commit {
            UploadCommit::Completion => return Ok(false),
            UploadCommit::Copy => return Ok(true),
            UploadCommit::Auto => {}
        }
        if self.client.server().is_minio().is_none() {
            match self.look_at(object).await {
                Err(error) if error.kind != BlobErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(self.client.server().is_minio() == Some(true))
    }

    fn staged(&self, path: &BlobPath) -> Result<Object, BlobError> {
        let below = if *path == BlobPath::root() { "" } else { "/" };
        let staged = BlobPath::parse(&format!("{FOLDER}{below}{path}")).map_err(|error| {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
            BlobError::new("name", path, source)
        })?;
        Object::new(&self.location, &staged)
    }

    /// Where an upload is staged, and what the server calls it; none for one that isn't.
    pub(super) fn staged_upload(
        &self,
        path: &BlobPath,
        upload: &UploadId,
    ) -> Result<Option<(Object, UploadId)>, BlobError> {
        let Some(id) = upload.0.strip_prefix(STAGED) else { return Ok(None) };
        Ok(Some((self.staged(path)?, UploadId(id.to_owned()))))
    }

    /// Completes an upload to its staged object.
    pub(super) async fn seal(
        &self,
        path: &BlobPath,
        finished: &FinishedUpload,
    ) -> Result<(), BlobError> {
        let Some((staged, upload)) = self.staged_upload(path, &finished.upload)? else {
            return Ok(());
        };
        self.replace_by(&staged, &FinishedUpload { upload, ..finished.clone() }).await
    }

    /// Makes the object of a sealed upload appear. Nothing asks whether another object has come
    /// between the look at its name and the copy: servers that need copies can't do that, and
    /// such names are used once.
    pub(super) async fn commit(
        &self,
        path: &BlobPath,
        object: &Object,
        finished: &FinishedUpload,
    ) -> Result<CompleteOutcome, BlobError> {
        let Some((staged, _)) = self.staged_upload(path, &finished.upload)? else {
            return self.complete(object, finished).await;
        };
        let mut outcome = self.find(object, &finished.note).await?;
        if outcome == CompleteOutcome::Gone {
            outcome = match self.copy_object(&staged, object).await {
                Ok(()) => CompleteOutcome::Completed,
                // Nothing to copy: somebody else has done so by now, or nobody ever will.
                Err(error) if error.kind == BlobErrorKind::NotFound => {
                    self.find(object, &finished.note).await?
                }
                Err(error) => return Err(error),
            };
        }
        if matches!(outcome, CompleteOutcome::Completed | CompleteOutcome::CompletedBefore) {
            self.delete_object(&staged, Repeat::Yes).await?;
        }
        Ok(outcome)
    }

    /// Throws an upload away, with a single try.
    pub(super) async fn discard(
        &self,
        path: &BlobPath,
        object: &Object,
        upload: &UploadId,
    ) -> Result<(), BlobError> {
        let Some((staged, id)) = self.staged_upload(path, upload)? else {
            return self.abort(object, upload).await;
        };
        if !id.0.is_empty() {
            self.abort(&staged, &id).await?;
        }
        self.delete_object(&staged, Repeat::No).await
    }

    /// The uploads that aren't completed, staged or not.
    pub(super) async fn all_uploads(
        &self,
        prefix: &BlobPath,
        object: &Object,
    ) -> Result<Vec<(BlobPath, UploadId)>, BlobError> {
        let staged = self.staged(prefix)?;
        let mut found = self.list_uploads(object).await?;
        found.extend(self.list_uploads(&staged).await?);
        let sealed = self.list_from(&staged).await?;
        found.extend(sealed.into_iter().map(|path| (path, UploadId(String::new()))));
        let mut found: Vec<_> = found.into_iter().map(unstaged).collect();
        found.sort();
        // The whole location's uploads are listed with those that are staged there.
        found.dedup();
        Ok(found)
    }
}

/// An upload under the path that it is for.
fn unstaged((path, id): (BlobPath, UploadId)) -> (BlobPath, UploadId) {
    let rest = path.as_str().strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/'));
    match rest.map(BlobPath::parse) {
        Some(Ok(of)) => (of, UploadId(format!("{STAGED}{}", id.0))),
        _ => (path, id),
    }
}
