//! An API server in memory, below a real client: objects, lists, watches, server-side apply as far
//! as the operator uses it. It counts what it is asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response};
use futures::stream;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// The operator's fields of a status: an apply that lacks one removes it.
const OPERATOR_FIELDS: [&str; 8] = [
    "observedGeneration",
    "conditions",
    "phase",
    "currentRevision",
    "updateRevision",
    "stableRevision",
    "operation",
    "lastFailure",
];

/// Group and version, resource, namespace, name.
type Place = (String, String, String, String);

#[derive(Clone, Default)]
pub(crate) struct ApiServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<Place, Value>,
    version: u64,
    /// Everything that has happened, for watches that begin later.
    log: Vec<(u64, Place, Value)>,
    watchers: Vec<(Target, mpsc::Sender<Value>)>,
    requests: Vec<String>,
    /// What a dry run of a pod is answered with: status and message; none: it is fine.
    dry_run: Option<(u16, String)>,
}

#[derive(Clone)]
struct Target {
    group: String,
    resource: String,
    namespace: String,
    name: String,
    subresource: String,
    query: BTreeMap<String, String>,
}

impl Target {
    fn of(uri: &axum::http::Uri) -> Target {
        let mut parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        let group: Vec<&str> = parts.drain(..if parts[0] == "api" { 2 } else { 3 }).collect();
        let namespace = if parts.len() > 2 && parts[0] == "namespaces" {
            parts.drain(..2).nth(1).unwrap_or_default()
        } else {
            ""
        };
        let part = |index: usize| parts.get(index).copied().unwrap_or_default().to_owned();
        let query = uri.query().unwrap_or_default().split('&').filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), value.replace("%2F", "/").replace("%3D", "=")))
        });
        Target {
            group: group.join("/"),
            resource: part(0),
            namespace: namespace.to_owned(),
            name: part(1),
            subresource: part(2),
            query: query.collect(),
        }
    }

    fn place(&self) -> Place {
        let Target { group, resource, namespace, name, .. } = self.clone();
        (group, resource, namespace, name)
    }

    fn covers(&self, place: &Place, object: &Value) -> bool {
        let (group, resource, namespace, _) = place;
        let selected = self.query.get("labelSelector").is_none_or(|selector| {
            let (label, value) = match selector.split_once('=') {
                Some((label, value)) => (label, Some(value)),
                None => (selector.as_str(), None),
            };
            let found = object["metadata"]["labels"][label].as_str();
            found.is_some() && (value.is_none() || found == value)
        });
        let named = self.query.get("fieldSelector").is_none_or(|selector| {
            selector.strip_prefix("metadata.name=") == object["metadata"]["name"].as_str()
        });
        (group, resource) == (&self.group, &self.resource)
            && (self.namespace.is_empty() || self.namespace == *namespace)
            && selected
            && named
    }
}

