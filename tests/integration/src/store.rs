//! What a job's store holds when it is quiet, compared with what is referenced.

use std::collections::{BTreeMap, BTreeSet};
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

/// Where a run is in an object, and what is said of the object's length.
type Part = (u64, u64, Option<u64>);

/// The parts of objects that manifests name, read without the engine's code.
fn references(value: &Value, parts: &mut BTreeMap<String, BTreeSet<Part>>) {
    match value {
        Value::Object(fields) => {
            if let Some(object) = fields.get("object").and_then(Value::as_str) {
                let number = |name: &str| fields.get(name).and_then(Value::as_u64);
                let offset = number("offset").expect("a run has an offset");
                let length = number("length").expect("a run has a length");
                let part = (offset, length, number("object_length"));
                parts.entry(object.to_owned()).or_default().insert(part);
            }
            fields.values().for_each(|value| references(value, parts));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, parts)),
        _ => {}
    }
}

/// The objects that manifests name. Their runs are apart from one another and within the objects,
/// which are as long as they're said to be.
///
/// # Panics
/// One is missing, or isn't so.
pub fn referenced_objects<'m>(
    root: &Path,
    manifests: impl IntoIterator<Item = &'m Value>,
) -> BTreeSet<String> {
    let mut parts = BTreeMap::new();
    // That of a job which was stopped with a savepoint names what is in the savepoint's folder.
    let own = manifests.into_iter().filter(|manifest| manifest["stopped_with"].is_null());
    own.for_each(|manifest| references(manifest, &mut parts));
    let runs: usize = parts.values().map(BTreeSet::len).sum();
    eprintln!("{runs} runs are in {} objects", parts.len());
    for (object, parts) in &parts {
        let file = fs::metadata(root.join(object));
        let length = file.unwrap_or_else(|error| panic!("{object} is missing: {error}")).len();
        let mut end = 0;
        for (offset, bytes, object_length) in parts {
            assert!(*offset >= end, "runs overlap in {object}: {parts:?}");
            end = offset + bytes;
            assert!(object_length.is_none_or(|said| said == length), "{object}: {parts:?}");
        }
        assert!(end <= length, "{object} has {length} bytes: {parts:?}");
    }
    parts.into_keys().collect()
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
/// Something is missing or left over, a folder has nothing in it, or there is no manifest at all.
pub fn check_store(root: &Path) {
    let surplus = surplus(root);
    assert!(surplus.is_empty(), "no manifest names these: {surplus:#?}");
}

/// As [`check_store`], where the store has failed: what is left of checkpoints whose manifests may
/// have been written or not stays.
///
/// # Panics
/// As [`check_store`], but for what is left over.
pub fn check_store_that_failed(root: &Path) {
    eprintln!("{} objects are left that no manifest names", surplus(root).len());
}

fn surplus(root: &Path) -> Vec<String> {
    let (files, empty) = files(root);
    let is_manifest = |name: &&String| name.ends_with("/manifest");
    let manifests: Vec<&String> = files.iter().filter(is_manifest).collect();
    assert!(!manifests.is_empty(), "there is no manifest among {files:?}");
    let read: Vec<Value> = manifests.iter().map(|name| read_manifest(&root.join(name))).collect();
    let mut referenced = referenced_objects(root, &read);
    referenced.extend(manifests.into_iter().cloned());
    assert!(empty.is_empty(), "folders are left with nothing in them: {empty:?}");
    files.difference(&referenced).cloned().collect()
}
