//! `allround`: its arguments, what its output must be, and the gates at which it can be made to
//! stop (see `allround::gates`).

use std::fs;
use std::path::{Path, PathBuf};

use allround::input::Input;
use allround::line::ALERT;
use tempfile::TempDir;
use thalweg_oracle::read_output;

use crate::inputs::check_output;
use crate::waiting::wait_until;

/// The keys of the input.
const KEYS: u64 = 40;

/// A folder for a run of `allround`, with its gates, and the size of its input.
#[derive(Debug)]
pub struct Soak {
    folder: TempDir,
    rows: u64,
}

impl Soak {
    /// An input of so many rows.
    pub fn new(rows: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::create_dir(folder.path().join("gates")).expect("a folder can be made");
        Self { folder, rows }
    }

    /// A folder for whatever belongs to the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The application's arguments, with its output in `output`.
    pub fn arguments(&self, output: &Path, more: &[&str]) -> Vec<String> {
        let (rows, keys) = (self.rows.to_string(), KEYS.to_string());
        let gates = self.path("gates");
        let text = |path: &Path| path.to_str().expect("temporary paths are UTF-8").to_owned();
        let (output, gates) = (text(output), text(&gates));
        let own = ["--rows", &rows, "--keys", &keys, "--output", &output, "--gates", &gates];
        own.iter().chain(more).map(|&argument| argument.to_owned()).collect()
    }

    /// Looks for what the application itself has found wrong, and compares its output with the
    /// oracle's.
    ///
    /// # Panics
    /// Something is wrong.
    pub fn check(&self, output: &Path) {
        let lines = read_output(output).unwrap_or_else(|e| panic!("allround's output: {e}"));
        let alerts: Vec<&String> = lines.iter().filter(|line| line.starts_with(ALERT)).collect();
        assert!(alerts.is_empty(), "allround has found: {alerts:#?}");
        let expected = allround::oracle::expected(Input::new(self.rows, KEYS));
        check_output("allround's output", &expected, output);
    }

    /// The same for a run that didn't come to its end: what it has output must be part of the
    /// oracle's, and no line is there more often.
    ///
    /// # Panics
    /// Something is wrong.
    pub fn check_part(&self, output: &Path) {
        let mut expected = allround::oracle::expected(Input::new(self.rows, KEYS)).into_iter();
        for line in read_output(output).unwrap_or_else(|e| panic!("allround's output: {e}")) {
            // Both ascend.
            let found = expected.find(|expected| *expected >= line);
            assert_eq!(found.as_ref(), Some(&line), "a line that is too much: {line}");
        }
    }

    /// Closes a gate: whoever comes to it waits there.
    pub fn close_gate(&self, point: &str) {
        fs::write(self.path("gates").join(point), "").expect("a gate can be closed");
    }

    /// Opens a gate.
    pub fn open_gate(&self, point: &str) {
        fs::remove_file(self.path("gates").join(point)).expect("a gate that is closed");
    }

    /// Waits until one of these processes waits at a closed gate, and gives its place among them.
    ///
    /// # Panics
    /// None comes there in time.
    pub fn wait_at_gate(&self, point: &str, processes: &[u32]) -> usize {
        wait_until(&format!("somebody waits at the gate {point:?}"), || {
            let waits = |id: &u32| self.path("gates").join(format!("{point}.{id}")).exists();
            processes.iter().position(waits)
        })
    }
}