impl ApiServer {
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.expect("a body");
                Ok::<_, Infallible>(server.answer(&parts.method, &parts.uri, &body))
            }
        });
        Client::new(service, "default")
    }

    /// The requests up to now, watches aside.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    pub(crate) fn get(&self, resource: &str, name: &str) -> Option<Value> {
        let state = self.state();
        let mut found = state.objects.iter();
        found.find(|(place, _)| place.1 == resource && place.3 == name).map(|(_, o)| o.clone())
    }

    /// All names of a resource.
    pub(crate) fn names(&self, resource: &str) -> Vec<String> {
        let state = self.state();
        let found = state.objects.keys().filter(|place| place.1 == resource);
        found.map(|place| place.3.clone()).collect()
    }

    /// Every state that an object was ever in, with its resource.
    pub(crate) fn history(&self) -> Vec<(String, Value)> {
        let state = self.state();
        state.log.iter().map(|(_, place, told)| (place.1.clone(), told.clone())).collect()
    }

    /// Somebody else makes or changes an object.
    pub(crate) fn put(&self, group: &str, resource: &str, object: Value) {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let place = (group.to_owned(), resource.to_owned(), text("namespace"), text("name"));
        self.state().store(place, object);
    }

    /// Somebody else changes an object.
    pub(crate) fn change(&self, resource: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let mut found = state.objects.iter();
        let found = found.find(|(place, _)| place.1 == resource && place.3 == name);
        let (place, mut object) = found.map(|(p, o)| (p.clone(), o.clone())).expect("an object");
        change(&mut object);
        state.store(place, object);
    }

    /// Somebody else deletes an object.
    pub(crate) fn delete(&self, resource: &str, name: &str) {
        let mut state = self.state();
        let mut found = state.objects.keys();
        let place = found.find(|place| place.1 == resource && place.3 == name).cloned();
        state.remove(&place.expect("an object"));
    }

    /// What dry runs of pods are answered with from now on.
    pub(crate) fn answer_dry_runs(&self, with: Option<(u16, &str)>) {
        self.state().dry_run = with.map(|(status, message)| (status, message.to_owned()));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no test has failed in it")
    }

    fn answer(&self, method: &Method, uri: &axum::http::Uri, body: &[u8]) -> Response<Body> {
        let target = Target::of(uri);
        let mut state = self.state();
        if target.query.get("watch").is_some_and(|watch| watch == "true") {
            return state.watch(target);
        }
        let Target { resource, name, subresource, .. } = &target;
        let dry = if target.query.contains_key("dryRun") { " (dry run)" } else { "" };
        state.requests.push(format!("{method} {resource}/{name}/{subresource}{dry}"));
        let place = target.place();
        let there = state.objects.get(&place).cloned();
        let sent: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if target.query.contains_key("dryRun") {
            return match state.dry_run.clone() {
                Some((status, message)) => failure(status, &message),
                None => success(&sent),
            };
        }
        match (method.as_str(), there) {
            ("GET", _) if name.is_empty() => success(&state.list(&target)),
            ("GET", Some(object)) => success(&object),
            ("POST", _) => {
                let name = sent["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let place = (place.0, place.1, place.2, name);
                match state.objects.contains_key(&place) {
                    true => failure(409, "it is there already"),
                    false => success(&state.store(place, sent)),
                }
            }
            ("PUT", Some(object)) => {
                let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
                match version(&object) == version(&sent) {
                    true => success(&state.store(place, sent)),
                    false => failure(409, "it has changed"),
                }
            }
            ("PATCH", there) => {
                let mut object = there.unwrap_or(json!({"metadata": {}}));
                let sent = match subresource.as_str() {
                    "status" => json!({ "status": sent["status"] }),
                    _ => sent,
                };
                if subresource == "status" && object["status"].is_object() {
                    OPERATOR_FIELDS.iter().for_each(|field| {
                        object["status"].as_object_mut().expect("a status").remove(*field);
                    });
                }
                let before = object.clone();
                merge(&mut object, &sent);
                if before["immutable"] == true && before["data"] != object["data"] {
                    return failure(422, "its data can't be changed: it is immutable");
                }
                object["metadata"]["name"] = json!(name);
                object["metadata"]["namespace"] = json!(target.namespace);
                success(&state.store(place, object))
            }
            ("DELETE", Some(object)) => {
                state.remove(&place);
                success(&object)
            }
            _ => failure(404, "there is no such object"),
        }
    }
}

impl State {
    fn list(&self, target: &Target) -> Value {
        let found = self.objects.iter().filter(|(place, object)| target.covers(place, object));
        let items: Vec<&Value> = found.map(|(_, object)| object).collect();
        json!({
            "apiVersion": "v1",
            "kind": "List",
            "metadata": { "resourceVersion": self.version.to_string() },
            "items": items,
        })
    }

    fn watch(&mut self, target: Target) -> Response<Body> {
        let (to, from) = mpsc::channel(10_000);
        let since: u64 =
            target.query.get("resourceVersion").map_or(0, |at| at.parse().unwrap_or(0));
        for (version, place, event) in &self.log {
            if *version > since && target.covers(place, &event["object"]) {
                to.try_send(event.clone()).expect("room");
            }
        }
        self.watchers.push((target, to));
        let lines = stream::unfold(from, |mut from| async move {
            let event: Value = from.recv().await?;
            Some((Ok::<_, Infallible>(Bytes::from(format!("{event}\n"))), from))
        });
        Response::new(Body::from_stream(lines))
    }

    /// Stores what has changed, and tells whoever watches.
    fn store(&mut self, place: Place, mut object: Value) -> Value {
        let before = self.objects.get(&place);
        if before == Some(&object) {
            return object;
        }
        self.version += 1;
        let is_new = before.is_none();
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        if is_new && metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-{}", self.version));
        }
        let has_generation = matches!(
            place.1.as_str(),
            "deployments" | "networkpolicies" | "poddisruptionbudgets" | "flinkapplications"
        );
        if has_generation && before.is_none_or(|before| before["spec"] != object["spec"]) {
            let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        self.tell(&place, if is_new { "ADDED" } else { "MODIFIED" }, &object);
        self.objects.insert(place, object.clone());
        object
    }

    fn remove(&mut self, place: &Place) {
        if let Some(object) = self.objects.remove(place) {
            self.version += 1;
            self.tell(place, "DELETED", &object);
        }
    }

    fn tell(&mut self, place: &Place, kind: &str, object: &Value) {
        let event = json!({ "type": kind, "object": object });
        self.log.push((self.version, place.clone(), event.clone()));
        self.watchers.retain(|(target, to)| {
            !target.covers(place, object) || to.try_send(event.clone()).is_ok()
        });
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn success(object: &Value) -> Response<Body> {
    Response::new(Body::from(object.to_string()))
}

fn failure(code: u16, message: &str) -> Response<Body> {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "Invalid",
    };
    let status = json!({
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    });
    let answer = Response::builder().status(code).body(Body::from(status.to_string()));
    answer.expect("an answer")
}
