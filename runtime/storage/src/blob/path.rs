//! Names of blobs: relative paths that mean the same in every store. Not here: which names
//! checkpoints use, which is [`layout`](crate::layout)'s.

use std::fmt;

use thiserror::Error;

/// Longest path in bytes: that of S3.
const MAX_LENGTH: usize = 1024;

/// A name of the form `folder/folder/name`: parts of letters, digits and `-_.=`, none of them
/// empty, `.` or `..`, and none beginning with `.`. The empty path is the store's root folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobPath(String);

/// A text that isn't the name of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} can't name a blob: {reason}; use a relative path of at most 1024 letters, digits \
     and -_.= in parts separated by /"
)]
pub struct BlobPathError {
    text: String,
    reason: &'static str,
}

impl BlobPath {
    /// The store's root folder.
    pub fn root() -> BlobPath {
        BlobPath(String::new())
    }

    /// The path with this text.
    ///
    /// # Errors
    /// The text isn't of the form above.
    pub fn parse(text: &str) -> Result<BlobPath, BlobPathError> {
        if text.is_empty() {
            return Ok(BlobPath::root());
        }
        BlobPath::root().join(text)
    }

    /// The path that continues this one with `rest`, which may have several parts.
    ///
    /// # Errors
    /// `rest` isn't of the form above, or the whole would be too long.
    pub fn join(&self, rest: &str) -> Result<BlobPath, BlobPathError> {
        let error = |reason| Err(BlobPathError { text: rest.chars().take(200).collect(), reason });
        for part in rest.split('/') {
            if part.is_empty() {
                return error("a part is empty, or it's absolute");
            }
            if part.starts_with('.') {
                return error("a part begins with a dot");
            }
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
            if !part.bytes().all(allowed) {
                return error("a part holds another character");
            }
        }
        let separator = if self.0.is_empty() { "" } else { "/" };
        let text = format!("{}{separator}{rest}", self.0);
        if text.len() > MAX_LENGTH {
            return error("it's too long");
        }
        Ok(BlobPath(text))
    }

    /// The path as text, without a leading or trailing `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the path is `folder` or lies within it.
    pub fn is_within(&self, folder: &BlobPath) -> bool {
        match self.0.strip_prefix(&folder.0) {
            Some(rest) => folder.0.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

impl fmt::Display for BlobPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
