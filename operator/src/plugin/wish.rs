//! What is asked of an application, how, and whether it has come about.

use serde_json::{Value, json};
use thalweg_core::ids::TriggerId;

use crate::build::SAVEPOINT_ANNOTATION;
use crate::plan::has_ended;
use crate::resource::{Condition, FlinkApplication};

/// What is asked of an application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// A savepoint, told from others by a token.
    Savepoint {
        /// The token.
        token: String,
    },
    /// No pods, after a final checkpoint.
    Suspended,
    /// The job, from where it was.
    Running {
        /// The epoch of the last leader, if that is gone: what it reported counts no more.
        beyond: Option<i64>,
    },
}

/// How far a wish is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// It has come about: what to tell.
    Done(String),
    /// Not yet: what it waits for.
    Waiting(String),
    /// It won't before somebody does something: what.
    Failed(String),
}

impl Wish {
    /// The change of the resource that asks for it, as a JSON merge patch.
    pub fn patch(&self) -> Value {
        match self {
            Wish::Savepoint { token } => {
                json!({ "metadata": { "annotations": { SAVEPOINT_ANNOTATION: token } } })
            }
            Wish::Suspended => json!({ "spec": { "suspend": true } }),
            Wish::Running { .. } => json!({ "spec": { "suspend": false } }),
        }
    }

    /// The wish, of an application as it is before.
    pub fn of(self, application: &FlinkApplication) -> Wish {
        let Wish::Running { .. } = self else { return self };
        let status = application.status.as_ref();
        let suspended = status.into_iter().flat_map(|status| &status.conditions);
        let suspended =
            suspended.into_iter().any(|each| each.r#type == "Suspended" && each.status == "True");
        Wish::Running { beyond: epoch(application).filter(|_| suspended) }
    }

    /// Why it can't be asked for; none if it can.
    pub fn refusal(&self, application: &FlinkApplication) -> Option<String> {
        let Wish::Savepoint { .. } = self else { return None };
        let spec = &application.spec;
        if spec.state.savepoints.location.is_none() {
            return Some("no place for savepoints: set spec.state.savepoints.location".to_owned());
        }
        if spec.suspend {
            return Some("it is suspended: kubectl flinkapp resume first".to_owned());
        }
        let job = application.status.as_ref().and_then(|status| status.job.as_ref());
        match job.map(|job| job.state.as_str()) {
            Some(state) if has_ended(state) => {
                Some(format!("the job is {state}: only a running one takes savepoints"))
            }
            _ => None,
        }
    }

    /// How far it is. `generation`: that of the spec that asks for it.
    pub fn progress(&self, application: &FlinkApplication, generation: i64) -> Progress {
        let status = application.status.clone().unwrap_or_default();
        if status.observed_generation.unwrap_or(0) < generation {
            return Progress::Waiting("the operator hasn't looked at it yet".to_owned());
        }
        let condition = |kind: &str| status.conditions.iter().find(|each| each.r#type == kind);
        let is_true = |kind: &str| condition(kind).filter(|each| each.status == "True");
        match self {
            Wish::Savepoint { token } => {
                let id = TriggerId::derive(token).to_string();
                let mut savepoints = status.savepoints.iter();
                let found = savepoints.find(|each| each.token == *token || each.token == id);
                match (found, self.refusal(application)) {
                    (Some(savepoint), _) => Progress::Done(savepoint.path.clone()),
                    (None, Some(refusal)) => Progress::Failed(refusal),
                    (None, None) => Progress::Waiting(match &status.job {
                        Some(job) => format!("the job is {}", job.state),
                        None => "the job isn't running yet".to_owned(),
                    }),
                }
            }
            Wish::Suspended => match (is_true("Suspended"), is_true("Finished")) {
                (Some(_), _) => Progress::Done("suspended".to_owned()),
                (None, Some(_)) => Progress::Done("the job has finished by itself".to_owned()),
                (None, None) => unfinished(condition("Ready"), is_true("Stalled")),
            },
            Wish::Running { beyond } => match (is_true("Ready"), is_true("Suspended")) {
                (Some(_), None) if reported_until(application, *beyond) => {
                    Progress::Waiting("no JobManager leads yet".to_owned())
                }
                (Some(ready), None) => Progress::Done(ready.message.clone()),
                (_, suspended) => unfinished(suspended.or(condition("Ready")), is_true("Stalled")),
            },
        }
    }
}

fn epoch(application: &FlinkApplication) -> Option<i64> {
    Some(application.status.as_ref()?.job_manager.as_ref()?.epoch)
}

/// Whether the last report is that of an epoch that is over.
fn reported_until(application: &FlinkApplication, over: Option<i64>) -> bool {
    over.is_some_and(|over| epoch(application).is_none_or(|epoch| epoch <= over))
}

fn unfinished(waiting: Option<&Condition>, stalled: Option<&Condition>) -> Progress {
    let words = |condition: &Condition| format!("{}: {}", condition.reason, condition.message);
    match (stalled, waiting) {
        (Some(stalled), _) => Progress::Failed(words(stalled)),
        (None, Some(waiting)) => Progress::Waiting(words(waiting)),
        (None, None) => Progress::Waiting("the operator hasn't reported yet".to_owned()),
    }
}
