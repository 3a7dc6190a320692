//! What holds for every file of the repository: no paths of a machine, no hosts of a registry,
//! run bits, lines that end as they should.

use std::os::unix::fs::PermissionsExt;

use crate::repository::{check, files, root, text};

/// Folders that exist on one machine only. Divided, or this file would be a violation.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// What a registry's or mirror's host name has in it.
const REGISTRY_HOSTS: &[&str] = &["registry", "proxy", "index.", "mirror", "repo."];

fn lines() -> impl Iterator<Item = (String, usize, String)> {
    // Cargo.lock names crates.io in its own way.
    let files = files().into_iter().filter(|file| file != "Cargo.lock" && !file.ends_with(".csv"));
    files.filter_map(|file| text(&file).map(|text| (file, text))).flat_map(|(file, text)| {
        let numbered = text.lines().map(str::to_string).enumerate().collect::<Vec<_>>();
        numbered.into_iter().map(move |(index, line)| (file.clone(), index + 1, line))
    })
}

fn names_a_machine_path(line: &str) -> bool {
    MACHINE_PATHS.iter().any(|path| {
        line.match_indices(path).any(|(at, _)| {
            // `target/work/` is a relative path, `$HOME/work/` anybody's.
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '*'))
        })
    })
}

fn names_a_registry(line: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        let host = rest.split(['/', ' ', '"', ')', '>']).next().unwrap_or_default();
        REGISTRY_HOSTS.iter().any(|part| host.contains(part))
    })
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let violations: Vec<String> = lines()
        .filter(|(_, _, line)| names_a_machine_path(line))
        .map(|(file, number, line)| format!("{file}:{number}: {}", line.trim()))
        .collect();
    check(&violations, "use a path relative to the repository, or one from the environment");
}

#[test]
fn no_file_names_the_host_of_a_registry() {
    let violations: Vec<String> = lines()
        .filter(|(_, _, line)| names_a_registry(line))
        .map(|(file, number, line)| format!("{file}:{number}: {}", line.trim()))
        .collect();
    check(&violations, "which registry is used is a machine's setting, not the repository's");
}

#[test]
fn scripts_have_run_bits_and_nothing_else_has() {
    let mut scripts = 0;
    let mut violations = Vec::new();
    for file in files() {
        let script = text(&file).is_some_and(|text| text.starts_with("#!/"));
        let mode = root().join(&file).metadata().expect("a file").permissions().mode();
        scripts += usize::from(script);
        if script != (mode & 0o111 != 0) {
            violations.push(format!("{file}: mode {:o}", mode & 0o777));
        }
    }
    assert!(scripts >= 2, "tests/run and .ci/run weren't found");
    check(&violations, "chmod +x scripts, and nothing else");
}

#[test]
fn text_ends_with_one_newline_and_lines_without_blanks() {
    let mut violations = Vec::new();
    // Data and golden files are what some program writes.
    let written = |file: &String| file.ends_with(".csv") || file.contains("golden");
    for file in files().into_iter().filter(|file| !written(file)) {
        let Some(text) = text(&file) else { continue };
        if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
            violations.push(format!("{file}: its end"));
        }
        for (index, line) in text.lines().enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                violations.push(format!("{file}:{}: blanks at the end", index + 1));
            }
        }
    }
    check(&violations, "let the editor keep to .editorconfig");
}

#[test]
fn paths_and_hosts_are_recognised() {
    let [work, root, ..] = MACHINE_PATHS else { panic!("no paths") };
    assert!(names_a_machine_path(&format!("see {work}main/x")));
    assert!(names_a_machine_path(&format!("\"{root}.cargo\"")));
    assert!(!names_a_machine_path(&format!("target{work}main")));
    assert!(names_a_registry(concat!("curl https:", "//my-proxy.local/crates")));
    assert!(!names_a_registry("https://github.com/rust-lang/crates.io-index"));
}
