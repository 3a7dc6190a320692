//! A full disk: first the checkpoints' one, then the output's. Both are small file systems in
//! memory, in a mount namespace of the cluster's own, which needs root or user namespaces.

use std::fs;
use std::path::{Path, PathBuf};

use thalweg_integration_tests::{Process, Soak, application, check_store_that_failed, wait_until};

use crate::soak::Run;

/// A process that holds the namespace with both file systems in it.
struct Disks {
    holder: Process,
    folder: PathBuf,
}

impl Disks {
    /// Two small file systems, mounted on `checkpoints` and `output` in the folder; none where the
    /// system doesn't let us.
    fn new(folder: &Path) -> Option<Self> {
        let place = folder.to_str().unwrap();
        let mut script = String::from("set -e\n");
        for (disk, size) in [("checkpoints", "4m"), ("output", "64m")] {
            fs::create_dir(folder.join(disk)).unwrap();
            script += &format!("mount -t tmpfs -o size={size} none '{place}/{disk}'\n");
        }
        script += "echo mounted >&2\nexec sleep 1000000";
        let arguments = ["-rm", "sh", "-c", &script];
        let mut holder = Process::start("the disks", Path::new("unshare"), &arguments);
        let mounted = wait_until("disks are mounted, or can't be", || {
            let (runs, said) = (holder.is_running(), holder.stderr());
            if said.contains("mounted") { Some(true) } else { (!runs).then_some(false) }
        });
        mounted.then(|| Self { holder, folder: folder.to_owned() })
    }

    /// A program that runs another one among the disks.
    fn wrap(&self, binary: &Path) -> PathBuf {
        let wrapper = self.folder.join("among-the-disks");
        let (id, binary) = (self.holder.id(), binary.display());
        let text = format!(
            "#!/bin/sh\nexec nsenter --preserve-credentials --user --mount --target {id} \
             '{binary}' \"$@\"\n"
        );
        fs::write(&wrapper, text).unwrap();
        let made = Process::run("chmod", Path::new("chmod"), &["+x", wrapper.to_str().unwrap()]);
        made.succeeded();
        wrapper
    }

    /// Where we see a disk.
    fn path(&self, disk: &str) -> PathBuf {
        let below = self.folder.join(disk);
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(below.strip_prefix("/").unwrap())
    }

    /// Leaves no byte free on a disk.
    fn fill(&self, disk: &str) {
        use std::io::Write;
        let mut file = fs::File::create(self.path(disk).join(".filler")).unwrap();
        while file.write_all(&[0; 4_096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }

    fn free(&self, disk: &str) {
        fs::remove_file(self.path(disk).join(".filler")).unwrap();
    }
}

/// Waits until this count of checkpoints has risen by so many.
fn wait_for_count(run: &Run, count: &str, more: u64) {
    let now = || {
        let answer = run.cluster.rest.json(&format!("/jobs/{}/checkpoints", run.job))?;
        answer["counts"][count].as_u64()
    };
    let before = wait_until("checkpoints are counted", now);
    wait_until(&format!("{more} more checkpoints are {count}"), || {
        now().filter(|&now| now >= before + more)
    });
}

#[test]
fn a_full_disk_fails_checkpoints_or_the_job_and_no_row_once_there_is_room_again() {
    let soak = Soak::new(30_000);
    let Some(disks) = Disks::new(&soak.path("")) else {
        eprintln!("not tried: no mount namespaces here (root, or unprivileged user namespaces)");
        return;
    };
    let (output, checkpoints) = (soak.path("output"), soak.path("checkpoints"));
    let more = ["--parallelism", "3", "--rate", "1200", "--payload", "200"];
    let arguments = soak.arguments(&output, &more);
    let binary = disks.wrap(&application("allround"));
    let place = checkpoints.to_str().unwrap();
    let mut run = Run::start(&binary, place, 2, &arguments, &[]);

    run.wait_for_checkpoints(1);
    let mut fault = run.fault();
    disks.fill("checkpoints");
    wait_for_count(&run, "failed", 2);
    // Checkpoints may fail: the job goes on without.
    run.is_running();
    assert_eq!(run.cluster.rest.job_metric(&run.job, "numRestarts"), Some(0.0));
    // And what is lost meanwhile starts from the last complete one.
    run.replace(&mut fault, 0);
    run.wait_for_recovery(&fault);
    disks.free("checkpoints");
    run.wait_for_checkpoints(2);

    let fault = run.fault();
    disks.fill("output");
    run.wait_for_recovery(&fault);
    disks.free("output");
    run.wait_for_checkpoints(1);
    run.finish();
    soak.check(&disks.path("output"));
    check_store_that_failed(&disks.path("checkpoints"));
}
