//! Savepoints of real processes: taken, stopped with, moved, and begun from again at another
//! parallelism; what can't be begun from is refused before anything starts.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thalweg_integration_tests::{
    Cluster, FraudInput, Process, Rest, application, check_output, wait_until,
};
use thalweg_oracle::fraud_detection;
use thalweg_oracle::generator::FraudDetectionData;

/// Rows a second of a run that is to be interrupted: a few seconds' worth of input.
const RATE: &str = "1500";

/// A cluster whose checkpoints and savepoints are in folders of `input`.
fn cluster(input: &FraudInput) -> Cluster {
    let checkpoints = input.path("checkpoints");
    let savepoints = input.path("savepoints");
    Cluster::new(
        &application("fraud-detection"),
        &[
            ("execution.checkpointing.interval", "300 ms"),
            ("execution.checkpointing.dir", checkpoints.to_str().unwrap()),
            ("execution.checkpointing.savepoint-dir", savepoints.to_str().unwrap()),
        ],
    )
}

/// Runs a command of the application against the cluster and gives the last line that it prints.
fn command(cluster: &Cluster, words: &[&str]) -> String {
    let target = ["--target", cluster.rest.address()];
    let words = [&words[..1], &target, &words[1..]].concat();
    let ended = Process::run(words[0], &application("fraud-detection"), &words).succeeded();
    ended.stdout.lines().last().unwrap_or_default().to_owned()
}

/// Rows that the sources of the job have emitted; none when nobody answers.
fn rows_read(rest: &Rest, job: &str) -> Option<u64> {
    let job = rest.json(&format!("/jobs/{job}"))?;
    let vertices = job["vertices"].as_array()?;
    vertices.first()?["metrics"]["write-records"].as_u64()
}

fn wait_for_rows(cluster: &Cluster, job: &str, rows: u64) {
    wait_until(&format!("{rows} rows were read"), || {
        rows_read(&cluster.rest, job).filter(|read| *read >= rows).map(drop)
    });
}

/// Moves a savepoint: nothing in it says where it was.
fn moved(from: &str, to: PathBuf) -> String {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(from, &to).unwrap();
    to.to_str().unwrap().to_owned()
}

/// Starts the cluster's processes; the JobManager begins with `savepoint`, if there is one.
fn start(cluster: &mut Cluster, savepoint: Option<&str>, arguments: &[String], slots: u32) {
    match savepoint {
        None => cluster.start_job_manager(arguments),
        Some(path) => cluster.start_job_manager_with(&["--from-savepoint", path], arguments),
    }
    (0..slots).for_each(|_| cluster.start_task_manager(1));
}

