//! From the name of a place to its store. Not here: how S3 is configured, which the process knows.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::{BlobError, BlobErrorKind, BlobStore, DirectoryStore};

/// Opens stores by the names that stand in a configuration or a program: paths and URIs.
pub trait BlobStoreOpener: Send + Sync {
    /// The store of that name. May block.
    ///
    /// # Errors
    /// It can't be reached, or isn't of a kind that this build knows.
    fn open(&self, location: &str) -> Result<Arc<dyn BlobStore>, BlobError>;
}

impl fmt::Debug for dyn BlobStoreOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobStoreOpener")
    }
}

impl<F> BlobStoreOpener for F
where
    F: Fn(&str) -> Result<Arc<dyn BlobStore>, BlobError> + Send + Sync,
{
    fn open(&self, location: &str) -> Result<Arc<dyn BlobStore>, BlobError> {
        self(location)
    }
}

/// Opens directories and nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalStores;

impl BlobStoreOpener for LocalStores {
    fn open(&self, location: &str) -> Result<Arc<dyn BlobStore>, BlobError> {
        let path = match location.split_once("://") {
            None => location,
            Some(("file", path)) => path,
            Some((scheme, _)) => return Err(unknown(scheme, location)),
        };
        Ok(Arc::new(DirectoryStore::open(path)?))
    }
}

fn unknown(scheme: &str, location: &str) -> BlobError {
    let reason = match scheme {
        "s3" if !cfg!(feature = "s3") => {
            "this build can't reach S3; build the application with the cargo feature `s3` of \
             thalweg: cargo build --release --features thalweg/s3"
                .to_owned()
        }
        "s3" => "S3 can't be reached from here".to_owned(),
        "s3a" | "s3n" | "s3p" => "write s3:// in its place".to_owned(),
        _ => format!(
            "there is no store for {scheme}://; use a path or a file:// URI that all processes \
             see, or s3://BUCKET/PREFIX"
        ),
    };
    BlobError {
        action: "open",
        place: location.to_owned(),
        kind: BlobErrorKind::Other,
        source: io::Error::new(io::ErrorKind::Unsupported, reason),
    }
}
