//! The applications' binaries: built once per test process, then copied, so that somebody
//! else's build can't change them in the middle of a test.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The packages, each with a binary of its name.
const APPLICATIONS: [&str; 3] = ["allround", "fraud-detection", "personalisation"];

/// Removed by nobody, being static: it lies in the target directory and is made anew each time.
static COPIES: OnceLock<PathBuf> = OnceLock::new();

/// The directory of the profile's binaries: the test itself is in `deps` below it.
fn binaries_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let deps = test.ancestors().find(|path| path.ends_with("deps"));
    deps.and_then(Path::parent).expect("cargo puts tests into <profile>/deps").to_owned()
}

fn build_and_copy() -> PathBuf {
    let binaries = binaries_directory();
    let mut cargo = Command::new(env!("CARGO"));
    // The whole workspace and a test, as tests/run builds it: a part of it may want other features
    // of shared dependencies, and these would be built once more. Without a test, features that
    // only tests ask for would be missing.
    cargo.args(["build", "--workspace", "--bins", "--test", "main"]);
    // What cargo tells this test about its package would make some crates build themselves again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("CARGO_PKG_") || n.starts_with("CARGO_MANI"))
        {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.output().expect("cargo can be run");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "the applications can't be built:\n{said}");
    let copies = binaries.join("integration-tests");
    fs::create_dir_all(&copies).expect("the target directory can be written");
    for name in APPLICATIONS {
        // A new file in the old one's place: a process that runs the old one keeps it.
        let new = copies.join(format!("{name}.{}", std::process::id()));
        fs::copy(binaries.join(name), &new).expect("a binary can be copied");
        fs::rename(&new, copies.join(name)).expect("a copy can be renamed");
    }
    copies
}

/// The binary of an application.
pub fn application(name: &str) -> PathBuf {
    assert!(APPLICATIONS.contains(&name), "{name} isn't one of {APPLICATIONS:?}");
    COPIES.get_or_init(build_and_copy).join(name)
}

/// The same application as another build would be: it does the same and isn't the same file.
pub fn other_build(binary: &Path, folder: &TempDir) -> PathBuf {
    let copy = folder.path().join("another-build");
    fs::copy(binary, &copy).expect("a binary can be copied");
    let mut file = fs::OpenOptions::new().append(true).open(&copy).expect("a copy can be opened");
    // What is behind an executable's last section isn't loaded.
    file.write_all(b"another build").expect("a copy can be written");
    copy
}
