//! Files that are made from the types are up to date. `THALWEG_UPDATE=1` writes them.

use super::root;
use crate::resource::{definition, reference};

fn check(path: &str, made: &str) {
    let path = root().join(path);
    if std::env::var_os("THALWEG_UPDATE").is_some() {
        std::fs::write(&path, made).expect("writable");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == made,
        "{} is stale: THALWEG_UPDATE=1 cargo test -p thalweg-operator generated",
        path.display()
    );
}

#[test]
fn the_generated_definition_is_up_to_date_and_small_enough_for_kubectl_apply() {
    let yaml = definition::definition_yaml().expect("a definition");
    assert!(yaml.len() < 150_000, "{} bytes", yaml.len());
    println!("{} bytes", yaml.len());
    check("crds/flinkapplications.thalweg.dev.yaml", &yaml);
    // A chart can't reach outside of its folder.
    check("charts/thalweg-operator/files/flinkapplications.thalweg.dev.yaml", &yaml);
}

#[test]
fn the_generated_reference_page_is_up_to_date() {
    check("docs/flinkapplication.md", &reference::reference_markdown().expect("a page"));
}

#[test]
fn no_value_of_the_definition_is_a_boolean_to_older_readers_of_yaml() {
    let yaml = definition::definition_yaml().expect("a definition");
    let is_bare = |line: &&str| {
        definition::BOOLEANS.iter().any(|word| {
            line.ends_with(&format!("- {word}")) || line.ends_with(&format!(": {word}"))
        })
    };
    assert_eq!(yaml.lines().filter(is_bare).collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(yaml.lines().filter(|line| line.ends_with("- 'Off'")).count(), 2);
}
