//! The API server, as the cluster's administrator: by `kubectl proxy`, which does the TLS.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::StatusCode;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Paths begin with `/api` or `/apis`.
#[derive(Debug)]
pub struct Api {
    agent: Agent,
    address: String,
}

fn start_proxy() -> Child {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "kubectl", "proxy", "--port=0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl is there: run the tests by tests/cluster/enter")
}

/// The one that all tests of the process share.
pub fn shared_api() -> &'static Api {
    static API: OnceLock<Api> = OnceLock::new();
    API.get_or_init(Api::start)
}

impl Api {
    fn start() -> Api {
        let (sender, receiver) = sync_channel(1);
        // It ends with the thread that has started it; those of tests end too early.
        let thread = std::thread::Builder::new().name("kubectl proxy".to_owned());
        let run = move || {
            let mut proxy = start_proxy();
            let mut line = String::new();
            let mut output = BufReader::new(proxy.stdout.take().expect("it is piped"));
            output.read_line(&mut line).expect("kubectl proxy says where it listens");
            sender.send(line).expect("somebody waits for it");
            proxy.wait().expect("it is a child")
        };
        thread.spawn(run).expect("a thread can be started");
        let line = receiver.recv().expect("kubectl proxy says where it listens");
        let address = line.rsplit(' ').next().expect("an address").trim();
        let config = Agent::config_builder();
        let agent = config.timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        Api { agent: agent.into(), address: format!("http://{address}") }
    }

    /// What is at a path; none if nothing is, or the API server doesn't answer.
    pub fn get(&self, path: &str) -> Option<Value> {
        let mut answer = self.agent.get(format!("{}{path}", self.address)).call().ok()?;
        (answer.status() == StatusCode::OK).then(|| answer.body_mut().read_json().ok())?
    }

    /// The text at a path.
    pub fn text(&self, path: &str) -> Option<String> {
        let mut answer = self.agent.get(format!("{}{path}", self.address)).call().ok()?;
        (answer.status() == StatusCode::OK).then(|| answer.body_mut().read_to_string().ok())?
    }

    /// The items of a list. No answer is no item.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let list = self.get(path);
        list.and_then(|mut list| Some(list["items"].as_array_mut()?.drain(..).collect()))
            .unwrap_or_default()
    }

    /// Makes an object of what it should be, or changes it to that.
    ///
    /// # Panics
    /// The API server refuses it.
    pub fn apply(&self, path: &str, object: &Value) {
        self.patch(path, "application/apply-patch+yaml", "?fieldManager=tests&force=true", object);
    }

    /// Changes some fields of an object.
    ///
    /// # Panics
    /// The API server refuses it.
    pub fn merge(&self, path: &str, change: &Value) {
        self.patch(path, "application/merge-patch+json", "", change);
    }

    fn patch(&self, path: &str, kind: &str, parameters: &str, body: &Value) {
        let address = format!("{}{path}{parameters}", self.address);
        let request = self.agent.patch(address).header("content-type", kind);
        let mut answer = request.send(body.to_string()).expect("the API server answers");
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        assert!(answer.status().is_success(), "{path}: {} {text}", answer.status());
    }

    /// Deletes what is at a path; that nothing is there is as well.
    ///
    /// # Panics
    /// The API server refuses it.
    pub fn delete(&self, path: &str) {
        let request = self.agent.delete(format!("{}{path}", self.address));
        let answer = request.call().expect("the API server answers");
        let fine = answer.status().is_success() || answer.status() == StatusCode::NOT_FOUND;
        assert!(fine, "{path}: {}", answer.status());
    }
}
