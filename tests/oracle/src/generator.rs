//! Made-up input for the applications, of any size: the same options give the same bytes.
//!
//! Events happen in order of time and arrive in a file with bounded disorder; some rows are late,
//! by exactly one millisecond among others. Every rule is broken now and then, and nearly broken:
//! on the last millisecond or cent that counts, and on the first that doesn't.
//!
//! Not here: what the rules make of it. That is up to the oracle.

mod arrival;
mod dice;
mod fraud_detection;
mod names;
mod personalisation;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

pub use fraud_detection::FraudDetectionData;
pub use personalisation::PersonalisationData;

use crate::OracleError;

/// The time from which events happen: 2026-01-01T00:00:00Z, in milliseconds since 1970.
pub const START_MS: u64 = 1_767_225_600_000;

/// Creates the files of one input: `path` itself, or a folder of `files` many if that is above 1.
fn create_files(path: &Path, files: usize) -> Result<Vec<fs::File>, OracleError> {
    let create = |path: &Path| {
        fs::File::create(path).map_err(|source| OracleError::io("creating", path, source))
    };
    match files {
        0 => Err(OracleError::Options("the number of files must be at least 1".to_owned())),
        1 => Ok(vec![create(path)?]),
        _ => {
            fs::create_dir_all(path).map_err(|source| OracleError::io("creating", path, source))?;
            (0..files).map(|number| create(&path.join(format!("part-{number:03}.csv")))).collect()
        }
    }
}
