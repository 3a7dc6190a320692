//! Certificates are made once, renewed in time, and nothing is asked in between.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use thalweg_tls::{Pem, Validity};

use super::{at_rest, look, resource, settled, until};
use crate::controller::certificates::{are_due, keep, of_operator};
use crate::controller::memory::Memory;
use crate::controller::observe;
use crate::plan::{Action, Facts};
use crate::testing::ApiServer;

/// 2026-01-01.
const NOW: i64 = 1_767_225_600;
const DAY: i64 = 86_400;
const NAMES: [&str; 3] = ["a-ca", "a-jobmanager-tls", "a-taskmanager-tls"];

fn at(days: i64) -> Time {
    Time(Timestamp::from_second(NOW + days * DAY).unwrap())
}

fn facts() -> Facts {
    facts_of(resource())
}

fn facts_of(resource: Value) -> Facts {
    observe::facts(&serde_json::from_value(resource).unwrap(), &Default::default()).unwrap()
}

/// Until when a role's certificate counts, in days from the first moment.
fn until_day(api: &ApiServer, name: &str) -> i64 {
    let secret: Secret = serde_json::from_value(api.get("secrets", name).unwrap()).unwrap();
    let certificate = &secret.data.unwrap()["tls.crt"].0;
    (Validity::of_pem(certificate).unwrap().not_after - NOW) / DAY
}

fn text(api: &ApiServer, name: &str) -> Option<Value> {
    api.get("secrets", name)
}

#[tokio::test]
async fn certificates_are_made_once_renewed_in_time_and_nothing_is_asked_in_between() {
    let (api, mut memory, facts) = (ApiServer::default(), Memory::default(), facts());
    let client = api.client();
    keep(&client, (&facts, &at(0)), &[], &mut memory).await.unwrap();
    let next = memory.renewal.clone().unwrap();
    assert!(next > at(59) && next < at(60), "{next:?}");
    assert_eq!(api.names("secrets"), NAMES);
    let asked = api.requests();
    assert!(!asked.iter().any(|each| each.starts_with("GET secrets//")), "{asked:?}");
    for days in [0, 1, 30, 59] {
        assert!(!are_due(&facts, &memory, &at(days)));
        keep(&client, (&facts, &at(days)), &[], &mut memory).await.unwrap();
    }
    assert_eq!(api.requests(), asked);
    assert_eq!(NAMES[1..].iter().map(|name| until_day(&api, name)).sum::<i64>(), 180);
    assert!(are_due(&facts, &memory, &at(60)));
    keep(&client, (&facts, &at(60)), &[], &mut memory).await.unwrap();
    assert!(memory.renewal.clone().unwrap() > at(119));
    assert_eq!(NAMES[1..].iter().map(|name| until_day(&api, name)).sum::<i64>(), 300);
}

#[tokio::test]
async fn before_pods_are_started_a_secret_that_is_missing_is_made() {
    let (api, mut memory, facts) = (ApiServer::default(), Memory::default(), facts());
    let client = api.client();
    keep(&client, (&facts, &at(0)), &[], &mut memory).await.unwrap();
    let kept = text(&api, NAMES[1]);
    api.delete("secrets", NAMES[2]);
    let start = Action::StartRevision {
        revision: "a-1".to_owned(),
        cluster_id: "a".to_owned(),
        replicas: 1,
        begin_with: None,
    };
    keep(&client, (&facts, &at(1)), &[start], &mut memory).await.unwrap();
    assert_eq!(until_day(&api, NAMES[2]), 91);
    assert_eq!(text(&api, NAMES[1]), kept);
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_and_the_user_is_told() {
    let api = ApiServer::default();
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "data": { "ca.crt": "eA==" },
        "metadata": { "name": "a-ca", "namespace": "shop" },
    });
    api.put("api/v1", "secrets", theirs);
    let before = text(&api, "a-ca");
    api.put("apis/thalweg.dev/v1alpha1", "flinkapplications", resource());
    let operator = super::Operator::start(&api, true);
    until("an event", || !api.names("events").is_empty()).await;
    let events = api.names("events").into_iter();
    let mut messages = events.map(|name| api.get("events", &name).unwrap().to_string());
    assert!(messages.any(|each| each.contains("a-ca isn't of this FlinkApplication")));
    assert_eq!(api.names("deployments"), Vec::<String>::new());
    assert_eq!(text(&api, "a-ca"), before);
    operator.end().await;
}

