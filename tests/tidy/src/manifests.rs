//! What every Cargo.toml keeps to.

use std::collections::{BTreeMap, BTreeSet};

use crate::repository::{check, files_that_end_with, read, root};

/// A crate's folder and its manifest.
fn manifests() -> Vec<(String, String)> {
    let manifests: Vec<(String, String)> = files_that_end_with("/Cargo.toml")
        .into_iter()
        .map(|file| (file.trim_end_matches("/Cargo.toml").to_string(), read(&file)))
        .collect();
    assert!(manifests.len() > 10, "only {} crates found", manifests.len());
    manifests
}

/// The lines of the tables whose name ends with `dependencies`, with their number.
fn dependency_lines(manifest: &str) -> Vec<(usize, &str)> {
    let mut in_table = false;
    let mut lines = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            in_table = header.trim_end_matches(']').ends_with("dependencies");
        } else if in_table && !line.is_empty() && !line.starts_with('#') {
            lines.push((index + 1, line));
        }
    }
    lines
}

/// The dependency that a line of such a table names.
fn name(line: &str) -> &str {
    line.split(['.', '=', ' ']).next().unwrap_or_default().trim_matches('"')
}

#[test]
fn versions_features_and_lints_are_set_once_for_the_workspace() {
    let mut violations = Vec::new();
    for (folder, manifest) in manifests() {
        for (number, line) in dependency_lines(&manifest) {
            let inherited = line.contains(".workspace = true") || line.contains("workspace = true");
            if !inherited {
                violations.push(format!("{folder}/Cargo.toml:{number}: {line}"));
            }
        }
        // An application is written as its users like; it shows the API and not the house.
        if !folder.starts_with("examples/") && !manifest.contains("[lints]\nworkspace = true") {
            violations.push(format!("{folder}/Cargo.toml: no `[lints] workspace = true`"));
        }
    }
    check(&violations, "name it in the root Cargo.toml and take it from there");
}

#[test]
fn every_dependency_of_the_workspace_is_one_of_some_crate() {
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    for (_, manifest) in manifests() {
        for (_, line) in dependency_lines(&manifest) {
            *users.entry(name(line).to_string()).or_default() += 1;
        }
    }
    let workspace = read("Cargo.toml");
    let violations: Vec<String> = dependency_lines(&workspace)
        .into_iter()
        .filter(|(_, line)| !users.contains_key(name(line)))
        .map(|(number, line)| format!("Cargo.toml:{number}: {}", name(line)))
        .collect();
    check(&violations, "remove what no crate depends on");
}

#[test]
fn every_dependency_of_a_crate_is_named_in_its_source() {
    let sources: Vec<(String, BTreeSet<String>)> = files_that_end_with(".rs")
        .into_iter()
        .map(|file| {
            let text = read(&file);
            let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            (file, words.map(str::to_string).collect())
        })
        .collect();
    let mut violations = Vec::new();
    for (folder, manifest) in manifests() {
        let own: Vec<&BTreeSet<String>> = sources
            .iter()
            .filter(|(file, _)| file.starts_with(&format!("{folder}/")))
            .map(|(_, words)| words)
            .collect();
        for (number, line) in dependency_lines(&manifest) {
            let ident = name(line).replace('-', "_");
            if !own.iter().any(|words| words.contains(&ident)) {
                violations.push(format!("{folder}/Cargo.toml:{number}: {}", name(line)));
            }
        }
    }
    check(&violations, "remove what the crate doesn't use");
}

#[test]
fn every_crate_is_a_member() {
    let workspace = read("Cargo.toml");
    let violations: Vec<String> = manifests()
        .into_iter()
        .map(|(folder, _)| folder)
        .filter(|folder| {
            let parent = folder.split('/').next().unwrap_or_default();
            !workspace.contains(&format!("\"{folder}\""))
                && !workspace.contains(&format!("\"{parent}/*\""))
        })
        .collect();
    check(&violations, "add it to `members` in the root Cargo.toml");
    assert!(root().join("Cargo.lock").is_file(), "applications are built from a Cargo.lock");
}

#[test]
fn clippy_bans_clocks_threads_exits_unbounded_queues_and_hash_order() {
    let bans = read("clippy.toml");
    let lints = read("Cargo.toml");
    for lint in ["disallowed_methods", "disallowed_types", "unwrap_used", "expect_used", "panic"] {
        assert!(lints.contains(&format!("{lint} = \"deny\"")), "{lint} is no error any more");
    }
    let violations: Vec<String> = [
        "std::time::Instant::now",
        "std::time::SystemTime::now",
        "std::thread::sleep",
        "std::thread::spawn",
        "std::process::exit",
        "std::sync::mpsc::channel",
        "tokio::sync::mpsc::unbounded_channel",
        "std::collections::HashMap",
        "std::collections::HashSet",
    ]
    .into_iter()
    .filter(|path| !bans.contains(&format!("{{ path = \"{path}\", reason = ")))
    .map(str::to_string)
    .collect();
    check(&violations, "ARCHITECTURE.md says that clippy.toml bans it, with what to use instead");
}
