//! What the JobManager is asked to do, over REST. Every request carries an id that is the same for
//! its repeats.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use thalweg_core::ids::TriggerId;

use super::ReconcileError;
use crate::build::{Identity, REST_PORT};
use crate::plan::Action;

/// The longest that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Where an application's JobManager answers.
fn target(identity: &Identity) -> String {
    format!("http://{}.{}.svc:{REST_PORT}", identity.rest(), identity.namespace)
}

/// The id of a request: the same for the same token.
fn trigger_id(token: &str) -> String {
    TriggerId::derive(token).to_string()
}

/// Asks for a checkpoint, a savepoint or another parallelism; other actions aren't requests.
pub(super) async fn send(identity: &Identity, action: &Action) -> Result<(), ReconcileError> {
    let target = target(identity);
    let action = action.clone();
    let place = target.clone();
    let sent = tokio::task::spawn_blocking(move || blocking(&place, &action)).await;
    let reason = match sent {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(reason)) => reason,
        Err(error) => error.to_string(),
    };
    Err(ReconcileError::JobManager { target, reason })
}

fn blocking(target: &str, action: &Action) -> Result<(), String> {
    let config = ureq::Agent::config_builder();
    let agent: ureq::Agent =
        config.timeout_global(Some(TIMEOUT)).http_status_as_error(false).build().into();
    match action {
        Action::TakeCheckpoint { job, token } => {
            let body = json!({ "triggerId": trigger_id(token) });
            answer(agent.post(format!("{target}/jobs/{job}/checkpoints")).send_json(body))?;
        }
        Action::TakeSavepoint { job, token, location } => {
            let body = json!({
                "triggerId": trigger_id(token),
                "target-directory": location,
                "cancel-job": false,
            });
            answer(agent.post(format!("{target}/jobs/{job}/savepoints")).send_json(body))?;
        }
        Action::Rescale { job, from, parallelism } => {
            let path = format!("{target}/jobs/{job}/resource-requirements");
            let there = answer(agent.get(&path).call())?;
            let body = rescaled(&there, *from, *parallelism);
            let trigger = trigger_id(&format!("{job} {parallelism}"));
            answer(agent.put(format!("{path}?triggerId={trigger}")).send_json(body))?;
        }
        _ => {}
    }
    Ok(())
}

/// New bounds for the vertices that have the job's parallelism; the others have one of their own.
fn rescaled(requirements: &Value, from: i32, to: i32) -> BTreeMap<String, Value> {
    let vertices = requirements.as_object().into_iter().flatten();
    vertices
        .filter(|(_, vertex)| vertex["parallelism"]["upperBound"] == from)
        .map(|(id, _)| {
            (id.clone(), json!({ "parallelism": { "lowerBound": 1, "upperBound": to } }))
        })
        .collect()
}

fn answer(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, String> {
    let mut answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    let body = body.map_err(|error| error.to_string())?;
    if !status.is_success() {
        let start: String = body.chars().take(500).collect();
        return Err(format!("{status}: {start}"));
    }
    Ok(serde_json::from_str(&body).unwrap_or(Value::Null))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{rescaled, trigger_id};

    #[test]
    fn only_vertices_with_the_jobs_parallelism_are_rescaled() {
        let bounds = |n: i32| json!({ "parallelism": { "lowerBound": n, "upperBound": n } });
        let there = json!({ "a": bounds(2), "b": bounds(1), "c": bounds(2) });
        let ids: Vec<String> = rescaled(&there, 2, 5).into_keys().collect();
        assert_eq!(ids, ["a", "c"]);
        assert_eq!(rescaled(&there, 2, 5)["a"]["parallelism"]["upperBound"], 5);
    }

    #[test]
    fn repeats_of_a_request_have_its_id() {
        assert_eq!(trigger_id("upgrade-1"), trigger_id("upgrade-1"));
        assert_ne!(trigger_id("upgrade-1"), trigger_id("upgrade-2"));
        assert_eq!(trigger_id("x").len(), 32);
    }
}
