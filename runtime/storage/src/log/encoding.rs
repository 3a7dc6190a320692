//! An entry as bytes: JSON followed by a line with its CRC-32C.
//!
//! Version 2 is version 1 and the entry's owner; an entry without one is written as version 1.

use serde::{Deserialize, Serialize};
use thalweg_core::ids::{Epoch, JobId};

use super::entry::{EntryBody, EntryHeader, LogEntry, LogPosition, Published, WriterId};
use super::error::LogError;

/// The highest version that is read. One without an owner is written as the first.
const FORMAT_VERSION: u32 = 2;
const WITHOUT_OWNER: u32 = 1;

/// The longest entry in bytes. Its text is a host, a path, or a failure's message.
const MAX_LENGTH: usize = 64 * 1024;

/// The last line: this and eight hexadecimal digits.
const TRAILER: &str = "crc32c:";

/// What every version's entry says.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format_version: u32,
    job_id: String,
    position: LogPosition,
    epoch: Epoch,
    writer: String,
    nonce: u64,
    previous_publish: Option<Published>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    body: EntryBody,
}

impl LogEntry {
    /// The entry as it's stored.
    ///
    /// # Errors
    /// It's too long, or contradicts itself.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LogError> {
        let position = self.header.position;
        let unfit = |reason: String| LogError::Unfit { position, reason };
        if self.header.kind != self.body.kind() {
            return Err(unfit("its kind and its body differ".to_owned()));
        }
        let stored = Stored {
            format_version: version(self.owner.as_ref()),
            job_id: self.job_id.to_string(),
            position,
            epoch: self.header.epoch,
            writer: self.header.writer.to_string(),
            nonce: self.header.nonce,
            previous_publish: self.header.previous_publish,
            owner: self.owner.clone(),
            body: self.body.clone(),
        };
        let mut bytes =
            serde_json::to_vec_pretty(&stored).map_err(|error| unfit(error.to_string()))?;
        bytes.push(b'\n');
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(format!("{TRAILER}{checksum:08x}\n").as_bytes());
        if bytes.len() > MAX_LENGTH {
            return Err(unfit(format!("it has {} bytes, at most {MAX_LENGTH} fit", bytes.len())));
        }
        Ok(bytes)
    }

    /// The entry that these bytes are, read from `place`, which must be at `position` of `job`.
    ///
    /// # Errors
    /// They aren't one that this build reads, or it's another place's.
    pub fn from_bytes(
        bytes: &[u8],
        place: &str,
        job_id: JobId,
        position: LogPosition,
    ) -> Result<LogEntry, LogError> {
        let damaged = |reason: String| LogError::Damaged { place: place.to_owned(), reason };
        let length = TRAILER.len() + 9;
        let (body, trailer) = bytes
            .split_at_checked(bytes.len().wrapping_sub(length))
            .ok_or_else(|| damaged("it's cut off".to_owned()))?;
        let expected = format!("{TRAILER}{:08x}\n", crc32c::crc32c(body));
        if trailer != expected.as_bytes() {
            return Err(damaged("its checksum doesn't match, or it's cut off".to_owned()));
        }
        let json = |error: serde_json::Error| damaged(error.to_string());
        let Version { format_version: found } = serde_json::from_slice(body).map_err(json)?;
        if !(WITHOUT_OWNER..=FORMAT_VERSION).contains(&found) {
            let supported = FORMAT_VERSION;
            return Err(LogError::Version { place: place.to_owned(), found, supported });
        }
        let stored: Stored = serde_json::from_slice(body).map_err(json)?;
        if stored.format_version != version(stored.owner.as_ref()) {
            return Err(damaged("its version and its owner contradict each other".to_owned()));
        }
        let job: JobId =
            stored.job_id.parse().map_err(|_| damaged("its job_id isn't an id".to_owned()))?;
        if (job, stored.position) != (job_id, position) {
            return Err(damaged(format!("it's entry {} of job {job}", stored.position)));
        }
        let writer = u128::from_str_radix(&stored.writer, 16)
            .map(WriterId)
            .ok()
            .filter(|writer| writer.to_string() == stored.writer)
            .ok_or_else(|| damaged("its writer isn't 32 hexadecimal digits".to_owned()))?;
        let header = EntryHeader {
            position,
            epoch: stored.epoch,
            writer,
            nonce: stored.nonce,
            kind: stored.body.kind(),
            previous_publish: stored.previous_publish,
        };
        Ok(LogEntry { job_id, header, owner: stored.owner, body: stored.body })
    }
}

/// The version that an entry is written in.
fn version(owner: Option<&String>) -> u32 {
    if owner.is_some() { FORMAT_VERSION } else { WITHOUT_OWNER }
}
