//! Why a store couldn't do what it was asked.

use std::fmt;
use std::io;

use thiserror::Error;

/// What kind of failure it is, for those that react to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobErrorKind {
    /// There's no blob of that name.
    NotFound,
    /// The blob is shorter than the range asked for.
    Range,
    /// Reading, writing, listing or deleting isn't permitted.
    Permission,
    /// The store is full.
    Full,
    /// Anything else; a repeat may succeed.
    Other,
}

/// A store's failure.
#[derive(Debug, Error)]
#[error("can't {action} {place}: {source}{}", Remedy(*kind, place.starts_with("s3://")))]
pub struct BlobError {
    /// What was tried: "read", "write", ...
    pub action: &'static str,
    /// The blob or file it was tried on.
    pub place: String,
    /// Which kind of failure it is.
    pub kind: BlobErrorKind,
    /// What the system said.
    pub source: io::Error,
}

/// The remedy for a kind of failure, and whether it's one of S3, whose client names its own.
struct Remedy(BlobErrorKind, bool);

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.0, self.1) {
            (BlobErrorKind::NotFound, true) => {
                "; check that the configured bucket and prefix are the ones that were written to"
            }
            (BlobErrorKind::Permission, true) => "",
            (BlobErrorKind::Full, true) => "; free some space, or configure another bucket",
            (BlobErrorKind::NotFound, false) => {
                "; check that the configured folder is the one that was written to"
            }
            (BlobErrorKind::Range, _) => {
                "; the blob was cut off or replaced, use another checkpoint"
            }
            (BlobErrorKind::Permission, false) => {
                "; give the user that runs this process access to that folder"
            }
            (BlobErrorKind::Full, false) => "; free some space, or configure another folder",
            (BlobErrorKind::Other, _) => "",
        })
    }
}

impl BlobError {
    pub(super) fn new(
        action: &'static str,
        place: impl fmt::Display,
        source: io::Error,
    ) -> BlobError {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => BlobErrorKind::NotFound,
            io::ErrorKind::UnexpectedEof => BlobErrorKind::Range,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                BlobErrorKind::Permission
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobErrorKind::Full,
            _ => BlobErrorKind::Other,
        };
        BlobError { action, place: place.to_string(), kind, source }
    }

    pub(super) fn range(place: impl fmt::Display, start: u64, end: u64, size: u64) -> BlobError {
        let reason = format!("bytes {start} to {end} were asked for, it has {size}");
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, reason);
        BlobError::new("read", place, source)
    }
}
