//! Checkpoints whose files were damaged: never loaded; the error names the file, the operator and
//! its key groups, and the output stays a part of the right one.

use std::fs;
use std::path::{Path, PathBuf};

use allround::gates::CHECKPOINT;
use thalweg_integration_tests::{Soak, application};

use crate::soak::Run;

/// The files of the latest complete checkpoint, apart from its manifest.
fn latest_checkpoint(checkpoints: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let job = entries(checkpoints).pop().unwrap();
    let number = |folder: &PathBuf| -> Option<u64> {
        folder.file_name()?.to_str()?.strip_prefix("chk-")?.parse().ok()
    };
    let complete = entries(&job).into_iter().filter(|folder| folder.join("manifest").exists());
    let latest = complete.max_by_key(|folder| number(folder)).expect("a complete checkpoint");
    let files = entries(&latest);
    files.into_iter().filter(|file| !file.ends_with("manifest")).collect()
}

/// Runs until a checkpoint is complete, damages its files while the next one can't be completed,
/// and kills all TaskManagers: no restart has anything else to begin from. Gives what the
/// JobManager says in the end, and the damaged files' names.
fn after(damage: impl Fn(&Path)) -> (String, Vec<String>) {
    let soak = Soak::new(60_000);
    let (output, checkpoints) = (soak.path("output"), soak.path("checkpoints"));
    let arguments = soak.arguments(&output, &["--parallelism", "3", "--rate", "1000"]);
    let few = [("restart-strategy.fixed-delay.attempts", "2")];
    let place = checkpoints.to_str().unwrap();
    let mut run = Run::start(&application("allround"), place, 2, &arguments, &few);
    run.wait_for_checkpoints(1);
    soak.close_gate(CHECKPOINT);
    soak.wait_at_gate(CHECKPOINT, &run.processes());
    run.is_struck_while_running();
    let files = latest_checkpoint(&checkpoints);
    for file in &files {
        damage(file);
    }
    run.replace(0);
    run.replace(0);
    soak.open_gate(CHECKPOINT);
    let job_manager = run.cluster.job_manager.as_mut().unwrap();
    let ended = job_manager.wait().failed_with(&["allround"]);
    soak.check_part(&output);
    let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
    (ended.stderr, files.iter().map(name).collect())
}

fn names_what_is_damaged(said: &str, files: &[String]) {
    let named = files.iter().any(|file| said.contains(file));
    assert!(named, "none of {files:?} is named in:\n{said}");
    let operators = ["sequence", "windows", "sessions", "tally", "total", "rows", "rules", "output"];
    let named = operators.iter().any(|operator| said.contains(&format!("of {operator}")));
    assert!(named, "no operator is named in:\n{said}");
    assert!(said.contains("key groups"), "no key groups are named in:\n{said}");
}

#[test]
fn a_checkpoint_with_a_flipped_bit_is_never_loaded_and_what_is_damaged_is_named() {
    let (said, files) = after(|file| {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    });
    names_what_is_damaged(&said, &files);
}

#[test]
fn a_truncated_checkpoint_is_never_loaded_and_what_is_damaged_is_named() {
    let (said, files) = after(|file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() * 2 / 3]).unwrap();
    });
    names_what_is_damaged(&said, &files);
}

#[test]
fn a_checkpoint_whose_files_are_gone_is_an_error_that_names_them() {
    let (said, files) = after(|file| fs::remove_file(file).unwrap());
    names_what_is_damaged(&said, &files);
}
