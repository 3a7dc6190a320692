//! What happens to the operator, and to what it looks after, is alerted to: each alert about it
//! fires when its cause is made, and not before.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{
    Alerts, Namespace, OPERATOR_NAMESPACE, kubectl, shared_api, troubled,
};

const LIMIT: Duration = Duration::from_secs(90);
const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/thalweg-system/leases/thalweg-operator";
const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/thalweg-operator";

const FAILED: &str = "ThalwegApplicationFailed";
const ERRORS: &str = "ThalwegOperatorErrors";
const DOWN: &str = "ThalwegOperatorDown";
const WITHOUT_LEADER: &str = "ThalwegOperatorWithoutLeader";

/// Waits until these alerts fire and no others, with these labels.
fn wait_for(alerts: &Alerts, what: &str, expected: &[(&str, &[(&str, &str)])]) {
    wait_while(|| {}, alerts, what, expected);
}

/// The same, with something done at each look.
fn wait_while(
    mut doing: impl FnMut(),
    alerts: &Alerts,
    what: &str,
    expected: &[(&str, &[(&str, &str)])],
) {
    alerts.wait_until(LIMIT, what, |firing| {
        doing();
        let names: BTreeSet<_> = firing.iter().map(|one| one["alertname"].as_str()).collect();
        let wanted: BTreeSet<_> = expected.iter().map(|(alert, _)| *alert).collect();
        if names != wanted {
            return Err(format!("{wanted:?} are to fire"));
        }
        for (alert, labels) in expected {
            let one = firing.iter().find(|one| one["alertname"] == *alert);
            let one = one.ok_or_else(|| format!("{alert} is to fire"))?;
            for (name, value) in *labels {
                assert_eq!(one.get(*name).map(String::as_str), Some(*value), "{one:#?}");
            }
        }
        Ok(())
    });
}

/// Rights that the operator had, which it gets back when this is dropped: other tests follow.
struct Taken {
    rules: Value,
}

impl Taken {
    /// Takes the rights to a resource, as if the operator were newer than what was installed.
    fn of(resource: &str) -> Taken {
        let rules = shared_api().get(ROLE).expect("the chart has brought it")["rules"].take();
        let is_about = |rule: &Value| {
            let mut resources = rule["resources"].as_array().into_iter().flatten();
            resources.any(|each| each == resource)
        };
        let (taken, left): (Vec<Value>, Vec<Value>) =
            rules.as_array().expect("it has rules").iter().cloned().partition(is_about);
        assert!(!taken.is_empty(), "the operator has no right to {resource}");
        shared_api().merge(ROLE, &json!({"rules": left}));
        Taken { rules }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        shared_api().merge(ROLE, &json!({"rules": self.rules}));
    }
}

/// The operator's pods are gone until this is dropped.
struct Stopped;

impl Stopped {
    fn now() -> Stopped {
        scale_operator(0);
        Stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        scale_operator(1);
    }
}

fn scale_operator(replicas: u32) {
    let replicas = format!("--replicas={replicas}");
    let of_operator = ["deployments", "--all", "--namespace", OPERATOR_NAMESPACE];
    kubectl(&[&["scale", replicas.as_str()], &of_operator[..]].concat(), "");
}

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn each_alert_about_the_operator_fires_when_its_cause_is_made() {
    let namespace = Namespace::new("operator-alerts");
    let alerts = Alerts::of_group("thalweg-operator");
    let covered = [FAILED, ERRORS, DOWN, WITHOUT_LEADER].map(str::to_owned);
    assert_eq!(BTreeSet::from(covered), alerts.names(), "of each alert the cause is made");
    let leads = format!("thalweg_operator_leader{{namespace={OPERATOR_NAMESPACE:?}}} == 1");
    alerts.wait_for_value(&leads);
    wait_for(&alerts, "all is well", &[]);

    let operators = ("namespace", OPERATOR_NAMESPACE);
    let failed = (FAILED, &[("severity", "critical"), operators, ("state", "Failed")][..]);
    let never = json!({"job": {"restartStrategy": {"type": "None"}}});
    troubled(&namespace, "failed", &["--fail-at", "20"], never);
    wait_for(&alerts, "an application has failed", &[failed]);

    let stopped = Stopped::now();
    let down = (DOWN, &[("severity", "critical"), operators][..]);
    wait_for(&alerts, "no operator is there", &[down]);

    // Whoever holds the Lease renews it.
    let mut renewals = 0;
    let mut hold = |holder: &str| {
        renewals += 1;
        let spec = json!({"holderIdentity": holder, "leaseTransitions": renewals});
        shared_api().merge(LEASE, &json!({"spec": spec}));
    };
    hold("somebody-else");
    drop(stopped);
    let without_leader = (WITHOUT_LEADER, &[("severity", "critical")][..]);
    let what = "another one holds the operators' Lease";
    wait_while(|| hold("somebody-else"), &alerts, what, &[without_leader]);
    hold("");
    wait_for(&alerts, "the operator leads again", &[failed]);

    let taken = Taken::of("services");
    troubled(&namespace, "forbidden", &[], json!({}));
    let errors = (ERRORS, &[("severity", "warning")][..]);
    wait_for(&alerts, "the operator may not do what it has to", &[failed, errors]);
    drop(taken);
    namespace.delete();
}
