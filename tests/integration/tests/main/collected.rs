//! What is deleted, in real stores, to the object: what `state gc --dry-run` says of a store in S3
//! and what the next leader then deletes, and savepoints that are disposed of by REST, in S3 and in
//! a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use serde_json::{Value, json};
use thalweg_integration_tests::{
    Cluster, FraudInput, Process, Rest, S3, application, read_manifest, referenced_objects,
    wait_until,
};
use thalweg_storage::{BlobPath, BlobStore};

use crate::high_availability::wait_for_checkpoints;
use crate::s3::check;
use crate::s3_recorded;

/// All that a folder of a store holds.
type Content = BTreeMap<String, Vec<u8>>;

/// A store that processes know by a name.
enum Place<'s> {
    Directory(PathBuf),
    S3(&'s S3),
}

impl Place<'_> {
    fn location(&self, folder: &str) -> String {
        match self {
            Place::Directory(path) => path.join(folder).to_str().unwrap().to_owned(),
            Place::S3(s3) => s3.location(folder),
        }
    }

    fn content(&self, folder: &str) -> Content {
        match self {
            Place::Directory(path) => {
                let mut content = Content::new();
                read_folder(&path.join(folder), "", &mut content);
                content
            }
            Place::S3(s3) => {
                let store = s3.store(folder);
                let read = |path: BlobPath| {
                    (path.to_string(), block_on(store.get(&path)).expect("the server runs"))
                };
                s3.list(folder).into_iter().map(read).collect()
            }
        }
    }
}

/// Files by their paths; an empty folder counts as one with a name that ends in `/`.
fn read_folder(folder: &Path, prefix: &str, content: &mut Content) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut empty = true;
    for entry in entries {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        empty = false;
        match path.is_dir() {
            true => read_folder(&path, &format!("{name}/"), content),
            false => drop(content.insert(name, fs::read(&path).unwrap())),
        }
    }
    if empty && !prefix.is_empty() {
        content.insert(prefix.to_owned(), Vec::new());
    }
}

pub(crate) fn run(words: &[&str]) -> String {
    let ended = Process::run(&words.join(" "), &application("fraud-detection"), words);
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    ended.stdout
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().to_owned()
}

fn kill_all(cluster: &mut Cluster) {
    cluster.job_manager.as_mut().unwrap().kill();
    cluster.task_managers.drain(..).for_each(|mut process| process.kill());
}

/// The objects of one of the two lists that `state gc --json` gives, with why they are in it.
fn decided(plan: &Value, list: &str) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let decisions = plan[list].as_array().unwrap().iter();
    decisions.map(|decision| (text(&decision["object"]), text(&decision["why"]))).collect()
}

/// What the last published checkpoint consists of, read without the engine's code.
fn needed(storage: &Path, job: &str) -> BTreeSet<String> {
    let manifest = crate::recorded::last_manifest(storage, job);
    let mut needed = referenced_objects(storage, [&read_manifest(&manifest)]);
    needed.insert(manifest.strip_prefix(storage).unwrap().to_str().unwrap().to_owned());
    needed
}

