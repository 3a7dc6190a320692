//! Which crate may see which: the layers of the engine, from bottom to top.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::repository::{check, root};

/// What each crate of the engine may depend on among ours; a crate may use less.
const ALLOWED: &[(&str, &[&str])] = &[
    ("thalweg-record-derive", &[]),
    ("thalweg-core", &["thalweg-record-derive"]),
    ("thalweg-storage", &["thalweg-core"]),
    ("thalweg-state", &["thalweg-core"]),
    ("thalweg-operators", &["thalweg-core", "thalweg-state", "thalweg-storage"]),
    ("thalweg-connectors", &["thalweg-core", "thalweg-operators", "thalweg-storage"]),
    ("thalweg-datastream", &["thalweg-core", "thalweg-state", "thalweg-operators"]),
    ("thalweg-network", &["thalweg-core", "thalweg-tls"]),
    ("thalweg-tls", &["thalweg-core"]),
    ("thalweg-rpc", &["thalweg-core", "thalweg-tls"]),
    ("thalweg-jobmanager", &["thalweg-core", "thalweg-storage", "thalweg-rpc", "thalweg-tls"]),
    ("thalweg-kubernetes", &["thalweg-core", "thalweg-jobmanager"]),
    (
        "thalweg-taskmanager",
        &[
            "thalweg-core",
            "thalweg-storage",
            "thalweg-state",
            "thalweg-operators",
            "thalweg-network",
            "thalweg-rpc",
        ],
    ),
    (
        "thalweg",
        &[
            "thalweg-connectors",
            "thalweg-core",
            "thalweg-datastream",
            "thalweg-jobmanager",
            "thalweg-kubernetes",
            "thalweg-network",
            "thalweg-operators",
            "thalweg-rpc",
            "thalweg-state",
            "thalweg-storage",
            "thalweg-taskmanager",
            "thalweg-tls",
        ],
    ),
];

/// The crates at the edges: the only ones that may see these.
const EDGES: &[(&str, &[&str])] = &[
    (
        "tokio",
        &[
            "thalweg-storage",
            "thalweg-network",
            "thalweg-rpc",
            "thalweg-tls",
            "thalweg-jobmanager",
            "thalweg-kubernetes",
            "thalweg-taskmanager",
            "thalweg",
            "thalweg-operator",
        ],
    ),
    ("axum", &["thalweg-jobmanager", "thalweg", "thalweg-operator"]),
    ("prometheus", &["thalweg", "thalweg-operator"]),
    ("aws-sdk-s3", &["thalweg-storage"]),
];

/// A crate of the workspace: where it is and what it is built from, tests aside.
#[derive(Debug)]
struct Member {
    folder: String,
    dependencies: BTreeSet<String>,
    test_dependencies: BTreeSet<String>,
}

fn members() -> BTreeMap<String, Member> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
    packages
        .iter()
        .map(|package| {
            let names = |tests: bool| {
                let all = package["dependencies"].as_array().expect("dependencies").iter();
                all.filter(|dependency| (dependency["kind"] == "dev") == tests)
                    .map(|dependency| text(&dependency["name"]))
                    .collect()
            };
            let manifest = text(&package["manifest_path"]);
            let folder = manifest
                .strip_prefix(root().to_str().expect("UTF-8"))
                .unwrap_or(&manifest)
                .trim_start_matches('/')
                .trim_end_matches("/Cargo.toml")
                .to_string();
            let member =
                Member { folder, dependencies: names(false), test_dependencies: names(true) };
            (text(&package["name"]), member)
        })
        .collect()
}

#[test]
fn crates_of_the_engine_see_only_the_layers_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let members = members();
    let mut violations = Vec::new();
    for (name, member) in members.iter().filter(|(_, member)| member.folder.starts_with("runtime/"))
    {
        let Some(allowed) = allowed.get(name.as_str()) else {
            violations.push(format!("{name} has no line in the table"));
            continue;
        };
        for dependency in &member.dependencies {
            if members.contains_key(dependency) && !allowed.contains(&dependency.as_str()) {
                violations.push(format!("{name} -> {dependency}"));
            }
        }
    }
    for (name, _) in ALLOWED {
        if !members.contains_key(*name) {
            violations.push(format!("{name} is in the table and nowhere else"));
        }
    }
    check(
        &violations,
        "move the code to where it may be seen; a new layer changes ARCHITECTURE.md",
    );
}

#[test]
fn the_operator_sees_nothing_of_the_engine_but_its_vocabulary_and_its_identities() {
    let members = members();
    let operator = members.get("thalweg-operator").expect("the operator");
    let violations: Vec<String> = operator
        .dependencies
        .iter()
        .filter(|name| members.contains_key(*name))
        .filter(|name| !["thalweg-core", "thalweg-tls"].contains(&name.as_str()))
        .cloned()
        .collect();
    check(
        &violations,
        "operator and engine meet in the resource, in REST, in the Lease and in certificates",
    );
}

#[test]
fn job_manager_and_task_manager_never_see_each_other() {
    // Through nothing that is between them either.
    let members = members();
    for (from, to) in [
        ("thalweg-jobmanager", "thalweg-taskmanager"),
        ("thalweg-taskmanager", "thalweg-jobmanager"),
    ] {
        let mut reached = BTreeSet::from([from.to_string()]);
        let mut open = vec![from.to_string()];
        while let Some(next) = open.pop() {
            let Some(member) = members.get(&next) else { continue };
            for dependency in &member.dependencies {
                if reached.insert(dependency.clone()) {
                    open.push(dependency.clone());
                }
            }
        }
        assert!(!reached.contains(to), "{from} sees {to}: they meet in thalweg-rpc's messages");
    }
}

#[test]
fn tokio_and_http_stay_at_the_edges() {
    let mut violations = Vec::new();
    for (name, member) in members() {
        for (library, edges) in EDGES {
            let at_an_edge = edges.contains(&name.as_str()) || member.folder.starts_with("tests/");
            if member.dependencies.contains(*library) && !at_an_edge {
                violations.push(format!("{name} -> {library}"));
            }
        }
    }
    check(&violations, "decide purely here and act in a crate at the edge");
}

#[test]
fn an_application_depends_on_nothing_but_the_facade() {
    let mut found = 0;
    let mut violations = Vec::new();
    for (name, member) in members() {
        if member.folder.starts_with("examples/") {
            found += 1;
            if member.dependencies != BTreeSet::from(["thalweg".to_string()]) {
                violations.push(format!("{name}: {:?}", member.dependencies));
            }
        }
    }
    assert!(found >= 2, "the examples weren't found");
    check(&violations, "what an application needs, `thalweg` offers");
}

#[test]
fn the_oracle_shares_nothing_with_the_engine() {
    let members = members();
    let oracle = members.get("thalweg-oracle").expect("the oracle");
    let all = oracle.dependencies.iter().chain(&oracle.test_dependencies);
    let violations: Vec<String> = all.filter(|name| members.contains_key(*name)).cloned().collect();
    check(&violations, "an oracle that uses the engine finds no fault in it");
}
