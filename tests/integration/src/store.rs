//! What a job's store holds when it is quiet, compared with what is referenced.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// All files below a folder, as paths in it with `/` between names; and the number of folders in
/// which there is nothing.
fn files(root: &Path) -> (BTreeSet<String>, Vec<String>) {
    let (mut found, mut empty) = (BTreeSet::new(), Vec::new());
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let name = |path: &Path| {
            let below = path.strip_prefix(root).expect("it was found below the root");
            below.to_str().expect("the engine's names are ASCII").to_owned()
        };
        let mut count = 0;
        for entry in fs::read_dir(&folder).expect("a folder of the store can be read") {
            let path = entry.expect("a folder of the store can be read").path();
            count += 1;
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(name(&path));
            }
        }
        if count == 0 && folder != root {
            empty.push(name(&folder));
        }
    }
    (found, empty)
}

/// The objects that a manifest names, read without the engine's code.
fn references(value: &Value, objects: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(object) if name == "object" => {
                        objects.insert(object.clone());
                    }
                    _ => references(value, objects),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, objects)),
        _ => {}
    }
}

/// A manifest's JSON: what is before the line with its checksum.
///
/// # Panics
/// It can't be read.
pub fn read_manifest(manifest: &Path) -> Value {
    let text = fs::read_to_string(manifest).expect("a manifest can be read");
    let mut json = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let value = json.next().and_then(Result::ok);
    value.unwrap_or_else(|| panic!("{} is no manifest: {text}", manifest.display()))
}

/// Compares what is in a directory store with what its manifests name.
///
/// # Panics
/// Something is missing, a folder has nothing in it, or there is no manifest at all.
pub fn check_store(root: &Path) {
    let (files, empty) = files(root);
    let mut referenced = BTreeSet::new();
    for manifest in files.iter().filter(|name| name.ends_with("/manifest")) {
        references(&read_manifest(&root.join(manifest)), &mut referenced);
        referenced.insert(manifest.clone());
    }
    assert!(!referenced.is_empty(), "there is no manifest among {files:?}");
    let missing: Vec<&String> = referenced.difference(&files).collect();
    let surplus: Vec<&String> = files.difference(&referenced).collect();
    assert!(missing.is_empty(), "objects that a manifest names are missing: {missing:#?}");
    // Those of checkpoints that failed, until the collector of `thalweg_storage::log` runs.
    eprintln!("{} objects are left that no manifest names", surplus.len());
    assert!(empty.is_empty(), "folders are left with nothing in them: {empty:?}");
}
