//! What a leader's report keeps of what stands in the status. Pure.
//!
//! A leader knows what it has done itself. What others have before it would be gone with its first
//! write, as a field that is left out is removed.

use serde_json::{Map, Value};
use thalweg_core::ids::TriggerId;

/// Completes a report by what was in the status before: savepoints that earlier leaders have taken,
/// at most `history` altogether, and the newest checkpoint while this leader has none of the same
/// job. A savepoint that was asked for by `token` is listed under it, others under their ids.
pub fn carry_over(report: &mut Value, before: &Value, token: Option<&str>, history: usize) {
    let Some(report) = report.as_object_mut() else { return };
    let own = report.get("savepoints").and_then(Value::as_array).cloned().unwrap_or_default();
    let paths: Vec<&str> = own.iter().filter_map(|savepoint| savepoint["path"].as_str()).collect();
    let listed = before["savepoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let known = |savepoint: &&Value| savepoint["path"].as_str().is_some_and(|p| paths.contains(&p));
    let named = |mut savepoint: Value| {
        // Its name in the status stands, also when the annotation is another one by now.
        let same = |other: &&Value| other["path"] == savepoint["path"];
        let name = listed.iter().find(same);
        let name = name
            .and_then(|listed| listed["token"].as_str())
            .or(token.filter(|token| savepoint["token"] == TriggerId::derive(token).to_string()));
        if let Some(name) = name {
            savepoint["token"] = name.into();
        }
        savepoint
    };
    let earlier = listed.iter().filter(|each| !known(each)).cloned();
    let all = own.iter().cloned().map(named).chain(earlier).take(history);
    report.insert("savepoints".to_owned(), Value::Array(all.collect()));
    keep_checkpoint(report, before);
    keep_earlier(report, before);
}

/// Completes the report of a job that has ended by the generation of the resource: the one at which
/// that was first reported, as what is written now may be changed later and reported once more. Who
/// reported it without saying so leaves it unknown.
pub(super) fn note_end(report: &mut Value, before: &Value, generation: Option<i64>) {
    let Some(Value::Object(job)) = report.get_mut("job") else { return };
    let ended = |job: &Value| matches!(job.as_str(), Some("FINISHED" | "FAILED" | "CANCELED"));
    let before = &before["job"];
    let reported = job.get("id") == Some(&before["id"]) && ended(&before["state"]);
    let first = match reported {
        true => before.get("endedGeneration").cloned(),
        false => generation.map(Value::from),
    };
    if let Some(first) = first.filter(|_| job.get("state").is_some_and(ended)) {
        job.insert("endedGeneration".to_owned(), first);
    }
}

/// What a job went on with at its beginning stays, whichever leader it has later.
fn keep_earlier(report: &mut Map<String, Value>, before: &Value) {
    let before = &before["job"];
    let Some(Value::Object(job)) = report.get_mut("job") else { return };
    let goes_on = before["earlier"]["ended"] == false && job.get("id") == Some(&before["id"]);
    if goes_on && !job.contains_key("earlier") {
        job.insert("earlier".to_owned(), before["earlier"].clone());
    }
}

/// A checkpoint's path has its job in it. That of another job isn't what this one goes on with.
fn keep_checkpoint(report: &mut Map<String, Value>, before: &Value) {
    let Some(job) = report.get("job").and_then(|job| job["id"].as_str()) else { return };
    let part = format!("/{job}/");
    let of_job = before["checkpoint"]["path"].as_str().is_some_and(|path| path.contains(&part));
    if of_job && !report.contains_key("checkpoint") {
        report.insert("checkpoint".to_owned(), before["checkpoint"].clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use thalweg_core::ids::TriggerId;

    use super::{carry_over, note_end};

    fn savepoint(token: &str, path: &str) -> Value {
        json!({"token": token, "path": path})
    }

    #[test]
    fn savepoints_of_earlier_leaders_stay_in_the_list_up_to_its_length() {
        let before = json!({"savepoints": [savepoint("b", "/2"), savepoint("a", "/1")]});
        let mut report = json!({"savepoints": [savepoint("c", "/3")]});
        carry_over(&mut report, &before, None, 2);
        let expected = json!([savepoint("c", "/3"), savepoint("b", "/2")]);
        assert_eq!(report["savepoints"], expected);
        let again = report.clone();
        carry_over(&mut report, &again, None, 2);
        assert_eq!(report["savepoints"], expected, "nothing is listed twice");
    }

    #[test]
    fn a_savepoint_is_listed_under_the_token_that_it_was_asked_for_by() {
        let id = TriggerId::derive("before-christmas").to_string();
        let own = json!({"savepoints": [savepoint(&id, "/1")]});
        let mut report = own.clone();
        carry_over(&mut report, &json!({}), Some("before-christmas"), 10);
        assert_eq!(report["savepoints"], json!([savepoint("before-christmas", "/1")]));

        let before = report;
        let mut later = own;
        carry_over(&mut later, &before, Some("another"), 10);
        assert_eq!(later["savepoints"], before["savepoints"], "its name stays");
    }

    #[test]
    fn what_an_earlier_resource_has_left_is_told_as_long_as_its_job_goes_on() {
        let before = |ended: bool| json!({"job": {"id": "abc", "earlier": {"ended": ended}}});
        let after = |mut report: Value, before: Value| {
            carry_over(&mut report, &before, None, 10);
            report["job"]["earlier"]["ended"].clone()
        };
        assert_eq!(after(json!({"job": {"id": "abc"}}), before(false)), false);
        assert_eq!(after(json!({"job": {"id": "abc"}}), before(true)), Value::Null);
        assert_eq!(after(json!({"job": {"id": "def"}}), before(false)), Value::Null);
        let found = json!({"job": {"id": "abc", "earlier": {"ended": true}}});
        assert_eq!(after(found, before(false)), true, "what this leader has found stands");
    }

    #[test]
    fn an_end_is_noted_with_the_generation_at_which_it_was_first_reported() {
        let job = |id: &str, state: &str| json!({"job": {"id": id, "state": state}});
        let noted = |before: &Value, mut report: Value, generation| {
            note_end(&mut report, before, Some(generation));
            report
        };
        let runs = job("abc", "RUNNING");
        assert_eq!(noted(&json!({}), runs.clone(), 3), runs);
        for state in ["FINISHED", "FAILED", "CANCELED"] {
            let first = noted(&runs, job("abc", state), 4);
            assert_eq!(first["job"]["endedGeneration"], 4, "{state}");
            // Another leader, after a change of the spec.
            assert_eq!(noted(&first, job("abc", state), 9), first);
            assert_eq!(noted(&first, job("def", state), 9)["job"]["endedGeneration"], 9);
        }
        // An older JobManager has reported it: nobody knows what had been asked for then.
        let older = job("abc", "FINISHED");
        assert_eq!(noted(&older, older.clone(), 9), older);
    }

    #[test]
    fn the_newest_checkpoint_of_the_same_job_stands_until_there_is_another_one() {
        let before = json!({"checkpoint": {"id": 7, "path": "s3://b/abc/chk-7"}});
        let after = |mut report: Value| {
            carry_over(&mut report, &before, None, 10);
            report["checkpoint"]["id"].clone()
        };
        assert_eq!(after(json!({"job": {"id": "abc"}})), 7);
        assert_eq!(after(json!({"job": {"id": "def"}})), Value::Null, "restored: another job");
        assert_eq!(after(json!({"job": {"id": "abc"}, "checkpoint": {"id": 8}})), 8);
    }
}
