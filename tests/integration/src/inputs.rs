//! Input for the applications, made anew for each test, and what they must output for it.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use thalweg_oracle::fraud_detection::{self, FraudOutput};
use thalweg_oracle::generator::{FraudDetectionData, PersonalisationData};
use thalweg_oracle::personalisation::{self, PersonalisationOutput};
use thalweg_oracle::{compare, read_output};

/// The files of each input.
const FILES: usize = 3;

/// Compares a folder of part files with what must be in it.
///
/// # Panics
/// They differ.
pub fn check_output(what: &str, expected: &[String], folder: &Path) {
    assert!(!expected.is_empty(), "{what}: nothing is expected, so nothing is compared");
    let actual = read_output(folder).unwrap_or_else(|e| panic!("{what}: {e}"));
    compare(expected, &actual).unwrap_or_else(|difference| panic!("{what}: {difference}"));
    let entries = fs::read_dir(folder).expect("it was read just now");
    let names = entries.map(|e| e.expect("it was read just now").file_name());
    let left: Vec<_> = names.filter(|n| n.as_encoded_bytes().starts_with(b".")).collect();
    assert!(left.is_empty(), "{what}: files were never committed or removed: {left:?}");
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary paths are UTF-8").to_owned()
}

/// Card payments in a temporary folder, with the alerts and late rows that they give.
#[derive(Debug)]
pub struct FraudInput {
    folder: TempDir,
    expected: FraudOutput,
}

impl FraudInput {
    /// So many rows, in three files.
    pub fn new(rows: u64, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("transactions");
        let data = FraudDetectionData { rows, accounts: 1_000, seed };
        data.write_to(&path, FILES).expect("input can be written");
        Self::of(folder)
    }

    /// The same with all files but the last one cut off after so many rows.
    pub fn with_short_files(rows: u64, seed: u64, rows_of_short_ones: usize) -> Self {
        let Self { folder, .. } = Self::new(rows, seed);
        for number in 0..FILES - 1 {
            let path = folder.path().join(format!("transactions/part-{number:03}.csv"));
            let text = fs::read_to_string(&path).expect("it was written just now");
            let short: String = text.split_inclusive('\n').take(rows_of_short_ones + 1).collect();
            fs::write(&path, short).expect("it was written just now");
        }
        Self::of(folder)
    }

    fn of(folder: TempDir) -> Self {
        let expected = fraud_detection::run(folder.path().join("transactions"));
        Self { folder, expected: expected.expect("the oracle reads what was generated") }
    }

    /// A folder for whatever belongs to a run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The application's arguments for the run `name`, each of which has an output of its own.
    pub fn arguments(&self, name: &str, more: &[&str]) -> Vec<String> {
        let mut arguments = vec!["--transactions".to_owned(), text(&self.path("transactions"))];
        for output in ["alerts", "late"] {
            let folder = self.path(&format!("{name}-{output}"));
            arguments.extend([format!("--{output}"), text(&folder)]);
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        arguments
    }

    /// The arguments for the run `name` with its output in this store.
    pub fn arguments_in(&self, store: &str, name: &str, more: &[&str]) -> Vec<String> {
        let mut arguments = vec!["--transactions".to_owned(), text(&self.path("transactions"))];
        for output in ["alerts", "late"] {
            arguments.extend([format!("--{output}"), format!("{store}/{name}-{output}")]);
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        arguments
    }

    /// Compares the output of the run `name`.
    ///
    /// # Panics
    /// It isn't the oracle's.
    pub fn check(&self, name: &str) {
        for (output, expected) in [("alerts", &self.expected.alerts), ("late", &self.expected.late)]
        {
            let what = format!("{output} of the run {name}");
            check_output(&what, expected, &self.path(&format!("{name}-{output}")));
        }
    }
}

/// Views and purchases in a temporary folder, with what they give.
#[derive(Debug)]
pub struct PersonalisationInput {
    folder: TempDir,
    expected: PersonalisationOutput,
}

impl PersonalisationInput {
    /// So many rows of both, in three files each.
    pub fn new(rows: u64, seed: u64) -> Self {
        Self::in_files(rows, seed, FILES)
    }

    /// So many rows of both, in as many files each.
    pub fn in_files(rows: u64, seed: u64, files: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (views, purchases) = (folder.path().join("views"), folder.path().join("purchases"));
        let data = PersonalisationData { rows, users: 100, seed };
        data.write_to(&views, &purchases, files).expect("input can be written");
        let expected = personalisation::run(&views, &purchases);
        Self { folder, expected: expected.expect("the oracle reads what was generated") }
    }

    /// A file or folder for whatever belongs to a run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The application's arguments for the run `name` that say where its output goes.
    pub fn output_arguments(&self, name: &str) -> Vec<String> {
        let argument =
            |output| [format!("--{output}"), text(&self.path(&format!("{name}-{output}")))];
        ["sessions", "recommendations"].into_iter().flat_map(argument).collect()
    }

    /// The application's arguments for the run `name`, each of which has an output of its own.
    pub fn arguments(&self, name: &str, more: &[&str]) -> Vec<String> {
        let mut arguments = self.output_arguments(name);
        for input in ["views", "purchases"] {
            arguments.extend([format!("--{input}"), text(&self.path(input))]);
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        arguments
    }

    /// Compares the output of the run `name`.
    ///
    /// # Panics
    /// It isn't the oracle's.
    pub fn check(&self, name: &str) {
        let PersonalisationOutput { sessions, recommendations, .. } = &self.expected;
        for (output, expected) in [("sessions", sessions), ("recommendations", recommendations)] {
            let what = format!("{output} of the run {name}");
            check_output(&what, expected, &self.path(&format!("{name}-{output}")));
        }
    }
}