#[test]
fn a_job_that_is_stopped_and_begun_again_at_other_parallelisms_gives_the_oracles_output() {
    let input = FraudInput::new(9_000, 71);
    let arguments =
        |parallelism, rate| input.arguments("run", &["--parallelism", parallelism, "--rate", rate]);
    let mut savepoint = None;
    for (number, parallelism) in ["1", "3"].into_iter().enumerate() {
        let mut cluster = cluster(&input);
        let slots = parallelism.parse().unwrap();
        start(&mut cluster, savepoint.as_deref(), &arguments(parallelism, RATE), slots);
        let job = cluster.rest.wait_for_job("RUNNING");
        wait_for_rows(&cluster, &job, 500);
        // One that the job goes on after: it is whole, and nothing is committed by it.
        let taken = command(&cluster, &["savepoint", &job]);
        assert!(Path::new(&taken).join("manifest").exists(), "{taken}");
        wait_for_rows(&cluster, &job, 1_000);
        let last = command(&cluster, &["stop", &job]);
        assert_ne!(taken, last);
        cluster.wait().succeeded();
        savepoint = Some(moved(&last, input.path(&format!("moved/{number}"))));
    }
    let mut cluster = cluster(&input);
    start(&mut cluster, savepoint.as_deref(), &arguments("2", "100000"), 2);
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn a_savepoint_that_the_job_went_on_after_begins_another_run_of_all_that_follows() {
    let input = FraudInput::new(9_000, 72);
    let mut first = cluster(&input);
    let arguments = input.arguments("first", &["--parallelism", "2", "--rate", RATE]);
    start(&mut first, None, &arguments, 2);
    let job = first.rest.wait_for_job("RUNNING");
    wait_for_rows(&first, &job, 1_000);
    let savepoints = input.path("elsewhere");
    let taken = command(&first, &["savepoint", &job, savepoints.to_str().unwrap()]);
    assert!(Path::new(&taken).starts_with(&savepoints), "{taken}");
    let checkpoint = command(&first, &["checkpoint", "--full", &job]);
    assert!(checkpoint.parse::<u64>().unwrap() > 0, "{checkpoint}");
    first.wait().succeeded();
    input.check("first");
    // The rest again, into the same folder: what the first run wrote after the savepoint is there
    // twice then, what it wrote before it once.
    let once = thalweg_oracle::read_output(input.path("first-alerts")).unwrap().len();
    let mut second = cluster(&input);
    let arguments = input.arguments("first", &["--parallelism", "1"]);
    start(&mut second, Some(&taken), &arguments, 1);
    second.wait().succeeded();
    let both = thalweg_oracle::read_output(input.path("first-alerts")).unwrap().len();
    assert!(both > once && both < 2 * once, "{once} alerts, then {both}");
}

#[test]
fn a_drained_stop_gives_the_output_of_what_was_read_with_all_windows_fired() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let data = FraudDetectionData { rows: 9_000, accounts: 200, seed: 73 };
    data.write_to(path("transactions"), 1).unwrap();
    let checkpoints = format!("execution.checkpointing.dir={}", text("checkpoints"));
    let settings = ["-D", "execution.checkpointing.interval=300 ms", "-D", &checkpoints];
    let port = ["-D", "rest.port=0", "-D", "metrics.port=0"];
    let (transactions, alerts, late) = (text("transactions"), text("alerts"), text("late"));
    let own = ["--", "--parallelism", "1", "--rate", "1500", "--transactions", &transactions];
    let outputs = ["--alerts", &alerts, "--late", &late];
    let words = [&["local"][..], &settings, &port, &own, &outputs].concat();
    let mut process = Process::start("the job", &application("fraud-detection"), &words);
    let served = process.wait_for_line("REST is served at http://");
    let rest = Rest::new(served.rsplit_once("//").unwrap().1);
    let job = rest.wait_for_job("RUNNING");
    wait_until("2000 rows were read", || rows_read(&rest, &job).filter(|read| *read > 2_000));
    let savepoints = text("savepoints");
    let stop = ["stop", "--target", rest.address(), "--drain", "-p", &savepoints, &job];
    let stopped = Process::run("stop", &application("fraud-detection"), &stop).succeeded();
    assert!(stopped.stdout.starts_with(&savepoints), "{}", stopped.stdout);
    let ended = process.wait().succeeded();
    // There is one file and one source: what was read is its beginning.
    let last = ended.stderr.lines().rfind(|line| line.contains("FINISHED")).unwrap();
    let read: usize = last.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!((1_000..9_000).contains(&read), "{last}");
    let all = fs::read_to_string(path("transactions")).unwrap();
    let prefix: String = all.split_inclusive('\n').take(read + 1).collect();
    fs::write(path("prefix"), prefix).unwrap();
    let expected = fraud_detection::run(path("prefix")).unwrap();
    check_output("alerts", &expected.alerts, &path("alerts"));
    check_output("late", &expected.late, &path("late"));
}

