//! The chart's alerts in the cluster's Prometheus, which scrapes pods as users' do.
//!
//! Not here: that their times are shorter than users' (`tests/kubernetes/alert-rules`), and what
//! makes them fire (the tests).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use crate::try_within;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks: Prometheus evaluates every five seconds.
const LOOK: Duration = Duration::from_millis(500);
/// How long until the first values of something that was just begun, beside others.
const STARTED: Duration = Duration::from_secs(120);
/// What Prometheus's templates put where a label isn't there.
const NO_VALUE: &str = "<no value>";

/// An alert that fires, by its labels: `alertname` is one.
pub type Firing = BTreeMap<String, String>;

/// The alerts of one of the chart's groups.
#[derive(Debug)]
pub struct Alerts {
    agent: Agent,
    prometheus: String,
    group: String,
}

impl Alerts {
    /// Gives the chart's alerts to the cluster's Prometheus, for looks at those of this group.
    ///
    /// # Panics
    /// It doesn't take them.
    pub fn of_group(group: &str) -> Alerts {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("alert-rules");
        let output = Command::new(script).output().expect("the script is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let prometheus = std::env::var("THALWEG_TEST_PROMETHEUS");
        Alerts {
            agent: Agent::config_builder().timeout_global(Some(TIMEOUT)).build().into(),
            prometheus: prometheus.expect("run the tests by tests/cluster/enter"),
            group: group.to_owned(),
        }
    }

    fn ask(&self, path: &str, query: Option<&str>) -> Value {
        let request = self.agent.get(format!("{}/api/v1/{path}", self.prometheus));
        let request =
            query.into_iter().fold(request, |request, query| request.query("query", query));
        let mut answer = request.call().expect("Prometheus answers");
        let mut answer: Value = answer.body_mut().read_json().expect("it is JSON");
        answer["data"].take()
    }

    fn rules(&self) -> Vec<Value> {
        let groups = self.ask("rules", None);
        let mut groups = groups["groups"].as_array().into_iter().flatten();
        let group = groups.find(|group| group["name"] == *self.group).expect("it is loaded");
        group["rules"].as_array().expect("a group has rules").clone()
    }

    /// The names of all alerts of the group.
    pub fn names(&self) -> BTreeSet<String> {
        let rules = self.rules();
        rules.iter().filter_map(|rule| rule["name"].as_str().map(str::to_owned)).collect()
    }

    /// The alerts of the group that fire now.
    ///
    /// # Panics
    /// A rule can't be evaluated, or an alert says something to people without saying of what.
    pub fn firing(&self) -> BTreeSet<Firing> {
        let mut firing = BTreeSet::new();
        for rule in self.rules() {
            assert!(rule["lastError"].is_null(), "{}: {}", rule["name"], rule["lastError"]);
            let alerts = rule["alerts"].as_array().into_iter().flatten();
            for alert in alerts.filter(|alert| alert["state"] == "firing") {
                assert!(!alert["annotations"].to_string().contains(NO_VALUE), "{alert:#}");
                let labels = serde_json::from_value(alert["labels"].clone());
                firing.insert(labels.expect("labels are texts"));
            }
        }
        firing
    }

    /// Waits until there is nothing more to say about the alerts that fire.
    ///
    /// # Panics
    /// There is when the time is over: it is said, with what fires.
    pub fn wait_until(
        &self,
        limit: Duration,
        what: &str,
        mut look: impl FnMut(BTreeSet<Firing>) -> Result<(), String>,
    ) {
        let (mut firing, mut complaint) = (BTreeSet::new(), String::new());
        let found = try_within(limit, || {
            pause();
            firing = self.firing();
            look(firing.clone()).map_err(|error| complaint = error).ok()
        });
        assert!(found.is_some(), "not after {limit:?}: {what}: {complaint}\nfiring: {firing:#?}");
    }

    /// Waits until an expression has a value: until Prometheus has scraped that.
    ///
    /// # Panics
    /// It has none in time.
    pub fn wait_for_value(&self, expression: &str) {
        crate::wait_within(STARTED, &format!("a value of {expression}"), || {
            pause();
            let answer = self.ask("query", Some(expression));
            answer["result"].as_array().is_some_and(|found| !found.is_empty()).then_some(())
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "between two looks")]
fn pause() {
    std::thread::sleep(LOOK);
}
