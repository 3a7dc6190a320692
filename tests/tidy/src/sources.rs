//! What every Rust file keeps to.

use crate::repository::{check, files_that_end_with, read};
use crate::rust_source::Masked;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Whether a file holds nothing but tests and what they need.
fn is_test_code(file: &str) -> bool {
    let path = file.strip_prefix("tests/").unwrap_or(file);
    file.starts_with("tests/integration/")
        || file.starts_with("tests/tidy/")
        || path.split('/').any(|part| part == "tests")
        || path.ends_with("/tests.rs")
}

#[test]
fn every_file_opens_with_what_it_is() {
    let violations: Vec<String> = files_that_end_with(".rs")
        .into_iter()
        .filter(|file| !read(file).starts_with("//! "))
        .collect();
    check(&violations, "begin with `//!`: what the file is, and what is deliberately not in it");
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let mut lengths: Vec<(usize, String)> = files_that_end_with(".rs")
        .into_iter()
        .map(|file| (read(&file).lines().count(), file))
        .collect();
    lengths.sort_by(|a, b| b.cmp(a));
    for (lines, file) in lengths.iter().take(5) {
        println!("{lines:5} {file}");
    }
    let too_long = lengths.iter().take_while(|(lines, _)| *lines > FILE_LINES_MAX);
    let violations: Vec<String> =
        too_long.map(|(lines, file)| format!("{file}: {lines} lines")).collect();
    check(&violations, "one concept per file: divide these");
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let mut violations = Vec::new();
    let mut found = 0;
    for file in files_that_end_with(".rs") {
        let functions = Masked::new(&read(&file)).functions();
        found += functions.len();
        if is_test_code(&file) {
            continue;
        }
        for function in functions {
            if function.lines > FUNCTION_LINES_MAX && !function.in_tests {
                let (line, name, lines) = (function.line, function.name, function.lines);
                violations.push(format!("{file}:{line}: {name} has {lines} lines"));
            }
        }
    }
    assert!(found > 1_000, "only {found} functions found: the scanner is broken");
    check(&violations, "give the steps of these names, as functions");
}

#[test]
fn no_line_is_wider_than_100_columns() {
    let mut violations = Vec::new();
    for file in files_that_end_with(".rs") {
        let tests = is_test_code(&file);
        for (index, line) in read(&file).lines().enumerate() {
            // A link can't be broken; the data of a test often shouldn't be.
            let exempt = line.contains("://") || (tests && line.contains('"'));
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && !exempt {
                violations.push(format!("{file}:{}: {columns} columns", index + 1));
            }
        }
    }
    check(&violations, "break these lines; rustfmt leaves literals and comments alone");
}

#[test]
fn no_note_to_self_is_left() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut violations = Vec::new();
    for file in files_that_end_with(".rs") {
        for (index, line) in read(&file).lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            if words.any(|word| marks.contains(&word)) {
                violations.push(format!("{file}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    check(&violations, "do it, or file an issue and say in the comment what holds today");
}

#[test]
fn every_ignored_test_says_why() {
    let mark = concat!("#[igno", "re]");
    let mut violations = Vec::new();
    for file in files_that_end_with(".rs") {
        for (index, line) in read(&file).lines().enumerate() {
            if line.trim() == mark {
                violations.push(format!("{file}:{}", index + 1));
            }
        }
    }
    check(&violations, "run it, or give the attribute a reason");
}

#[test]
fn every_file_is_part_of_its_crate() {
    let files = files_that_end_with(".rs");
    let mut violations = Vec::new();
    for file in &files {
        let Some((folder, name)) = file.rsplit_once('/') else { continue };
        // Targets of their own: `build.rs`, and the files directly in src, src/bin, tests, benches.
        let target = matches!(name, "lib.rs" | "main.rs" | "build.rs")
            || ["/src/bin", "/tests", "/benches", "/examples"]
                .iter()
                .any(|end| folder.ends_with(end) && !folder.contains(&format!("/src{end}")))
            || folder.ends_with("/src/bin");
        let (parent, module) = if name == "mod.rs" {
            folder.rsplit_once('/').unwrap_or_default()
        } else {
            (folder, name.trim_end_matches(".rs"))
        };
        let declared = |candidate: &String| {
            files.contains(candidate)
                && Masked::new(&read(candidate)).text().contains(&format!("mod {module};"))
        };
        let parents = [
            format!("{parent}/mod.rs"),
            format!("{parent}/lib.rs"),
            format!("{parent}/main.rs"),
            format!("{parent}.rs"),
        ];
        if !target && !in_a_test_target(folder) && !parents.iter().any(declared) {
            violations.push(file.clone());
        }
    }
    check(&violations, "declare it by `mod`, or remove it: nothing compiles it");
}

/// Modules of a test target may be declared by any file beside the folder's own.
fn in_a_test_target(folder: &str) -> bool {
    folder.contains("/tests/") && !folder.contains("/src/")
}

#[test]
fn test_code_is_told_from_the_rest() {
    for (file, expected) in [
        ("runtime/core/src/record/tests/key.rs", true),
        ("runtime/core/src/configuration/tests.rs", true),
        ("runtime/core/src/record/key.rs", false),
        ("tests/oracle/src/lib.rs", false),
        ("tests/oracle/src/generator/tests.rs", true),
        ("tests/integration/src/lib.rs", true),
        ("tests/tidy/src/lib.rs", true),
    ] {
        assert_eq!(is_test_code(file), expected, "{file}");
    }
}