#[test]
fn what_a_dry_run_says_of_a_store_in_s3_is_what_the_next_leader_deletes_there() {
    let input = FraudInput::new(24_000, 98);
    let s3 = S3::new("collected");
    let rate = ["--parallelism", "3", "--rate", "3000"];
    let arguments = input.arguments_in(&s3.location("output"), "run", &rate);
    let mut cluster = s3_recorded::recorded(&s3, None, &arguments);
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster.rest, &job, 3);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    kill_all(&mut cluster);
    // Another leader, the second epoch, without anybody who could work for it.
    cluster.start_job_manager(&arguments);
    assert_eq!(cluster.rest.wait_for_job("CREATED"), job);
    cluster.job_manager.as_mut().unwrap().kill();
    // What tasks of both have left, and what nobody knows.
    let attempt = "0000000000000000000000000000000c";
    let put = |name: &str| {
        let path = BlobPath::parse(&format!("{job}/{name}")).unwrap();
        block_on(s3.store("storage").put(&path, name.as_bytes().to_vec())).unwrap();
        path.to_string()
    };
    let fenced = put(&format!("chk-3000/e1-shared-{attempt}"));
    let superseded = put(&format!("chk-1/e2-shared-{attempt}"));
    let own = put(&format!("chk-3000/e2-shared-{attempt}"));
    let unknown = [put(&format!("chk-3000/e99-shared-{attempt}")), put("notes.txt")];

    let place = Place::S3(&s3);
    let before = place.content("storage");
    let (config, storage) = (cluster.config(), s3.location("storage"));
    let words = ["state", "gc", "--dry-run", "--config", &config, &storage];
    let table = run(&words);
    assert!(table.contains(&fenced) && table.contains("would be deleted"), "{table}");
    let plans: Value = serde_json::from_str(&run(&[&words[..], &["--json"]].concat())).unwrap();
    let without = Process::run("gc", &application("fraud-detection"), &["state", "gc", &storage]);
    assert_eq!(without.code, Some(2), "{without:?}");
    assert!(place.content("storage") == before, "the commands have changed something");

    let [plan] = &plans.as_array().unwrap()[..] else { panic!("{plans}") };
    assert_eq!((&plan["job_id"], &plan["epoch"]), (&json!(job), &json!(2)));
    let (delete, keep) = (decided(plan, "delete"), decided(plan, "keep"));
    // Each object of the job is in exactly one of the lists.
    let of_job: BTreeSet<&String> =
        before.keys().filter(|name| name.starts_with(&format!("{job}/"))).collect();
    assert_eq!(delete.keys().chain(keep.keys()).collect::<BTreeSet<_>>(), of_job);
    assert_eq!(delete.len() + keep.len(), of_job.len());
    let copy = input.path("copy");
    s3.download("storage", &copy);
    for object in needed(&copy, &job) {
        assert!(keep.contains_key(&object), "{object} is needed: {:?}", delete.get(&object));
    }
    assert!(delete[&fenced].contains("epoch 1, whose leader is fenced"), "{delete:?}");
    assert!(delete[&superseded].contains("a later one is published"), "{delete:?}");
    assert!(keep[&own].contains("may still be published"), "{keep:?}");
    assert!(keep[&unknown[0]].contains("epoch 99") && keep[&unknown[1]].contains("name"));

    cluster.start_task_manager(3);
    cluster.start_job_manager(&arguments);
    assert_eq!(cluster.rest.wait_for_job("RUNNING"), job);
    wait_until("the next leader has deleted what was said", || {
        let there: BTreeSet<String> = s3.list("storage").iter().map(ToString::to_string).collect();
        // What the second epoch's may still have published is an older epoch's now.
        (delete.keys().all(|name| !there.contains(name)) && !there.contains(&own)).then_some(())
    });
    cluster.wait().succeeded();
    check(&s3, &input);
    for name in unknown {
        let path = BlobPath::parse(&name).unwrap();
        assert_eq!(block_on(s3.store("storage").get(&path)).unwrap(), before[&name]);
        block_on(s3.store("storage").delete(&path)).unwrap();
    }
    s3_recorded::check_store(&s3, &input, &job);
}

/// Asks for a savepoint's deletion and gives how it went: the cause of its failure.
fn dispose(rest: &Rest, savepoint: &str) -> Result<(), String> {
    let (status, answer) = rest.post("/savepoint-disposal", &json!({"savepoint-path": savepoint}));
    assert_eq!(status, 202, "{answer}");
    let name = answer["request-id"].as_str().unwrap().to_owned();
    let operation = wait_until("the disposal has ended", || {
        let answer = rest.json(&format!("/savepoint-disposal/{name}"))?;
        (answer["status"]["id"] == "COMPLETED").then(|| answer["operation"].clone())
    });
    match operation["failure-cause"]["stack-trace"].as_str() {
        Some(cause) => Err(cause.to_owned()),
        None => Ok(()),
    }
}

/// What is in a savepoint's folder, by its path in `content`.
fn of_savepoint(content: &Content, savepoint: &str) -> Content {
    let folder = format!("{}/", savepoint.rsplit('/').next().unwrap());
    let of = content.iter().filter(|(name, _)| name.starts_with(&folder));
    of.map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
}

