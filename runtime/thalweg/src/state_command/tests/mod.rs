//! The commands over whole stores in folders: what they print, and what they find.

mod collected;
mod deleted;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use thalweg_core::ids::CheckpointId;
use thalweg_storage::log::{ClaimOutcome, Leader, Log, TerminalStatus, WriterId};
use thalweg_storage::{CheckpointManifest, DirectoryStore, layout, manifest, sealed};

use self::store::{CHANGED, JOB, KEYS, MAX_PARALLELISM, REMOVED, counts, now};
use super::*;

/// Runs the command that these words are; its output, and whether all is sound.
fn run(words: &[&str]) -> Result<(bool, String), String> {
    #[derive(clap::Parser)]
    struct Words {
        #[command(flatten)]
        options: StateOptions,
    }
    let words = std::iter::once("state").chain(words.iter().copied());
    let options = <Words as clap::Parser>::try_parse_from(words).unwrap().options;
    let mut out = Vec::new();
    let sound = perform(&options, &mut out).map_err(|error| error.to_string())?;
    Ok((sound, String::from_utf8(out).unwrap()))
}

fn json(words: &[&str]) -> Value {
    let (_, text) = run(&[words, &["--json"]].concat()).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn lines(words: &[&str]) -> Vec<Value> {
    let (_, text) = run(words).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn claim(folder: &Path) -> Box<Leader> {
    claim_as(folder, 5)
}

fn claim_as(folder: &Path, writer: u128) -> Box<Leader> {
    let log = Log::new(Arc::new(DirectoryStore::open(folder).unwrap()), JOB);
    match now(Leader::claim(log, WriterId(writer), "jm-0:6123")).unwrap() {
        ClaimOutcome::Leads(leader) => leader,
        ClaimOutcome::Finished(_) => panic!("it has ended"),
    }
}

#[test]
fn ls_shows_each_checkpoint_with_its_size_and_whether_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let manifests: Vec<_> = (1..=3).map(|id| store::checkpoint(folder.path(), id)).collect();
    let standings = || -> Vec<String> {
        let listing = json(&["ls", path]);
        let lines = listing["checkpoints"].as_array().unwrap().iter();
        lines.map(|line| line["standing"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(standings(), ["complete"; 3], "without a log a manifest is enough");

    let mut leader = claim(folder.path());
    for (id, manifest) in [(1, &manifests[0]), (2, &manifests[1])] {
        now(leader.publish(CheckpointId(id), manifest)).unwrap();
    }
    assert_eq!(standings(), ["published", "latest", "unpublished"]);
    let listing = json(&["ls", path]);
    let line = &listing["checkpoints"][1];
    assert_eq!((line["epoch"].as_u64(), line["log_position"].as_u64()), (Some(1), Some(2)));
    assert_eq!((line["kind"].as_str(), line["objects"].as_u64()), (Some("checkpoint"), Some(3)));
    let objects = folder.path().join(JOB.to_string()).join("chk-2");
    let sizes = ["count-0", "count-1", "source-0"]
        .map(|name| objects.join(name).metadata().unwrap().len() - 12);
    assert_eq!(line["state_bytes"].as_u64(), Some(sizes.iter().sum()));
    assert_eq!(listing["jobs"][0]["latest_checkpoint"].as_u64(), Some(2));

    now(leader.terminal(TerminalStatus::Finished, None, None, Some(CheckpointId(2)))).unwrap();
    assert_eq!(json(&["ls", path])["jobs"][0]["ended"].as_str(), Some("FINISHED"));
    let job = format!("{path}/{JOB}/chk-2");
    let (_, text) = run(&["ls", &job]).unwrap();
    assert!(text.contains("2025-11-22T16:00:00Z") && text.contains("latest"), "{text}");
    assert!(!text.contains("chk-3") && text.contains("chk-2/manifest"), "{text}");
}

#[test]
fn show_adds_up_the_states_of_all_subtasks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    store::checkpoint(folder.path(), 1);
    store::checkpoint(folder.path(), 2);
    let shown = json(&["show", path]);
    assert_eq!(shown["checkpoint_id"].as_u64(), Some(2), "the last one");
    let count = &shown["operators"][1];
    assert_eq!((count["name"].as_str(), count["parallelism"].as_u64()), (Some("count"), Some(2)));
    let states = count["states"].as_array().unwrap();
    let names: Vec<_> = states.iter().map(|state| state["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["count", "names"]);
    for state in states {
        assert_eq!(state["rows"].as_u64(), Some(u64::from(KEYS)));
        let parts = state["subtasks"].as_array().unwrap();
        let sum = |field: &str| parts.iter().map(|part| part[field].as_u64().unwrap()).sum();
        assert_eq!(state["stored_rows"].as_u64(), Some(u64::from(KEYS)));
        assert_eq!(state["stored_rows"].as_u64(), Some(sum("stored_rows")));
        assert_eq!(state["bytes"].as_u64(), Some(sum("bytes")));
    }
    let (_, text) = run(&["show", path, "--operator", "count-uid"]).unwrap();
    assert!(text.contains("u32, String -> bool") && text.contains("0 to 7"), "{text}");
    assert!(!text.contains("source"), "{text}");
    let error = run(&["show", path, "--operator", "sink"]).unwrap_err();
    assert!(error.contains("\"sink\"") && error.contains("\"count-uid\""), "{error}");
}

#[test]
fn show_counts_the_rows_that_a_restore_takes_not_those_that_were_superseded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    store::checkpoint_with_deltas(folder.path(), 1);
    let shown = json(&["show", path]);
    let state = |number: usize| &shown["operators"][1]["states"][number];
    let figures = |number: usize| {
        let [rows, stored] = ["rows", "stored_rows"].map(|f| state(number)[f].as_u64().unwrap());
        (state(number)["name"].as_str().unwrap(), rows, stored)
    };
    let (keys, changed, removed) = (u64::from(KEYS), u64::from(CHANGED), u64::from(REMOVED));
    assert_eq!(figures(0), ("count", keys - removed, keys + changed + removed));
    assert_eq!(figures(1), ("names", keys, keys), "nothing of it has changed");
    // The same as the rows themselves.
    let rows = lines(&["show", path, "--state", "count"]);
    assert_eq!(rows.len() as u64, keys - removed);
    let (_, text) = run(&["show", path, "--operator", "count"]).unwrap();
    assert!(text.contains(&(keys - removed).to_string()), "{text}");
}

#[test]
fn the_rows_shown_are_the_state() {
    let folder = tempfile::tempdir().unwrap();
    store::checkpoint(folder.path(), 3);
    let path = format!("{}/{JOB}/chk-3", folder.path().display());
    let read = |words: &[&str]| -> BTreeMap<(u32, u32), u64> {
        let rows = lines(&[&["show", &path, "--state", "count"], words].concat());
        let row = |row: Value| {
            assert_eq!(
                (row["operator"].as_str(), row["kind"].as_str()),
                (Some("count-uid"), Some("value"))
            );
            let number = |field: &str| row[field].as_u64().unwrap();
            ((number("key_group") as u32, number("key") as u32), number("value"))
        };
        rows.into_iter().map(row).collect()
    };
    assert_eq!(read(&[]), counts(3));
    for group in 0..MAX_PARALLELISM {
        let expected: BTreeMap<_, _> =
            counts(3).into_iter().filter(|((of, _), _)| *of == group).collect();
        assert_eq!(read(&["--key-group", &group.to_string()]), expected);
    }
    assert_eq!(read(&["--limit", "17"]).len(), 17);
    let names = lines(&["show", &path, "--state", "names", "--limit", "1"]);
    assert!(names[0]["map_key"].as_str().unwrap().starts_with("name "));
    let short = lines(&["show", &path, "--state", "names", "--limit", "1", "--row-bytes-max", "9"]);
    assert!(short[0]["omitted_bytes"].as_u64().unwrap() > 9 && short[0]["value"].is_null());
    let error = run(&["show", &path, "--state", "sum"]).unwrap_err();
    assert!(error.contains("\"count\"") && error.contains("\"positions\""), "{error}");
}

#[test]
fn a_savepoint_is_listed_shown_and_verified_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let before = folder.path().join("before");
    let path = folder.path().join("moved");
    store::savepoint(&before);
    std::fs::rename(&before, &path).unwrap();
    let path = path.to_str().unwrap();
    let listing = json(&["ls", path]);
    assert_eq!(listing["checkpoints"][0]["kind"].as_str(), Some("savepoint"));
    let rows = lines(&["show", &format!("{path}/manifest"), "--state", "positions"]);
    assert_eq!(rows[0]["value"].as_str(), Some("file 1, line 7"));
    let (sound, text) = run(&["verify", path]).unwrap();
    assert!(sound && text.contains("all sound"), "{text}");
}

#[test]
fn nothing_is_made_where_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent");
    let path = path.to_str().unwrap();
    for command in ["ls", "show", "verify"] {
        let error = run(&[command, path]).unwrap_err();
        assert!(error.contains("isn't a directory"), "{error}");
    }
    assert!(!Path::new(path).exists());
    let empty = folder.path().to_str().unwrap();
    assert!(run(&["show", empty]).unwrap_err().contains("no checkpoint"));
    assert!(json(&["ls", empty])["checkpoints"].as_array().unwrap().is_empty());
}

/// Object, operator, key groups, and what is wrong.
type FoundProblem = (String, Option<String>, Option<(u64, u64)>, String);

/// What a damaged store is found to have.
fn problems(path: &str) -> Vec<FoundProblem> {
    let (sound, _) = run(&["verify", path]).unwrap();
    assert!(!sound, "damage must show in the exit code");
    let report = json(&["verify", path]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let problem = |problem: &Value| {
        let groups = problem["key_groups"].as_array();
        let groups =
            groups.map(|groups| (groups[0].as_u64().unwrap(), groups[1].as_u64().unwrap()));
        let what = text(&problem["problem"]).unwrap();
        (text(&problem["object"]).unwrap(), text(&problem["operator"]), groups, what)
    };
    report["problems"].as_array().unwrap().iter().map(problem).collect()
}

#[test]
fn verify_names_file_operator_and_key_groups_of_whatever_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    store::checkpoint(folder.path(), 4);
    let object = format!("{JOB}/chk-4/count-1");
    let file = folder.path().join(&object);
    let whole = std::fs::read(&file).unwrap();
    assert!(run(&["verify", path]).unwrap().0);
    let end = whole.len() - 6;
    let owned = Some((4, 7));
    let flips = [
        (6 + 2, "header", owned),
        (end - 20, "footer", owned),
        (end - 56 - 3, "index", owned),
        // The first block is of the first state and begins behind the header.
        (6 + 16 + 40, "block 0 (state \"count\"", None),
    ];
    for (place, part, groups) in flips {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x40;
        std::fs::write(&file, damaged).unwrap();
        let found = problems(path);
        assert_eq!(found.len(), 1, "{part}: {found:?}");
        let (of, operator, key_groups, what) = &found[0];
        assert_eq!((of, operator.as_deref()), (&object, Some("count")), "{part}");
        assert!(what.contains(part), "{part}: {what}");
        let (first, last) = key_groups.unwrap();
        assert!(first >= 4 && last <= 7, "those of the subtask");
        assert!(groups.is_none_or(|groups| (first, last) == groups), "{part}: {first} to {last}");
    }
    for length in [end - 100, 0] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let found = problems(path);
        assert_eq!(
            (&found[0].0, found[0].1.as_deref(), found[0].2),
            (&object, Some("count"), owned)
        );
        assert!(found.len() == 1 && found[0].3.contains("cut off"), "{found:?}");
    }
    std::fs::remove_file(&file).unwrap();
    let found = problems(path);
    assert_eq!((&found[0].0, found[0].1.as_deref(), found[0].2), (&object, Some("count"), owned));
    std::fs::write(&file, &whole).unwrap();

    // A run of the other subtask in its place: sound in itself.
    let other = std::fs::read(folder.path().join(format!("{JOB}/chk-4/count-0"))).unwrap();
    let mut swapped = other.clone();
    swapped.resize(whole.len().max(other.len()), 0);
    std::fs::write(&file, swapped).unwrap();
    assert!(!problems(path).is_empty());
    std::fs::write(&file, &whole).unwrap();
    assert!(run(&["verify", path]).unwrap().0);
}

#[test]
fn verify_finds_damage_in_manifests_and_logs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let manifest = store::checkpoint(folder.path(), 5);
    let mut leader = claim(folder.path());
    now(leader.publish(CheckpointId(5), &manifest)).unwrap();
    assert!(run(&["verify", path]).unwrap().0);
    let damage = |object: &str, check: &dyn Fn(String)| {
        let file = folder.path().join(object);
        let whole = std::fs::read(&file).unwrap();
        let mut damaged = whole.clone();
        damaged[30] ^= 1;
        std::fs::write(&file, damaged).unwrap();
        let found = problems(path);
        assert!(found.iter().any(|(of, ..)| of == object), "{found:?}");
        check(found[0].3.clone());
        std::fs::write(&file, whole).unwrap();
    };
    damage(manifest.as_str(), &|what| assert!(what.contains("checksum"), "{what}"));
    let record = layout::leader(JOB).unwrap();
    let bytes = sealed::to_bytes(&"jm-0:6123", 1, record.as_str()).unwrap();
    std::fs::write(folder.path().join(record.as_str()), bytes).unwrap();
    assert!(run(&["verify", path]).unwrap().0);
    damage(record.as_str(), &|what| assert!(what.contains("checksum"), "{what}"));
    assert_eq!(json(&["ls", path])["jobs"][0]["is_cluster"].as_bool(), Some(true));
    let entry = format!("{JOB}/log/{:020}", 1);
    damage(&entry, &|what| assert!(what.contains("damaged"), "{what}"));
    std::fs::remove_file(folder.path().join(manifest.as_str())).unwrap();
    let found = problems(path);
    assert!(found[0].3.contains("publishes checkpoint 5"), "{found:?}");
    let error = run(&["show", path]).unwrap_err();
    assert!(error.contains("no checkpoint") || error.contains("publishes checkpoint 5"), "{error}");
}

#[test]
fn a_checkpoint_with_which_a_job_was_stopped_is_looked_at_where_its_savepoint_is() {
    let folder = tempfile::tempdir().unwrap();
    let (own, savepoint) = (folder.path().join("own"), folder.path().join("savepoint"));
    let manifest = store::checkpoint(&savepoint, 3);
    let bytes = std::fs::read(savepoint.join(manifest.as_str())).unwrap();
    let mut stopped = CheckpointManifest::from_bytes(&bytes, "").unwrap();
    stopped.stopped_with = Some(savepoint.to_str().unwrap().to_owned());
    now(manifest::save(&DirectoryStore::open(&own).unwrap(), &stopped)).unwrap();
    let path = own.to_str().unwrap();
    let (sound, report) = run(&["verify", path]).unwrap();
    assert!(sound && report.contains("all sound"), "{report}");
    assert!(run(&["show", path]).unwrap().0);
    std::fs::remove_dir_all(&savepoint).unwrap();
    let (sound, report) = run(&["verify", path]).unwrap();
    assert!(!sound && report.contains("savepoint that the job was stopped with"), "{report}");
}
