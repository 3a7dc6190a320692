//! Applications whose processes talk by mutual TLS, and processes that don't belong to them.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use thalweg_core::clock::{Clock, SystemClock};
use thalweg_integration_tests::{Cluster, FraudInput, application};
use thalweg_tls::issue::Authority;
use thalweg_tls::{
    AUTHORITIES_FILE, CERTIFICATE_FILE, CertificateIdentity, KEY_FILE, Role, Validity,
};

use crate::high_availability::stand_by;

/// An application's CA and the folders of its processes.
struct Certificates {
    folder: TempDir,
    authority: Authority,
}

fn identity(role: Role) -> CertificateIdentity {
    CertificateIdentity { namespace: "shop".to_owned(), application_uid: "1".to_owned(), role }
}

fn validity() -> Validity {
    let now = SystemClock::new().wall_ms() / 1000;
    Validity { not_before: now - 3600, not_after: now + 3600 }
}

impl Certificates {
    fn new() -> Self {
        let authority = Authority::generate(&identity(Role::Operator), validity()).unwrap();
        let certificates = Self { folder: tempfile::tempdir().unwrap(), authority };
        for role in [Role::JobManager, Role::TaskManager] {
            certificates.write(role);
        }
        certificates
    }

    /// A new certificate, in the place of the one before.
    fn write(&self, role: Role) {
        let folder = self.folder.path().join(role.as_str());
        fs::create_dir_all(&folder).unwrap();
        let issued = self.authority.issue(&identity(role), validity()).unwrap();
        for (name, text) in [
            (CERTIFICATE_FILE, issued.certificate.as_str()),
            (KEY_FILE, &issued.key),
            (AUTHORITIES_FILE, self.authority.certificate()),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    /// What a process in this role is told.
    fn option(&self, role: Role) -> String {
        let folder = self.folder.path().join(role.as_str());
        format!("security.ssl.internal.directory={}", shown(&folder))
    }
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

fn secured(certificates: &Certificates, settings: &[(&str, &str)], input: &[String]) -> Cluster {
    let mut all = vec![("security.ssl.internal.enabled", "true")];
    all.extend(settings);
    let mut cluster = Cluster::new(&application("fraud-detection"), &all);
    let option = certificates.option(Role::JobManager);
    cluster.start_job_manager_with(&["-D", &option], input);
    cluster
}

#[test]
fn an_application_with_mutual_tls_gives_the_oracles_output_while_its_certificates_change() {
    let certificates = Certificates::new();
    let input = FraudInput::new(9_000, 71);
    let checkpoints = input.path("checkpoints");
    let settings = [
        ("execution.checkpointing.interval", "50 ms"),
        ("execution.checkpointing.dir", shown(&checkpoints)),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "100"),
    ];
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "2000"]);
    let mut cluster = secured(&certificates, &settings, &arguments);
    let option = certificates.option(Role::TaskManager);
    cluster.start_task_manager_with(2, &["-D", &option]);
    cluster.start_task_manager_with(1, &["-D", &option]);
    let job = cluster.rest.wait_for_job("RUNNING");
    // Plain text of this machine may give commands.
    let (status, answer) = cluster.rest.post(&format!("/jobs/{job}/checkpoints"), &json!({}));
    assert_eq!(status, 202, "{answer}");
    for role in [Role::JobManager, Role::TaskManager] {
        certificates.write(role);
    }
    // One with a new certificate takes the place of one with an old one.
    cluster.task_managers.remove(0).kill();
    cluster.start_task_manager_with(2, &["-D", &option]);
    let ended = cluster.wait().succeeded();
    assert!(ended.stderr.contains("a new certificate is in use"), "{}", ended.stderr);
    input.check("run");
}

#[test]
fn processes_without_a_certificate_of_the_application_stay_outside() {
    let certificates = Certificates::new();
    let input = FraudInput::new(2_000, 72);
    let settings = [("taskmanager.registration.timeout", "2 s")];
    let arguments = input.arguments("run", &["--parallelism", "1"]);
    let mut cluster = secured(&certificates, &settings, &arguments);
    cluster.rest.wait_for_job("CREATED");
    let foreign = Certificates::new().option(Role::TaskManager);
    let job_managers = certificates.option(Role::JobManager);
    let nowhere = "security.ssl.internal.directory=/nowhere/at/all";
    for (options, parts) in [
        (&["-D", "security.ssl.internal.enabled=false"][..], &["registration.timeout"][..]),
        // Whose CA is gone by now, with its folder.
        (&["-D", &foreign], &["security.ssl.internal.directory", "can't be read"]),
        (&["-D", &job_managers], &["is for thalweg://shop/1/jobmanager", "taskmanager"]),
        (&["-D", nowhere], &["/nowhere/at/all", "tls.crt can't be read"]),
    ] {
        cluster.start_task_manager_with(1, options);
        cluster.task_managers.pop().unwrap().wait().failed_with(parts);
    }
    let foreign = Certificates::new();
    let option = foreign.option(Role::TaskManager);
    cluster.start_task_manager_with(1, &["-D", &option]);
    let outside = cluster.task_managers.pop().unwrap().wait();
    outside.failed_with(&["taskmanager.registration.timeout"]);
    assert!(cluster.rest.task_managers().is_empty());
    // It was a stranger to the JobManager, which goes on.
    let option = certificates.option(Role::TaskManager);
    cluster.start_task_manager_with(1, &["-D", &option]);
    let ended = cluster.wait().succeeded();
    assert!(ended.stderr.contains("RPC connection refused"), "{}", ended.stderr);
    input.check("run");
}

#[test]
fn one_that_stands_by_passes_commands_on_by_mutual_tls_and_takes_over() {
    let certificates = Certificates::new();
    let input = FraudInput::new(24_000, 73);
    let storage = input.path("storage");
    let job_managers = certificates.folder.path().join("jobmanager");
    let settings = [
        ("security.ssl.internal.directory", shown(&job_managers)),
        ("high-availability.storageDir", shown(&storage)),
        ("high-availability.leader-election.lease-duration", "5 s"),
        ("high-availability.leader-election.retry-period", "200 ms"),
        ("execution.checkpointing.interval", "200 ms"),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "100"),
        ("restart-strategy.fixed-delay.delay", "100 ms"),
    ];
    let arguments = input.arguments("run", &["--parallelism", "2", "--rate", "2000"]);
    let mut cluster = secured(&certificates, &settings, &arguments);
    let option = certificates.option(Role::TaskManager);
    for _ in 0..2 {
        cluster.start_task_manager_with(1, &["-D", &option]);
    }
    let (job, mut standby, rest) = stand_by(&mut cluster, &arguments);
    let leader = rest.header("/jobs", "thalweg-leader");
    assert_eq!(leader.as_deref(), Some(cluster.rest.address()));
    let (status, answer) = rest.post(&format!("/jobs/{job}/checkpoints"), &json!({}));
    assert_eq!(status, 202, "{answer}");
    // The leader knows the request as the other JobManager's.
    let by = identity(Role::JobManager);
    let passed_on = format!("POST /jobs/{job}/checkpoints of {by} is let through");
    let killed = cluster.job_manager.as_mut().unwrap();
    assert!(killed.stderr().contains(&passed_on), "{}", killed.stderr());
    killed.kill();
    standby.wait().succeeded();
    for task_manager in &mut cluster.task_managers {
        task_manager.wait().succeeded();
    }
    input.check("run");
}