#[tokio::test]
async fn an_earlier_applications_authority_is_not_used_again() {
    let api = ApiServer::default();
    let client = api.client();
    keep(&client, (&facts(), &at(0)), &[], &mut Memory::default()).await.unwrap();
    let authority = || text(&api, "a-ca").unwrap()["data"]["ca.crt"].clone();
    let before = authority();
    let mut later = resource();
    later["metadata"]["uid"] = json!("another");
    let later = facts_of(later);
    keep(&client, (&later, &at(1)), &[], &mut Memory::default()).await.unwrap();
    assert_ne!(authority(), before);
    for name in NAMES {
        let secret = text(&api, name).unwrap();
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "another");
    }
}

#[tokio::test]
async fn while_the_resource_is_deleted_nothing_is_made_and_requests_still_are_possible() {
    let (api, mut memory, facts) = (ApiServer::default(), Memory::default(), facts());
    let client = api.client();
    keep(&client, (&facts, &at(0)), &[], &mut memory).await.unwrap();
    let mut deleted = resource();
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
    let facts = facts_of(deleted);
    let asked = api.requests();
    assert!(!are_due(&facts, &memory, &at(70)));
    keep(&client, (&facts, &at(70)), &[], &mut memory).await.unwrap();
    assert_eq!(api.requests(), asked);
    let Pem { certificate, .. } = of_operator(&client, &facts.identity, &at(1)).await.unwrap();
    assert_eq!(Validity::of_pem(&certificate).unwrap().not_after, NOW + DAY + 600);
}

#[tokio::test]
async fn what_is_secret_is_written_into_secrets_alone() {
    let api = ApiServer::default();
    let operator = settled(&api).await;
    // A change that is refused, and one that is told about.
    api.change("flinkapplications", "a", |resource| {
        resource["spec"]["configuration"]["s3.secret-key"] = json!("hunter2-in-the-clear");
    });
    until("an event", || {
        let events = api.names("events").into_iter();
        let mut texts = events.map(|name| api.get("events", &name).unwrap().to_string());
        texts.any(|text| text.contains("s3.secret-key"))
    })
    .await;
    let mut secrets = vec!["hunter2-in-the-clear".to_owned(), "PRIVATE KEY".to_owned()];
    for name in NAMES {
        let secret: Secret = serde_json::from_value(text(&api, name).unwrap()).unwrap();
        for (file, bytes) in secret.data.unwrap().iter().filter(|each| each.0.ends_with(".key")) {
            let pem = String::from_utf8(bytes.0.clone()).unwrap();
            let middle = pem.lines().nth(1).unwrap_or_else(|| panic!("{name}: {file}")).to_owned();
            secrets.push(middle);
        }
    }
    assert_eq!(secrets.len(), 2 + NAMES.len());
    let others = api.history().into_iter().filter(|(resource, _)| resource != "secrets");
    let mut seen = 0;
    for (resource, object) in others {
        let mut object = object;
        // What the user writes there himself.
        if let Some(spec) = object.pointer_mut("/object/spec/configuration/s3.secret-key") {
            *spec = Value::Null;
        }
        let text = object.to_string();
        let found = secrets.iter().find(|secret| text.contains(*secret));
        assert_eq!(found, None, "{resource}: {text}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
    let asked = api.requests().join("\n");
    assert!(secrets.iter().all(|secret| !asked.contains(secret)), "{asked}");
    operator.end().await;
}

#[tokio::test]
async fn an_application_gets_its_certificates_before_its_pods_and_keeps_them() {
    let api = ApiServer::default();
    let operator = settled(&api).await;
    let asked = api.requests();
    let first = |what: &str| asked.iter().position(|each| each.starts_with(what)).unwrap();
    assert!(first("POST secrets") < first("PATCH deployments"), "{asked:#?}");
    let before = NAMES.map(|name| text(&api, name));
    assert!(before.iter().all(Option::is_some));
    look(&api, &operator).await;
    at_rest(&api, &operator).await;
    assert_eq!(NAMES.map(|name| text(&api, name)), before);
    operator.end().await;
}
