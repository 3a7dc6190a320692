//! A block: some rows' bytes, compressed, under a checksum. Not here: what the bytes mean.

use super::error::{Place, RunError};

/// Rows are gathered until a block has this many bytes before compression.
pub(super) const TARGET_LENGTH: usize = 64 * 1024;
/// A row must fit a block, and a block's length fits 32 bits with room.
pub(super) const MAX_LENGTH: usize = 1 << 30;

const STORED: u8 = 0;
const LZ4: u8 = 1;
/// Codec and length before compression.
const PREFIX: usize = 5;
/// Checksum.
const SUFFIX: usize = 4;
/// LZ4 can't expand a byte into more than this many.
const LZ4_MAX_RATIO: usize = 255;

/// Appends the block that holds `raw`.
pub(super) fn write(raw: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let bound = lz4_flex::block::get_maximum_output_size(raw.len());
    out.resize(start + PREFIX + bound, 0);
    let compressed = lz4_flex::block::compress_into(raw, &mut out[start + PREFIX..]);
    match compressed {
        Ok(length) if length < raw.len() => {
            out.truncate(start + PREFIX + length);
            out[start] = LZ4;
        }
        _ => {
            out.truncate(start + PREFIX);
            out.extend_from_slice(raw);
            out[start] = STORED;
        }
    }
    out[start + 1..start + PREFIX].copy_from_slice(&(raw.len() as u32).to_le_bytes());
    let checksum = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// The rows' bytes of a block, into `raw`.
pub(super) fn read(
    block: &[u8],
    raw: &mut Vec<u8>,
    place: impl Fn() -> Place,
) -> Result<(), RunError> {
    let corrupt = |reason: String| Err(RunError::corrupt(place(), reason));
    let Some((body, checksum)) = block.split_last_chunk::<SUFFIX>() else {
        return corrupt(format!("{} bytes are too few for a block", block.len()));
    };
    if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
        return corrupt("its checksum doesn't match".into());
    }
    let Some((prefix, payload)) = body.split_first_chunk::<PREFIX>() else {
        return corrupt(format!("{} bytes are too few for a block", block.len()));
    };
    let [codec, a, b, c, d] = *prefix;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    raw.clear();
    match codec {
        STORED if payload.len() == length => raw.extend_from_slice(payload),
        LZ4 if length <= payload.len().saturating_mul(LZ4_MAX_RATIO) => {
            raw.resize(length, 0);
            match lz4_flex::block::decompress_into(payload, raw) {
                Ok(written) if written == length => {}
                Ok(written) => return corrupt(format!("{written} bytes instead of {length}")),
                Err(error) => return corrupt(format!("it doesn't decompress: {error}")),
            }
        }
        STORED | LZ4 => return corrupt(format!("{length} bytes can't be in {}", payload.len())),
        other => {
            let feature = format!("block codec {other}");
            return Err(RunError::Unsupported { place: place(), feature });
        }
    }
    Ok(())
}
