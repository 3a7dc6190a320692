//! Small objects that people may want to read: JSON, `format_version` and `content`, followed by a
//! line with its CRC-32C. Each kind has versions of its own. Not here: what they say, nor the log's
//! entries and manifests, whose bytes are tested beside them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The last line: this and eight hexadecimal digits.
const TRAILER: &str = "crc32c:";

/// What every version of every object says.
#[derive(Deserialize)]
struct Version {
    format_version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<T> {
    format_version: u64,
    content: T,
}

/// An object isn't what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SealedError {
    /// The bytes aren't the whole object.
    #[error("{place} is damaged: {reason}")]
    Damaged {
        /// The object.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A later version's.
    #[error(
        "{place} has format version {found}, this build reads up to {supported}: use the version \
         that wrote it, or a later one"
    )]
    Version {
        /// The object.
        place: String,
        /// Its version.
        found: u64,
        /// The highest version that this build reads.
        supported: u64,
    },
    /// It can't be written.
    #[error("{place} can't be written: {reason}")]
    Unfit {
        /// The object.
        place: String,
        /// Why.
        reason: String,
    },
}

/// The bytes of an object in this version of its format; `place` names it in errors.
///
/// # Errors
/// It has no JSON.
pub fn to_bytes<T: Serialize>(
    content: &T,
    format_version: u64,
    place: &str,
) -> Result<Vec<u8>, SealedError> {
    let unfit = |error: serde_json::Error| SealedError::Unfit {
        place: place.to_owned(),
        reason: error.to_string(),
    };
    let mut bytes =
        serde_json::to_vec_pretty(&Sealed { format_version, content }).map_err(unfit)?;
    bytes.push(b'\n');
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(format!("{TRAILER}{checksum:08x}\n").as_bytes());
    Ok(bytes)
}

/// The object that these bytes are, if it is of a version up to `supported`.
///
/// # Errors
/// They aren't one that this build reads.
pub fn from_bytes<T: DeserializeOwned>(
    bytes: &[u8],
    supported: u64,
    place: &str,
) -> Result<T, SealedError> {
    let damaged = |reason: String| SealedError::Damaged { place: place.to_owned(), reason };
    let length = TRAILER.len() + 9;
    let (body, trailer) = bytes
        .split_at_checked(bytes.len().wrapping_sub(length))
        .ok_or_else(|| damaged("it's cut off".to_owned()))?;
    if trailer != format!("{TRAILER}{:08x}\n", crc32c::crc32c(body)).as_bytes() {
        return Err(damaged("its checksum doesn't match, or it's cut off".to_owned()));
    }
    let json = |error: serde_json::Error| damaged(error.to_string());
    let Version { format_version: found } = serde_json::from_slice(body).map_err(json)?;
    if found > supported {
        return Err(SealedError::Version { place: place.to_owned(), found, supported });
    }
    let sealed: Sealed<T> = serde_json::from_slice(body).map_err(json)?;
    Ok(sealed.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Content = std::collections::BTreeMap<String, u128>;

    #[test]
    fn what_is_sealed_is_read_back_and_any_damage_or_later_version_is_named() {
        let content = Content::from([("a".to_owned(), 1), ("b".to_owned(), u128::MAX)]);
        let bytes = to_bytes(&content, 3, "x").unwrap();
        assert_eq!(from_bytes::<Content>(&bytes, 3, "x").unwrap(), content);
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            let error = from_bytes::<Content>(&damaged, 3, "the place").unwrap_err();
            assert!(error.to_string().contains("the place is damaged"), "{error}");
            assert!(from_bytes::<Content>(&bytes[..place], 3, "x").is_err());
        }
        let error = from_bytes::<Content>(&bytes, 2, "x").unwrap_err().to_string();
        assert!(error.contains("format version 3, this build reads up to 2"), "{error}");
    }
}