#[test]
fn what_cannot_be_begun_from_is_refused_before_anything_starts_and_check_says_so_too() {
    let input = FraudInput::new(6_000, 74);
    let mut first = cluster(&input);
    start(&mut first, None, &input.arguments("run", &["--parallelism", "2", "--rate", RATE]), 2);
    let job = first.rest.wait_for_job("RUNNING");
    wait_for_rows(&first, &job, 500);
    let savepoint = command(&first, &["stop", &job]);
    first.wait().succeeded();

    let manifest = fs::read(Path::new(&savepoint).join("manifest")).unwrap();
    let object = |copy: &Path| {
        let names = fs::read_dir(copy).unwrap().map(|entry| entry.unwrap().path());
        names
            .filter(|path| !path.ends_with("manifest"))
            .max_by_key(|path| path.metadata().unwrap().len())
    };
    let newer = {
        let text = String::from_utf8(manifest.clone()).unwrap();
        let body = text.split_once("crc32c:").unwrap().0;
        let body = body.replace("\"format_version\": 2", "\"format_version\": 99");
        format!("{body}crc32c:{:08x}\n", crc32c::crc32c(body.as_bytes()))
    };
    type Damage<'a> = Box<dyn Fn(&Path) + 'a>;
    let cases: [(&str, &[&str], &[&str], Damage<'_>); 6] = [
        ("missing", &[], &["missing"], Box::new(|copy| fs::remove_dir_all(copy).unwrap())),
        (
            "empty",
            &[],
            &["there is no savepoint", "manifest"],
            Box::new(|copy| {
                fs::remove_file(copy.join("manifest")).unwrap();
            }),
        ),
        (
            "truncated",
            &[],
            &["truncated", "damaged", "cut off"],
            Box::new(|copy| {
                fs::write(copy.join("manifest"), &manifest[..manifest.len() / 2]).unwrap();
            }),
        ),
        (
            "newer",
            &[],
            &["format version 99", "reads up to 2"],
            Box::new(|copy| {
                fs::write(copy.join("manifest"), &newer).unwrap();
            }),
        ),
        (
            "short",
            &[],
            &["short", "can't be read up to its end"],
            Box::new(|copy| {
                let longest = object(copy).unwrap();
                let bytes = fs::read(&longest).unwrap();
                fs::write(&longest, &bytes[..bytes.len() - 1]).unwrap();
            }),
        ),
        (
            "max-parallelism",
            &["-D", "pipeline.max-parallelism=64"],
            &["128 key groups", "max parallelism 64", "\"rules\""],
            Box::new(|_| ()),
        ),
    ];
    for (name, settings, parts, damage) in cases {
        let copy = input.path(name);
        copy_folder(Path::new(&savepoint), &copy);
        damage(&copy);
        refused(&input, &application("fraud-detection"), copy.to_str().unwrap(), settings, parts);
    }
    // Another application, whose operators are others.
    let other = application("personalisation");
    let parts = ["\"rules\"", "isn't in the job", "--allow-non-restored-state"];
    refused(&input, &other, &savepoint, &[], &parts);
    // What nobody claims may be dropped; then the other application begins without state.
    let allowed = ["check", "--from-savepoint", &savepoint, "--allow-non-restored-state"];
    let report = Process::run("check", &other, &allowed).succeeded();
    assert!(report.stdout.contains("dropped"), "{}", report.stdout);
    let late = input.path("nothing");
    let own = ["--", "--late", late.to_str().unwrap()];
    let fits = [&["check", "--json", "--from-savepoint", &savepoint][..], &own].concat();
    let report = Process::run("check", &application("fraud-detection"), &fits).succeeded();
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["compatible"], true, "{report}");
    let states = report["operators"].as_array().unwrap().iter().flat_map(|o| {
        o["states"].as_array().unwrap().iter().map(|state| state.as_str().unwrap().to_owned())
    });
    assert!(states.count() > 2, "{report}");
}

