//! The process's client of S3, from its configuration.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::s3::{self, S3CredentialsSource, S3UploadCommit};
use thalweg_storage::blob::s3::{
    RetrySettings, S3Client, S3Credentials, S3Location, S3Settings, S3Store, UploadCommit,
};
use thalweg_storage::blob::{BlobErrorKind, RequestMetrics};
use thalweg_storage::{BlobError, BlobStore};

/// Opens stores in S3 with one client.
pub(super) struct S3 {
    settings: S3Settings,
    seed: u64,
    client: Mutex<Option<S3Client>>,
}

impl S3 {
    pub(super) fn new(configuration: &Configuration, seed: u64) -> Self {
        Self { settings: settings(configuration), seed, client: Mutex::default() }
    }

    /// The client, made by the first who needs it.
    fn client(&self) -> Result<S3Client, BlobError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        Ok(client.insert(S3Client::new(self.settings.clone(), self.seed)?).clone())
    }

    pub(super) fn open(&self, location: &str) -> Result<Arc<dyn BlobStore>, BlobError> {
        let parsed = S3Location::parse(location).map_err(|error| BlobError {
            action: "open",
            place: location.to_owned(),
            kind: BlobErrorKind::Other,
            source: io::Error::new(io::ErrorKind::InvalidInput, error),
        })?;
        Ok(Arc::new(S3Store::new(self.client()?, parsed)))
    }

    pub(super) fn requests(&self) -> Option<Arc<RequestMetrics>> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client.as_ref().map(|client| client.requests().clone())
    }
}

fn settings(configuration: &Configuration) -> S3Settings {
    let get = configuration;
    let keys = get.get(&s3::ACCESS_KEY).zip(get.get(&s3::SECRET_KEY));
    let credentials = match (get.get(&s3::CREDENTIALS_SOURCE), keys) {
        (S3CredentialsSource::Auto | S3CredentialsSource::Keys, Some((access, secret))) => {
            S3Credentials::Keys { access, secret }
        }
        // Without keys `KEYS` was refused when the configuration was read.
        (S3CredentialsSource::Auto | S3CredentialsSource::Keys, None) => S3Credentials::Auto,
        (S3CredentialsSource::Environment, _) => S3Credentials::Environment,
        (S3CredentialsSource::Profile, _) => S3Credentials::Profile,
        (S3CredentialsSource::WebIdentity, _) => S3Credentials::WebIdentity,
    };
    S3Settings {
        endpoint: get.get(&s3::ENDPOINT),
        region: get.get(&s3::REGION),
        path_style: get.get(&s3::PATH_STYLE_ACCESS),
        credentials,
        profile: get.get(&s3::PROFILE),
        connection_timeout: get.get(&s3::CONNECTION_TIMEOUT),
        request_timeout: get.get(&s3::REQUEST_TIMEOUT),
        retry: RetrySettings {
            timeout: get.get(&s3::RETRY_TIMEOUT),
            initial_backoff: get.get(&s3::RETRY_INITIAL_BACKOFF),
            max_backoff: get.get(&s3::RETRY_MAX_BACKOFF),
        },
        part_bytes: get.get(&s3::UPLOAD_PART_SIZE).bytes(),
        concurrent_parts: usize::try_from(get.get(&s3::UPLOAD_CONCURRENCY)).unwrap_or(1),
        upload_commit: match get.get(&s3::UPLOAD_COMMIT) {
            S3UploadCommit::Auto => UploadCommit::Auto,
            S3UploadCommit::Complete => UploadCommit::Completion,
            S3UploadCommit::Copy => UploadCommit::Copy,
        },
    }
}
