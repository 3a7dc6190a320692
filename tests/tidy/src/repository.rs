//! The files of the repository: those that git tracks or would track.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's top folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// All files, as sorted paths from the top folder. Without git: all but build output.
pub(crate) fn files() -> Vec<String> {
    let root = root();
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output();
    let mut files: Vec<String> = match listed {
        Ok(output) if output.status.success() => {
            let names = String::from_utf8(output.stdout).expect("file names in UTF-8");
            names.split('\0').filter(|name| !name.is_empty()).map(str::to_string).collect()
        }
        _ => walk(&root, &root),
    };
    // A file that was removed and not committed yet is listed; a link may lead nowhere.
    files.retain(|file| root.join(file).is_file());
    files.sort();
    files.dedup();
    assert!(files.iter().any(|file| file == "Cargo.toml"), "no files found in {}", root.display());
    files
}

fn walk(root: &Path, folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != ".git" && name != "target" {
            files.extend(walk(root, &path));
        } else if path.is_file() {
            let path = path.strip_prefix(root).expect("a path below the top folder");
            files.push(path.to_str().expect("a file name in UTF-8").to_string());
        }
    }
    files
}

/// The files whose names end with `suffix`.
pub(crate) fn files_that_end_with(suffix: &str) -> Vec<String> {
    files().into_iter().filter(|file| file.ends_with(suffix)).collect()
}

/// A file's text, or `None` if it isn't text.
pub(crate) fn text(file: &str) -> Option<String> {
    let bytes = std::fs::read(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    String::from_utf8(bytes).ok()
}

/// The text of a file that must be there.
pub(crate) fn read(file: &str) -> String {
    text(file).unwrap_or_else(|| panic!("{file} isn't UTF-8 text"))
}

/// Fails with all violations and what to do about them.
#[track_caller]
pub(crate) fn check(violations: &[String], remedy: &str) {
    assert!(
        violations.is_empty(),
        "{} violation(s): {remedy}\n  {}",
        violations.len(),
        violations.join("\n  ")
    );
}