/// A start from this savepoint fails with these words and leaves nothing behind; `check` says the
/// same.
fn refused(input: &FraudInput, binary: &Path, path: &str, settings: &[&str], parts: &[&str]) {
    let nothing = input.path("nothing");
    let own = ["--", "--alerts", nothing.to_str().unwrap()];
    let from = ["--from-savepoint", path];
    let own: &[&str] = if binary.ends_with("fraud-detection") { &own } else { &[] };
    let local = [&["local", "-D", "rest.port=0", "-D", "metrics.port=0"][..], settings, &from, own];
    Process::run(path, binary, &local.concat()).failed_with(parts);
    assert!(!nothing.exists(), "{path}: something was started");
    let there = Path::new(path).exists();
    let check = Process::run(path, binary, &[&["check"][..], settings, &from, own].concat());
    assert_eq!(check.code, Some(1), "{}{}", check.stdout, check.stderr);
    for part in parts {
        assert!(check.stdout.contains(part), "{part:?} is missing: {}", check.stdout);
    }
    assert_eq!(Path::new(path).exists(), there, "{path} was made or removed");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_retained_checkpoint_of_a_job_that_was_killed_begins_another_run() {
    let input = FraudInput::new(6_000, 75);
    let mut first = cluster(&input);
    let arguments = input.arguments("run", &["--parallelism", "2", "--rate", RATE]);
    start(&mut first, None, &arguments, 2);
    let job = first.rest.wait_for_job("RUNNING");
    wait_for_rows(&first, &job, 1_000);
    let number = command(&first, &["checkpoint", &job]);
    first.job_manager.as_mut().unwrap().kill();
    first.task_managers.iter_mut().for_each(Process::kill);
    // The newest that was completed: the one that was asked for, or a later one.
    let of_job = input.path("checkpoints").join(&job);
    let numbers = fs::read_dir(&of_job).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let complete = of_job.join(&name).join("manifest").exists();
        name.strip_prefix("chk-")?.parse::<u64>().ok().filter(|_| complete)
    });
    let newest = numbers.max().unwrap();
    assert!(newest >= number.parse().unwrap(), "{newest} of {number}");
    let path = of_job.join(format!("chk-{newest}"));
    // One that the job has deleted is followed to its newest, if that's wanted.
    let gone = of_job.join("chk-0/manifest");
    let ask = ["check", "--json", "--from-savepoint", gone.to_str().unwrap()];
    let own = [&["--"][..], &arguments.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    let refused =
        Process::run("check", &application("fraud-detection"), &[&ask, &own[..]].concat());
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    let newer = [&ask[..], &["--or-newer"], &own].concat();
    let report = Process::run("check", &application("fraud-detection"), &newer).succeeded();
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["savepoint"], path.join("manifest").to_str().unwrap());
    let mut second = cluster(&input);
    start(&mut second, path.to_str(), &input.arguments("run", &["--parallelism", "3"]), 3);
    second.wait().succeeded();
    assert!(path.join("manifest").exists(), "what it began with was deleted");
    compare_alerts(&input);
}

/// The output is the oracle's; parts that the killed run was writing to may be left.
fn compare_alerts(input: &FraudInput) {
    let expected = fraud_detection::run(input.path("transactions")).unwrap();
    let actual = thalweg_oracle::read_output(input.path("run-alerts")).unwrap();
    thalweg_oracle::compare(&expected.alerts, &actual).unwrap();
}

#[test]
fn commands_that_cannot_be_carried_out_say_why() {
    let input = FraudInput::new(20_000, 76);
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    start(&mut cluster, None, &input.arguments("run", &["--rate", "500", "--parallelism", "1"]), 1);
    let job = cluster.rest.wait_for_job("RUNNING");
    let binary = application("fraud-detection");
    let target = cluster.rest.address().to_owned();
    let file = input.path("a file");
    fs::write(&file, "").unwrap();
    let cases: [(&[&str], &[&str]); 6] = [
        (&["savepoint", &job], &["execution.checkpointing.savepoint-dir", "must be provided"]),
        (&["savepoint", "0123456789abcdef0123456789abcdef", "/x"], &["could not be found"]),
        (&["savepoint", "nonsense", "/x"], &["nonsense"]),
        (&["savepoint", &job, file.to_str().unwrap()], &["savepoint failed", "a file"]),
        (&["stop", "--drain", "-p", "/x", &job], &["execution.checkpointing.interval"]),
        (&["checkpoint", &job], &["no place for checkpoints"]),
    ];
    for (words, parts) in cases {
        let words = [&words[..1], &["--target", &target], &words[1..]].concat();
        Process::run(&words.join(" "), &binary, &words).failed_with(parts);
    }
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"));
    // A job without checkpoints can be stopped, and gives what it has.
    let savepoints = input.path("savepoints");
    let stopped = command(&cluster, &["stop", "-p", savepoints.to_str().unwrap(), &job]);
    assert!(Path::new(&stopped).join("manifest").exists());
    cluster.wait().succeeded();
    let mut second = self::cluster(&input);
    start(&mut second, Some(&stopped), &input.arguments("run", &["--parallelism", "2"]), 2);
    second.wait().succeeded();
    input.check("run");
}
