//! Output lines: reading an application's folder of part files, comparing, writing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use crate::OracleError;
use crate::input::visible_files;

/// How many differing lines a failed comparison shows.
const DIFFERENCES_SHOWN: usize = 10;

/// A line as the applications write it: compact JSON, fields in the order of the struct.
pub(crate) fn json_line(value: &impl Serialize) -> Result<String, OracleError> {
    Ok(serde_json::to_string(value)?)
}

/// All lines of an output, sorted: of the file, or of all part files below the folder.
///
/// Names that start with `.` or `_` aren't output.
///
/// # Errors
/// A file or folder that can't be read, or isn't UTF-8.
pub fn read_output(path: impl AsRef<Path>) -> Result<Vec<String>, OracleError> {
    let mut lines = Vec::new();
    for file in visible_files(path.as_ref())? {
        let content = fs::read_to_string(&file)
            .map_err(|source| OracleError::io("reading", &file, source))?;
        lines.extend(content.lines().map(str::to_owned));
    }
    lines.sort();
    Ok(lines)
}

/// Compares two outputs as multisets of lines: order doesn't matter, how often a line occurs does.
///
/// # Errors
/// A text for people: how many lines differ, and the first of them with their counts.
pub fn compare(expected: &[String], actual: &[String]) -> Result<(), String> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for line in expected {
        counts.entry(line).or_default().0 += 1;
    }
    for line in actual {
        counts.entry(line).or_default().1 += 1;
    }
    counts.retain(|_, (expected, actual)| expected != actual);
    if counts.is_empty() {
        return Ok(());
    }
    let mut report = format!(
        "{} lines expected, {} found; {} distinct lines differ:",
        expected.len(),
        actual.len(),
        counts.len()
    );
    for (line, (expected, actual)) in counts.iter().take(DIFFERENCES_SHOWN) {
        let kind = match (expected, actual) {
            (_, 0) => "missing",
            (0, _) => "unexpected",
            _ => "wrong count",
        };
        // Writing to a String can't fail.
        let _ = write!(report, "\n  {kind} (expected {expected}x, found {actual}x): {line}");
    }
    if counts.len() > DIFFERENCES_SHOWN {
        let _ = write!(report, "\n  and {} more", counts.len() - DIFFERENCES_SHOWN);
    }
    Err(report)
}

/// Writes the lines to a file, or to standard output without one.
///
/// # Errors
/// A file that can't be created or written.
pub fn write_lines(path: Option<&Path>, lines: &[String]) -> Result<(), OracleError> {
    let write_all = |out: &mut dyn Write| -> io::Result<()> {
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()
    };
    match path {
        None => write_all(&mut BufWriter::new(io::stdout().lock()))
            .map_err(|source| OracleError::io("writing", Path::new("standard output"), source)),
        Some(path) => fs::File::create(path)
            .and_then(|file| write_all(&mut BufWriter::new(file)))
            .map_err(|source| OracleError::io("writing", path, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<const N: usize>(lines: [&str; N]) -> Vec<String> {
        lines.map(str::to_owned).to_vec()
    }

    #[test]
    fn output_is_read_from_all_visible_part_files_and_sorted() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("sub")).unwrap();
        write_lines(Some(&folder.path().join("part-1")), &lines(["b", "a"])).unwrap();
        write_lines(Some(&folder.path().join("sub/part-0")), &lines(["c", "a"])).unwrap();
        write_lines(Some(&folder.path().join("_part-2")), &lines(["x"])).unwrap();
        write_lines(Some(&folder.path().join(".part-3")), &lines(["y"])).unwrap();
        assert_eq!(read_output(folder.path()).unwrap(), ["a", "a", "b", "c"]);
        assert!(read_output(folder.path().join("none")).is_err());
    }

    #[test]
    fn outputs_are_compared_as_multisets() {
        assert_eq!(compare(&lines(["a", "b", "a"]), &lines(["b", "a", "a"])), Ok(()));
        let report = compare(&lines(["a", "b", "c"]), &lines(["b", "b", "a", "d"])).unwrap_err();
        assert_eq!(
            report,
            "3 lines expected, 4 found; 3 distinct lines differ:\
             \n  wrong count (expected 1x, found 2x): b\
             \n  missing (expected 1x, found 0x): c\
             \n  unexpected (expected 0x, found 1x): d"
        );
    }

    #[test]
    fn a_comparison_shows_only_the_first_differences() {
        let many: Vec<String> = (0..25).map(|number| format!("{number:02}")).collect();
        let report = compare(&many, &[]).unwrap_err();
        assert!(report.contains(": 09") && !report.contains(": 10"), "{report}");
        assert!(report.ends_with("and 15 more"), "{report}");
    }
}