/// A job leaves two savepoints, another one begins with the second and disposes of both.
fn disposals(
    place: &Place<'_>,
    input: &FraudInput,
    cluster: impl Fn(&str) -> Cluster,
    arguments: impl Fn(&str) -> Vec<String>,
) {
    let mut first = cluster("200 ms");
    first.start_task_manager(3);
    first.start_job_manager(&arguments("1500"));
    let job = first.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&first.rest, &job, 2);
    let (target, rest) = (place.location("savepoints"), first.rest.address().to_owned());
    let taken = last_line(&run(&["savepoint", "--target", &rest, &job, &target]));
    assert_eq!(first.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    let stopped = last_line(&run(&["stop", "--target", &rest, "-p", &target, &job]));
    first.wait().succeeded();
    let config = first.config();
    let both = place.content("savepoints");
    let [of_taken, of_stopped] = [&taken, &stopped].map(|path| of_savepoint(&both, path));
    assert!(of_taken.len() > 1 && of_taken.len() + of_stopped.len() == both.len(), "{taken}");

    // No checkpoint but those that are asked for.
    let mut second = cluster("1 h");
    second.start_task_manager(3);
    second.start_job_manager_with(&["--from-savepoint", &stopped], &arguments("1000"));
    let job = second.rest.wait_for_job("RUNNING");
    let refused = dispose(&second.rest, &stopped).unwrap_err();
    assert!(refused.contains("would restart from"), "{refused}");
    assert!(place.content("savepoints") == both, "something was deleted: {refused}");
    dispose(&second.rest, &taken).unwrap();
    assert_eq!(place.content("savepoints"), of_stopped, "exactly the one is deleted");
    run(&["state", "verify", "--config", &config, &stopped]);
    let again = dispose(&second.rest, &taken).unwrap_err();
    assert!(again.contains(&taken), "{again}");
    // A checkpoint is the engine's. After one the savepoint isn't needed any more.
    let target = second.rest.address().to_owned();
    let checkpoint = last_line(&run(&["checkpoint", "--target", &target, &job]));
    let checkpoints = place.content("checkpoints");
    let path = format!("{}/{job}/chk-{checkpoint}", place.location("checkpoints"));
    let refused = dispose(&second.rest, &path).unwrap_err();
    assert!(refused.contains("is a checkpoint"), "{refused}");
    assert_eq!(place.content("savepoints"), of_stopped, "something was deleted: {refused}");
    dispose(&second.rest, &stopped).unwrap();
    assert_eq!(place.content("savepoints"), Content::new());
    assert!(place.content("checkpoints") == checkpoints, "checkpoints aren't its own");
    assert_eq!(second.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    run(&["state", "verify", "--config", &config, &path]);
    // It restarts from that checkpoint, which needs nothing of the savepoints.
    second.task_managers.remove(0).kill();
    second.start_task_manager(3);
    second.wait().succeeded();
    if let Place::Directory(_) = place {
        input.check("run");
    }
}

#[test]
fn a_savepoint_in_s3_that_is_disposed_of_is_gone_and_nothing_else_is() {
    let input = FraudInput::new(30_000, 99);
    let s3 = S3::new("disposed");
    let checkpoints = s3.location("checkpoints");
    let cluster = |interval: &str| {
        let settings = [
            ("execution.checkpointing.dir", checkpoints.as_str()),
            ("execution.checkpointing.interval", interval),
        ];
        s3_recorded::cluster(&s3, None, &settings)
    };
    let arguments = |rate: &str| {
        let more = ["--parallelism", "3", "--rate", rate];
        input.arguments_in(&s3.location("output"), "run", &more)
    };
    disposals(&Place::S3(&s3), &input, cluster, arguments);
    check(&s3, &input);
}

#[test]
fn a_savepoint_in_a_directory_that_is_disposed_of_is_gone_and_nothing_else_is() {
    let input = FraudInput::new(30_000, 100);
    let checkpoints = input.path("checkpoints");
    let cluster = |interval: &str| {
        let settings = [
            ("execution.checkpointing.dir", checkpoints.to_str().unwrap()),
            ("execution.checkpointing.interval", interval),
            ("restart-strategy.type", "fixed-delay"),
            ("restart-strategy.fixed-delay.attempts", "100"),
            ("restart-strategy.fixed-delay.delay", "100 ms"),
        ];
        Cluster::new(&application("fraud-detection"), &settings)
    };
    let arguments = |rate: &str| input.arguments("run", &["--parallelism", "3", "--rate", rate]);
    let place = Place::Directory(input.path(""));
    disposals(&place, &input, cluster, arguments);
}
