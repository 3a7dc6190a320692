//! A run's fixed first and last bytes: magic, version, and where description and index are.

use super::description::RunKind;
use super::error::{Place, RunError};

/// The first and the last eight bytes of every run.
pub(super) const MAGIC: [u8; 8] = *b"THALWRUN";
/// The version that is written, and the highest that is read.
pub(super) const VERSION: u16 = 1;
/// The feature of delta runs: without the runs before it, this one is no snapshot. So a reader
/// that doesn't know delta runs refuses it.
const FEATURE_DELTA: u16 = 1;
/// Bytes of the header.
pub(super) const HEADER_LENGTH: usize = 16;
/// Bytes of the footer.
pub(super) const FOOTER_LENGTH: usize = 56;

/// The features that a run of this kind needs.
fn features(kind: RunKind) -> u16 {
    match kind {
        RunKind::Base => 0,
        RunKind::Delta => FEATURE_DELTA,
    }
}

/// A run's first bytes.
pub(super) fn header(kind: RunKind) -> [u8; HEADER_LENGTH] {
    let mut bytes = [0; HEADER_LENGTH];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    bytes[10..12].copy_from_slice(&features(kind).to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The kind of run that this is the header of; refuses what isn't one that this build reads.
pub(super) fn check_header(bytes: &[u8; HEADER_LENGTH]) -> Result<RunKind, RunError> {
    if bytes[..8] != MAGIC {
        return Err(not_a_run(Place::Header));
    }
    if number::<4>(bytes, 12) != u64::from(crc32c::crc32c(&bytes[..12])) {
        return Err(RunError::corrupt(Place::Header, "its checksum doesn't match"));
    }
    kind_of(Place::Header, number::<2>(bytes, 8) as u16, number::<2>(bytes, 10) as u16)
}

/// A section of the run outside its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    /// Where it starts.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) length: u32,
    /// CRC-32C of its bytes.
    pub(super) checksum: u32,
}

/// A run's last bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) kind: RunKind,
    pub(super) description: Section,
    pub(super) index: Section,
    /// Number of rows in the whole run.
    pub(super) rows: u64,
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_LENGTH] {
        let mut bytes = [0; FOOTER_LENGTH];
        for (section, start) in [(self.description, 0), (self.index, 16)] {
            bytes[start..start + 8].copy_from_slice(&section.offset.to_le_bytes());
            bytes[start + 8..start + 12].copy_from_slice(&section.length.to_le_bytes());
            bytes[start + 12..start + 16].copy_from_slice(&section.checksum.to_le_bytes());
        }
        bytes[32..40].copy_from_slice(&self.rows.to_le_bytes());
        bytes[40..42].copy_from_slice(&VERSION.to_le_bytes());
        bytes[42..44].copy_from_slice(&features(self.kind).to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..44]);
        bytes[44..48].copy_from_slice(&checksum.to_le_bytes());
        bytes[48..].copy_from_slice(&MAGIC);
        bytes
    }

    /// The footer of a run of `size` bytes; its sections are known to be where they must be.
    pub(super) fn decode(bytes: &[u8; FOOTER_LENGTH], size: u64) -> Result<Footer, RunError> {
        if bytes[48..] != MAGIC {
            return Err(not_a_run(Place::Footer));
        }
        if number::<4>(bytes, 44) != u64::from(crc32c::crc32c(&bytes[..44])) {
            return Err(RunError::corrupt(Place::Footer, "its checksum doesn't match"));
        }
        let (version, features) = (number::<2>(bytes, 40) as u16, number::<2>(bytes, 42) as u16);
        let kind = kind_of(Place::Footer, version, features)?;
        let section = |start: usize| Section {
            offset: number::<8>(bytes, start),
            length: number::<4>(bytes, start + 8) as u32,
            checksum: number::<4>(bytes, start + 12) as u32,
        };
        let (description, index) = (section(0), section(16));
        let footer = Footer { kind, description, index, rows: number::<8>(bytes, 32) };
        // No byte of the run may lie outside what some checksum covers.
        let adjacent = footer.description.offset >= HEADER_LENGTH as u64
            && footer.description.end() == Some(footer.index.offset)
            && footer.index.end() == size.checked_sub(FOOTER_LENGTH as u64);
        if !adjacent {
            return Err(RunError::corrupt(
                Place::Footer,
                format!("description and index don't fill the run of {size} bytes; is it cut?"),
            ));
        }
        Ok(footer)
    }
}

impl Section {
    fn end(&self) -> Option<u64> {
        self.offset.checked_add(u64::from(self.length))
    }
}

fn kind_of(place: Place, version: u16, features: u16) -> Result<RunKind, RunError> {
    if version != VERSION {
        return Err(RunError::Version { found: version, supported: VERSION });
    }
    match features {
        0 => Ok(RunKind::Base),
        FEATURE_DELTA => Ok(RunKind::Delta),
        _ => {
            let feature = format!("features {features:#06x}");
            Err(RunError::Unsupported { place, feature })
        }
    }
}

fn not_a_run(place: Place) -> RunError {
    RunError::NotARun { place, reason: "doesn't hold the magic bytes THALWRUN" }
}

/// The little-endian number of `N` bytes at `start`, which the caller knows to be there.
fn number<const N: usize>(bytes: &[u8], start: usize) -> u64 {
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(&bytes[start..start + N]);
    u64::from_le_bytes(wide)
}
