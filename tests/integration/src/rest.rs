//! A JobManager's REST as a client sees it.

use std::time::Duration;

use serde_json::Value;

use crate::waiting::wait_until;

const TIMEOUT: Duration = Duration::from_secs(20);

/// The REST of one JobManager.
#[derive(Debug, Clone)]
pub struct Rest {
    address: String,
    agent: ureq::Agent,
}

impl Rest {
    /// At this HOST:PORT.
    pub fn new(address: &str) -> Self {
        let config = ureq::Agent::config_builder();
        let config = config.timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        Self { address: address.to_owned(), agent: config.into() }
    }

    /// HOST:PORT.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Status and body of a GET; none when nobody answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut answer = self.agent.get(format!("http://{}{path}", self.address)).call().ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    }

    /// The JSON of a GET that succeeds; none when it doesn't.
    pub fn json(&self, path: &str) -> Option<Value> {
        let (status, body) = self.get(path)?;
        if status != 200 {
            return None;
        }
        Some(
            serde_json::from_str(&body)
                .unwrap_or_else(|e| panic!("{path} isn't JSON: {e}\n{body}")),
        )
    }

    /// Status and JSON of the answer to a POST.
    ///
    /// # Panics
    /// Nobody answers, or not as REST does.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.agent.post(format!("http://{}{path}", self.address)).send_json(body);
        let mut answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = answer.body_mut().read_to_string().expect("an answer has a text");
        let value = serde_json::from_str(&text);
        (answer.status().as_u16(), value.unwrap_or_else(|e| panic!("{path}: {e}\n{text}")))
    }

    /// A header of the answer to a GET; none when nobody answers or there is no such header.
    pub fn header(&self, path: &str, name: &str) -> Option<String> {
        let answer = self.agent.get(format!("http://{}{path}", self.address)).call().ok()?;
        answer.headers().get(name)?.to_str().ok().map(str::to_owned)
    }

    /// The jobs' overviews, in the order in which they were executed. Empty when nobody answers.
    pub fn jobs(&self) -> Vec<Value> {
        let overview = self.json("/jobs/overview");
        let jobs = overview.and_then(|answer| answer["jobs"].as_array().cloned());
        jobs.unwrap_or_default()
    }

    /// Waits for a job in this state and gives its id.
    ///
    /// # Panics
    /// There is none in time.
    pub fn wait_for_job(&self, state: &str) -> String {
        wait_until(&format!("a job is {state} at {}", self.address), || {
            let jobs = self.jobs();
            let job = jobs.iter().find(|job| job["state"] == state)?;
            job["jid"].as_str().map(str::to_owned)
        })
    }

    /// The state of a job; none when nobody answers.
    pub fn state(&self, job: &str) -> Option<String> {
        self.json(&format!("/jobs/{job}/status"))?["status"].as_str().map(str::to_owned)
    }

    /// The number of checkpoints that a job has completed since it began.
    pub fn completed_checkpoints(&self, job: &str) -> Option<u64> {
        self.json(&format!("/jobs/{job}/checkpoints"))?["counts"]["completed"].as_u64()
    }

    /// A metric of a job.
    pub fn job_metric(&self, job: &str, name: &str) -> Option<f64> {
        let answer = self.json(&format!("/jobs/{job}/metrics?get={name}"))?;
        answer[0]["value"].as_str()?.parse().ok()
    }

    /// The ids of the registered TaskManagers.
    pub fn task_managers(&self) -> Vec<Value> {
        let answer = self.json("/taskmanagers");
        let list = answer.and_then(|answer| answer["taskmanagers"].as_array().cloned());
        list.unwrap_or_default()
    }

    /// Waits until so many TaskManagers are registered.
    ///
    /// # Panics
    /// They aren't, in time.
    pub fn wait_for_task_managers(&self, number: usize) {
        let what = format!("{number} TaskManagers are registered at {}", self.address);
        wait_until(&what, || (self.task_managers().len() == number).then_some(()));
    }
}
