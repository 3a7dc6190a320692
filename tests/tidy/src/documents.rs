//! What the documents promise: links that lead somewhere, two commands, a changelog.

use std::path::Path;

use crate::repository::{check, files, files_that_end_with, read, root};

/// A document without its code, where brackets aren't links.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let outside = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
            lines.push((index + 1, outside));
        }
    }
    lines
}

/// The targets of `[text](target)` in a line.
fn links(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).collect()
}

/// A heading's anchor, as code hosts make it.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn has_anchor(document: &str, wanted: &str) -> bool {
    let text = read(document);
    let mut fenced = false;
    text.lines().any(|line| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced && line.starts_with('#') && anchor(&line.replace('`', "")) == wanted
    })
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut violations = Vec::new();
    for document in files_that_end_with(".md") {
        let folder = Path::new(&document).parent().unwrap_or(Path::new(""));
        for (number, line) in prose(&read(&document)) {
            for link in links(&line) {
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                let (path, wanted) = link.split_once('#').unwrap_or((link, ""));
                let target = match path {
                    "" => document.clone(),
                    _ => folder.join(path).to_str().expect("UTF-8").to_string(),
                };
                let found = root().join(&target).exists()
                    && (wanted.is_empty() || has_anchor(&target, wanted));
                if !found {
                    violations.push(format!("{document}:{number}: {link}"));
                }
            }
        }
    }
    check(&violations, "mend the link");
}

#[test]
fn the_readme_begins_with_two_commands() {
    let readme = read("README.md");
    let top = readme.split("\n## ").next().unwrap_or_default();
    let commands: Vec<&str> = top
        .split("```")
        .skip(1)
        .step_by(2)
        .flat_map(|block| block.lines().skip(1))
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.split(" #").next().unwrap_or_default().trim())
        .collect();
    assert_eq!(commands, ["cargo run --release -p fraud-detection", "tests/run"]);
}

#[test]
fn every_application_comes_with_a_readme_and_data() {
    let files = files();
    let applications = files.iter().filter_map(|file| {
        file.strip_prefix("examples/").and_then(|path| path.strip_suffix("/Cargo.toml"))
    });
    let mut violations = Vec::new();
    for application in applications {
        let folder = format!("examples/{application}");
        if !files.contains(&format!("{folder}/README.md")) {
            violations.push(format!("{folder} has no README.md"));
        }
        let data = format!("{folder}/data/");
        let is_data = |file: &&String| {
            file.strip_prefix(&data).is_some_and(|name| !name.starts_with(['.', '_']))
        };
        if !files.iter().any(|file| is_data(&file)) {
            violations.push(format!("{folder} has no data"));
        }
    }
    check(&violations, "an application shows its use: some lines of README, and data to run on");
}

#[test]
fn the_changelog_has_a_place_for_the_next_change() {
    let changelog = read("CHANGELOG.md");
    let sections: Vec<&str> = changelog.lines().filter(|line| line.starts_with("## ")).collect();
    assert_eq!(sections.first(), Some(&"## [Unreleased]"), "{sections:?}");
}

#[test]
fn every_crate_has_its_place_on_the_map() {
    let map = read("ARCHITECTURE.md");
    let violations: Vec<String> = files_that_end_with("/Cargo.toml")
        .into_iter()
        .map(|file| file.trim_end_matches("/Cargo.toml").to_string())
        .filter(|folder| !map.contains(&format!("`{folder}`")))
        .collect();
    check(&violations, "describe the folder in ARCHITECTURE.md's code map");
}

#[test]
fn every_test_that_the_architecture_names_exists() {
    let architecture = read("ARCHITECTURE.md");
    let invariants = architecture.split("\n## ").find(|part| part.starts_with("Invariants"));
    let invariants = invariants.expect("a section of invariants");
    let is_test = |name: &&str| {
        name.matches('_').count() >= 3
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && name.chars().all(|c| !c.is_uppercase())
    };
    let named: Vec<&str> = invariants.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 10, "only {} tests found", named.len());
    let sources: Vec<String> = files_that_end_with(".rs").iter().map(|file| read(file)).collect();
    let violations: Vec<String> = named
        .into_iter()
        .filter(|name| !sources.iter().any(|text| text.contains(&format!("fn {name}("))))
        .map(str::to_string)
        .collect();
    check(&violations, "an invariant without what enforces it: name the test that does");
}

#[test]
fn links_and_anchors_are_read_as_code_hosts_do() {
    assert_eq!(links("a [b](c.md) and [d](../e.md#f) (g)"), ["c.md", "../e.md#f"]);
    assert_eq!(anchor("## What isn't there, yet: S3"), "what-isnt-there-yet-s3");
    let text = "one `[x](y)`\n```\n[not](this)\n```\ntwo";
    let lines: Vec<usize> = prose(text).iter().map(|(number, _)| *number).collect();
    assert_eq!(lines, [1, 5]);
    assert_eq!(links(&prose(text)[0].1), Vec::<&str>::new());
}
