//! One run on its way to a store, while its bytes come. As long as there are few they stay here;
//! then it's a large run, which has an object of its own and goes there piece by piece. Not here:
//! where the bytes come from, and what becomes of small runs.

use thalweg_storage::blob::BlobWriter;
use thalweg_storage::{BlobError, BlobPath, BlobStore};

use super::LARGE_RUN_BYTES;

/// A run whose bytes come over time.
pub(super) struct RunUpload<'s> {
    store: &'s dyn BlobStore,
    path: BlobPath,
    /// What came while it was small.
    few: Vec<u8>,
    own: Option<Box<dyn BlobWriter + 's>>,
    length: u64,
    crc32c: u32,
}

/// A run of which all has come.
pub(super) enum UploadedRun {
    /// It is still here.
    Small(Vec<u8>),
    /// It is stored in the object that it has to itself.
    Large { length: u64, crc32c: u32 },
}

impl<'s> RunUpload<'s> {
    /// `path` is the object that it has if it is large.
    pub(super) fn new(store: &'s dyn BlobStore, path: BlobPath) -> Self {
        Self { store, path, few: Vec::new(), own: None, length: 0, crc32c: 0 }
    }

    /// Takes the next bytes. Waits while too many are on their way.
    pub(super) async fn append(&mut self, bytes: Vec<u8>) -> Result<(), BlobError> {
        self.length += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &bytes);
        if let Some(own) = &mut self.own {
            return own.append(bytes).await;
        }
        if self.few.is_empty() {
            self.few = bytes;
        } else {
            self.few.extend_from_slice(&bytes);
        }
        if self.few.len() >= LARGE_RUN_BYTES {
            let own = self.own.insert(self.store.writer(&self.path));
            own.append(std::mem::take(&mut self.few)).await?;
        }
        Ok(())
    }

    /// All has come. Where it is large it is stored when this returns.
    pub(super) async fn finish(self) -> Result<UploadedRun, BlobError> {
        let Some(own) = self.own else { return Ok(UploadedRun::Small(self.few)) };
        own.finish().await?;
        Ok(UploadedRun::Large { length: self.length, crc32c: self.crc32c })
    }
}

#[cfg(test)]
mod tests {
    use thalweg_storage::MemoryStore;

    use super::*;

    const NAME: &str = "job/chk-1/run";

    async fn upload(pieces: &[usize]) -> (MemoryStore, Vec<u8>, UploadedRun) {
        let store = MemoryStore::new();
        let mut upload = RunUpload::new(&store, BlobPath::parse(NAME).unwrap());
        let mut all = Vec::new();
        for (number, length) in (0_u8..).zip(pieces) {
            let piece = vec![number; *length];
            all.extend_from_slice(&piece);
            upload.append(piece).await.unwrap();
            assert!(store.list(&BlobPath::root()).await.unwrap().is_empty(), "it isn't whole");
        }
        let uploaded = upload.finish().await.unwrap();
        (store, all, uploaded)
    }

    #[tokio::test]
    async fn a_run_is_small_up_to_the_bound_however_its_bytes_come() {
        for pieces in [vec![], vec![0], vec![LARGE_RUN_BYTES - 1], vec![3, LARGE_RUN_BYTES - 4]] {
            let (store, all, uploaded) = upload(&pieces).await;
            let UploadedRun::Small(bytes) = uploaded else { panic!("{pieces:?}") };
            assert!(bytes == all, "{pieces:?}");
            assert!(store.list(&BlobPath::root()).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn a_large_run_has_its_own_object_with_all_that_came() {
        let half = LARGE_RUN_BYTES / 2;
        for pieces in [vec![LARGE_RUN_BYTES], vec![half, half], vec![1, half, half, half, 7, 0]] {
            let (store, all, uploaded) = upload(&pieces).await;
            let UploadedRun::Large { length, crc32c } = uploaded else { panic!("{pieces:?}") };
            let stored = store.get(&BlobPath::parse(NAME).unwrap()).await.unwrap();
            assert!(stored == all && length == all.len() as u64, "{pieces:?}");
            assert_eq!(crc32c, crc32c::crc32c(&all));
        }
    }

    #[tokio::test]
    async fn a_run_that_is_given_up_leaves_nothing() {
        let store = MemoryStore::new();
        let mut upload = RunUpload::new(&store, BlobPath::parse(NAME).unwrap());
        upload.append(vec![1; LARGE_RUN_BYTES + 1]).await.unwrap();
        drop(upload);
        assert!(store.list(&BlobPath::root()).await.unwrap().is_empty());
    }
}
