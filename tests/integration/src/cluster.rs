//! A JobManager and TaskManagers of one application, each a process.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::ports::free_port;
use crate::process::{Ended, Process};
use crate::rest::Rest;

/// Configuration keys above those that every cluster of a test has.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// The processes of one application. Ports are chosen before anything is started, so that its
/// parts can be started in any order.
#[derive(Debug)]
pub struct Cluster {
    binary: PathBuf,
    folder: TempDir,
    /// The port where the JobManager expects TaskManagers.
    pub rpc_port: u16,
    /// The JobManager's REST.
    pub rest: Rest,
    /// None before it is started.
    pub job_manager: Option<Process>,
    /// In the order in which they were started.
    pub task_managers: Vec<Process>,
}

impl Cluster {
    /// A cluster of which nothing is started yet.
    pub fn new(binary: &Path, settings: Settings<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (rpc_port, rest_port) = (free_port(), free_port());
        let mut text = format!(
            "jobmanager:\n  rpc.address: 127.0.0.1\n  rpc.port: {rpc_port}\n\
             rest.port: {rest_port}\nmetrics.port: 0\n"
        );
        for (key, value) in settings {
            text.push_str(&format!("{key}: {value}\n"));
        }
        fs::write(folder.path().join("config.yaml"), text).expect("a file can be written");
        Self {
            binary: binary.to_owned(),
            folder,
            rpc_port,
            rest: Rest::new(&format!("127.0.0.1:{rest_port}")),
            job_manager: None,
            task_managers: Vec::new(),
        }
    }

    /// The configuration file that all of its processes read.
    pub fn config(&self) -> String {
        let path = self.folder.path().join("config.yaml");
        path.to_str().expect("temporary paths are UTF-8").to_owned()
    }

    /// Starts the JobManager with the application's arguments.
    pub fn start_job_manager(&mut self, arguments: &[String]) {
        self.start_job_manager_with(&[], arguments);
    }

    /// The same with options of the role before the application's arguments.
    pub fn start_job_manager_with(&mut self, options: &[&str], arguments: &[String]) {
        let config = self.config();
        let mut all = vec!["jobmanager", "--config", &config];
        all.extend(options);
        all.push("--");
        all.extend(arguments.iter().map(String::as_str));
        self.job_manager = Some(Process::start("the JobManager", &self.binary, &all));
    }

    /// A second JobManager on ports of its own, and its REST; it isn't counted as the cluster's.
    pub fn standby(&self, arguments: &[String]) -> (Process, Rest) {
        let (rpc_port, rest_port) = (free_port(), free_port());
        let config = self.config();
        let rpc_port = format!("jobmanager.rpc.port={rpc_port}");
        let rest = format!("rest.port={rest_port}");
        let mut all = vec!["jobmanager", "--config", &config, "-D", &rpc_port, "-D", &rest, "--"];
        all.extend(arguments.iter().map(String::as_str));
        let process = Process::start("the other JobManager", &self.binary, &all);
        (process, Rest::new(&format!("127.0.0.1:{rest_port}")))
    }

    /// Starts a TaskManager with so many slots.
    pub fn start_task_manager(&mut self, slots: u32) {
        let process = self.task_manager_of(&self.binary, slots);
        self.task_managers.push(process);
    }

    /// A TaskManager of another binary; it isn't counted among the cluster's own.
    pub fn task_manager_of(&self, binary: &Path, slots: u32) -> Process {
        self.task_manager_with(binary, slots, &[])
    }

    /// Starts a TaskManager with so many slots and these options.
    pub fn start_task_manager_with(&mut self, slots: u32, options: &[&str]) {
        let process = self.task_manager_with(&self.binary, slots, options);
        self.task_managers.push(process);
    }

    fn task_manager_with(&self, binary: &Path, slots: u32, options: &[&str]) -> Process {
        let (config, slots) = (self.config(), format!("taskmanager.numberOfTaskSlots={slots}"));
        let what = format!("TaskManager {}", self.task_managers.len() + 1);
        let first = ["taskmanager", "--config", &config, "-D", &slots];
        Process::start(&what, binary, &[&first[..], options].concat())
    }

    /// Waits until the JobManager and all TaskManagers that still run end by themselves, and gives
    /// the JobManager's end.
    ///
    /// # Panics
    /// Somebody doesn't end in time, or a TaskManager's exit code isn't 0.
    pub fn wait(&mut self) -> Ended {
        let job_manager = self.job_manager.as_mut().expect("the JobManager was started");
        let ended = job_manager.wait();
        for (number, task_manager) in self.task_managers.iter_mut().enumerate() {
            let code = task_manager.wait().code;
            assert_eq!(code, Some(0), "TaskManager {}", number + 1);
        }
        ended
    }
}
