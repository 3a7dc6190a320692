//! Reading CSV: which files a path stands for, and their rows in the files' own order.
//!
//! Not here: what is late. That is a rule over the rows of a file, in `late`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::OracleError;

/// Above this an event time is refused, so that no window's end can overflow.
const EVENT_TIME_MS_MAX: u64 = i64::MAX as u64 / 2;

/// A row of one of the applications' inputs.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// The columns' names, in the order of the file and of this type's fields.
    const HEADER: &'static [&'static str];
    /// How far behind the highest event time of its file a row may be without being late.
    const BOUND_MS: u64;

    /// When the event happened, in milliseconds since 1970.
    fn event_time_ms(&self) -> u64;
    /// Moves the event to another time.
    fn set_event_time_ms(&mut self, event_time_ms: u64);
}

/// The rows of each file that `path` stands for: the file itself, or every file of the folder.
pub(crate) fn read_files<R: Row>(path: &Path) -> Result<Vec<Vec<R>>, OracleError> {
    visible_files(path)?.iter().map(|file| read_file(file)).collect()
}

fn read_file<R: Row>(path: &Path) -> Result<Vec<R>, OracleError> {
    let malformed = |source| OracleError::Csv { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(|source| OracleError::io("opening", path, source))?;
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().map_err(malformed)?;
    if header != R::HEADER {
        let found = header.iter().collect::<Vec<_>>().join(",");
        let expected = R::HEADER.join(",");
        return Err(OracleError::Header { path: path.to_owned(), expected, found });
    }
    let mut rows = Vec::new();
    for row in reader.deserialize() {
        let row: R = row.map_err(malformed)?;
        let event_time_ms = row.event_time_ms();
        if event_time_ms > EVENT_TIME_MS_MAX {
            return Err(OracleError::EventTime { path: path.to_owned(), event_time_ms });
        }
        rows.push(row);
    }
    Ok(rows)
}

/// `path` itself if it is a file, else the files below it in the order of their paths.
///
/// In a folder, names that start with `.` or `_` are neither input nor output.
pub(crate) fn visible_files(path: &Path) -> Result<Vec<PathBuf>, OracleError> {
    let metadata = fs::metadata(path).map_err(|source| OracleError::io("reading", path, source))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let listing = |source| OracleError::io("listing", path, source);
    let mut children = Vec::new();
    for entry in fs::read_dir(path).map_err(listing)? {
        let entry = entry.map_err(listing)?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && !name.as_encoded_bytes().starts_with(b"_")
        {
            children.push(entry.path());
        }
    }
    children.sort();
    let mut files = Vec::new();
    for child in children {
        files.extend(visible_files(&child)?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::personalisation::View;

    const HEADER: &str = "user_id,event_time_ms,product_id,category\n";

    #[test]
    fn a_folder_gives_each_visible_file_by_itself_in_the_order_of_paths() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("c")).unwrap();
        fs::create_dir(folder.path().join("_d")).unwrap();
        for (name, user) in [("b.csv", 2), ("a.csv", 1), ("c/x.csv", 3)] {
            fs::write(folder.path().join(name), format!("{HEADER}{user},5,6,\"a \"\"b\"\", ü\"\n"))
                .unwrap();
        }
        for name in [".a.csv", "_b.csv", "_d/x.csv"] {
            fs::write(folder.path().join(name), "not CSV of ours").unwrap();
        }
        let files = read_files::<View>(folder.path()).unwrap();
        let expected = [1, 2, 3].map(|user_id| {
            let category = "a \"b\", ü".to_owned();
            vec![View { user_id, event_time_ms: 5, product_id: 6, category }]
        });
        assert_eq!(files, expected);
    }

    #[test]
    fn bad_input_is_an_error_that_names_file_and_cause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("views.csv");
        for (content, cause) in [
            ("user_id,product_id,event_time_ms,category\n1,2,3,a\n".to_owned(), "header"),
            (format!("{HEADER}1,2,3,a\n1,-2,3,a\n"), "line: 3"),
            (format!("{HEADER}1,2,3\n"), "line: 2"),
            (format!("{HEADER}1,9223372036854775807,3,a\n"), "out of range"),
        ] {
            fs::write(&path, content).unwrap();
            let message = read_files::<View>(&path).unwrap_err().to_string();
            assert!(message.contains(cause) && message.contains("views.csv"), "{message}");
        }
        let missing = read_files::<View>(&folder.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("none"), "{missing}");
    }
}
