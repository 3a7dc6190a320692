//! Checkpoints whose files were damaged: never loaded; the error names the file, the operator and
//! its key groups, and the output stays a part of the right one.

use std::fs;
use std::path::{Path, PathBuf};

use allround::gates::CHECKPOINT;
use serde_json::Value;
use thalweg_integration_tests::{Soak, application, read_manifest};

use crate::soak::Run;

/// The operator whose state is damaged: a keyed one.
const OPERATOR: &str = "sequence";

/// A piece of a checkpoint. Pieces of several operators are in one object.
struct Piece {
    /// The operator's uid and its name.
    operator: [String; 2],
    /// As the manifest names it.
    object: String,
    offset: usize,
    length: usize,
    /// The first and the last; none where not all of it belongs to key groups.
    key_groups: Option<(u64, u64)>,
}

impl Piece {
    /// Whether an error is about it.
    fn is_named(&self, error: &str) -> bool {
        let groups = self.key_groups.map(|(first, last)| format!("key groups {first} to {last}"));
        self.operator.iter().any(|operator| error.contains(&format!("operator {operator:?}")))
            && error.contains(&self.object)
            && groups.is_none_or(|groups| error.contains(&groups))
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The pieces of the latest complete checkpoint.
fn latest_pieces(checkpoints: &Path) -> Vec<Piece> {
    let number = |folder: &PathBuf| -> Option<u64> {
        folder.file_name()?.to_str()?.strip_prefix("chk-")?.parse().ok()
    };
    let job = entries(checkpoints).pop().unwrap();
    let complete = entries(&job).into_iter().filter(|folder| folder.join("manifest").exists());
    let latest = complete.max_by_key(|folder| number(folder)).expect("a complete checkpoint");
    let manifest = read_manifest(&latest.join("manifest"));
    let operators = manifest["operators"].as_array().unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let piece = |operator: &Value, subtask: &Value| Piece {
        operator: ["uid", "name"].map(|field| operator[field].as_str().unwrap().to_owned()),
        object: subtask["object"].as_str().unwrap().to_owned(),
        offset: number(&subtask["offset"]) as usize,
        length: number(&subtask["length"]) as usize,
        key_groups: {
            let groups = &subtask["key_groups"];
            groups.is_object().then(|| (number(&groups["start"]), number(&groups["end"]) - 1))
        },
    };
    let of = |operator: &Value| -> Vec<Piece> {
        let subtasks = operator["subtasks"].as_array().unwrap().iter();
        subtasks.map(|subtask| piece(operator, subtask)).collect()
    };
    operators.iter().flat_map(of).collect()
}

/// Runs until a checkpoint is complete, damages an operator's files while the next one can't be
/// completed, and kills all TaskManagers: no restart has anything else to begin from. What is said
/// in the end must name one of the files, the operator and the key groups.
fn never_loaded_after(damage: impl Fn(&Path, &Piece)) {
    let soak = Soak::new(30_000);
    let (output, checkpoints) = (soak.path("output"), soak.path("checkpoints"));
    let arguments = soak.arguments(&output, &["--parallelism", "3", "--rate", "1200"]);
    let few = [("restart-strategy.fixed-delay.attempts", "2")];
    let place = checkpoints.to_str().unwrap();
    let mut run = Run::start(&application("allround"), place, 2, &arguments, &few);
    run.wait_for_checkpoints(1);
    soak.close_gate(CHECKPOINT);
    soak.wait_at_gate(CHECKPOINT, &run.processes());
    let mut fault = run.fault();
    let pieces = latest_pieces(&checkpoints);
    for piece in pieces.iter().filter(|piece| piece.operator[0] == OPERATOR) {
        damage(&checkpoints.join(&piece.object), piece);
    }
    run.replace(&mut fault, 0);
    run.replace(&mut fault, 0);
    soak.open_gate(CHECKPOINT);
    let job_manager = run.cluster.job_manager.as_mut().unwrap();
    let said = job_manager.wait().failed_with(&["allround"]).stderr;
    soak.check_part(&output);
    let error = said.lines().find(|line| line.starts_with("error:")).expect("an error");
    assert!(pieces.iter().any(|piece| piece.is_named(error)), "{error}");
}

#[test]
fn a_checkpoint_with_a_flipped_bit_is_never_loaded_and_what_is_damaged_is_named() {
    never_loaded_after(|file, piece| {
        let mut bytes = fs::read(file).unwrap();
        bytes[piece.offset + piece.length / 2] ^= 1;
        fs::write(file, bytes).unwrap();
    });
}

#[test]
fn a_truncated_checkpoint_is_never_loaded_and_what_is_damaged_is_named() {
    never_loaded_after(|file, piece| {
        let end = (piece.offset + piece.length - 1) as u64;
        let file = fs::File::options().write(true).open(file).unwrap();
        // Another piece in it may have been cut off before.
        let length = file.metadata().unwrap().len();
        file.set_len(end.min(length)).unwrap();
    });
}

#[test]
fn a_checkpoint_whose_files_are_gone_is_an_error_that_names_them() {
    never_loaded_after(|file, _| {
        let removed = fs::remove_file(file);
        assert!(removed.is_ok() || !file.exists(), "{removed:?}");
    });
}
