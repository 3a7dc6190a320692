//! What was observed of an application: the input of every decision.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use thalweg_core::ids::{TriggerId, job_id};

use super::lineage::form;
use crate::build::{Identity, References};
use crate::pod_template::Role;
use crate::resource::{CheckpointStatus, FlinkApplicationSpec, FlinkApplicationStatus, JobStatus};
use crate::validate::Problem;

/// Everything that decisions are made from, besides the time.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whose resource it is.
    pub identity: Identity,
    /// The generation of its spec.
    pub generation: i64,
    /// The spec as the user wrote it.
    pub spec: FlinkApplicationSpec,
    /// What was last reported.
    pub status: FlinkApplicationStatus,
    /// Since when it is being deleted.
    pub deleting_since: Option<Time>,
    /// Whether its deletion waits for the operator.
    pub has_finalizer: bool,
    /// The token of a savepoint that is asked for.
    pub savepoint_token: Option<String>,
    /// The operator's own version.
    pub version: &'static str,
    /// The term of the leading JobManager that this process has reported of last.
    pub known_epoch: Option<i64>,
    /// What is wrong with the spec.
    pub problems: Vec<Problem>,
    /// The name of the revision that the spec asks for.
    pub wanted: String,
    /// Why the API server refuses the pods of the wanted revision, if it does.
    pub refused: Option<String>,
    /// The revisions that are on record.
    pub recorded: Vec<Recorded>,
    /// The Deployments that there are.
    pub deployments: Vec<DeploymentFact>,
    /// The pods that there are, of both roles.
    pub pods: Vec<PodFact>,
    /// Checks of revisions, by revision.
    pub checks: Vec<(String, Check)>,
    /// What has become of the deletion of the state.
    pub erasure: Option<Erasure>,
}

/// A pod that deletes the state.
#[derive(Clone, Debug, PartialEq)]
pub struct Erasure {
    /// Whether it is done.
    pub check: Check,
    /// When it was made.
    pub made_at: Option<Time>,
    /// What keeps it from that: the pod's own word.
    pub pod: PodFact,
}

/// What has become of a check whether a revision can read the old one's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It isn't done yet.
    UnderWay,
    /// It can.
    Passed,
    /// It can't, or the check couldn't be made: why.
    Refused(String),
}

/// A revision on record.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its name.
    pub name: String,
    /// Rises with each one that is started; 0 for one that was only prepared.
    pub number: i64,
    /// The identity of its state.
    pub cluster_id: String,
    /// What its job begins with if there is no checkpoint under the identity.
    pub begin_with: Option<String>,
    /// What it was made of.
    pub spec: FlinkApplicationSpec,
    /// What its TaskManagers use.
    pub references: References,
    /// The image that ran, by its digest, once that is known.
    pub image_digest: Option<String>,
}

/// A revision's Deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentFact {
    /// The revision.
    pub revision: String,
    /// How many JobManagers it is to have.
    pub replicas: i32,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodFact {
    /// Its name.
    pub name: String,
    /// The revision in its labels.
    pub revision: String,
    /// What it is; none for one that isn't known.
    pub role: Option<Role>,
    /// The image that its main container runs, by its digest.
    pub image: Option<String>,
    /// What keeps its main container from running, or ended it: the pod's own word.
    pub trouble: Option<Trouble>,
    /// Whether it is ready, by its own account, and stays: a JobManager that answers, a TaskManager
    /// that is registered.
    pub ready: bool,
}

/// What is wrong with a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trouble {
    /// In one word: `OOMKilled`, `ImagePullBackOff`, `Unschedulable`, `Error`.
    pub reason: String,
    /// The pod's message.
    pub message: String,
    /// The exit code, of a container that ended.
    pub exit_code: Option<i32>,
}

impl Facts {
    /// The job as a JobManager of this revision has reported it; none while an earlier revision's
    /// report stands there.
    pub fn job_of(&self, revision: &str) -> Option<&JobStatus> {
        self.status.job.as_ref().filter(|_| self.leads(revision))
    }

    /// Whether a JobManager of this revision has reported last: only who leads reports.
    pub fn leads(&self, revision: &str) -> bool {
        let leading = self.status.job_manager.as_ref();
        // Pods are named after their Deployment, which is named after the revision.
        let rest = leading.and_then(|leading| leading.leader.strip_prefix(revision));
        rest.is_some_and(|rest| rest.starts_with('-'))
    }

    /// Whether the job of a revision isn't its program's first `execute()`: a resource has one job.
    pub fn has_several_jobs(&self, revision: &str) -> bool {
        let (Some(job), Some(record)) = (self.job_of(revision), self.record(revision)) else {
            return false;
        };
        !job.id.is_empty() && job.id != job_id(&record.cluster_id, 0).to_string()
    }

    /// Whether the pod that has reported last is there and runs: else the report is of a leader
    /// that is gone, and says nothing of the one that comes.
    pub fn leader_runs(&self) -> bool {
        let leader = self.status.job_manager.as_ref().map(|leading| leading.leader.as_str());
        self.pods.iter().any(|pod| Some(pod.name.as_str()) == leader && pod.runs())
    }

    /// Whether a JobManager of a revision runs, which may lead soon.
    pub fn a_job_manager_runs(&self, revision: &str) -> bool {
        let of_revision =
            |pod: &&PodFact| pod.revision == revision && pod.role == Some(Role::JobManager);
        self.pods.iter().filter(of_revision).any(PodFact::runs)
    }

    /// The newest checkpoint, if it is one of the job whose state has this identity: before a
    /// leader of another identity has reported, the last one's stands there. Its path has its job
    /// in it.
    pub fn checkpoint_of(&self, cluster_id: &str) -> Option<&CheckpointStatus> {
        checkpoint_of(&self.status, cluster_id)
    }

    /// The revision whose job runs or is going, if any: the one that was last said to be the
    /// current one, while it is there.
    pub fn deployed(&self) -> Option<&DeploymentFact> {
        let current = self.status.current_revision.as_deref();
        let rank = |each: &&DeploymentFact| {
            let is_current = Some(each.revision.as_str()) == current;
            (!each.deleting, is_current, self.number(&each.revision))
        };
        self.deployments.iter().max_by_key(rank)
    }

    /// The number of a revision's record.
    fn number(&self, revision: &str) -> i64 {
        self.record(revision).map_or(0, |record| record.number)
    }

    /// Whether a revision is the one that was started last, by the records.
    pub fn was_started_last(&self, revision: &str) -> bool {
        let newest = self.recorded.iter().map(|record| record.number).max();
        newest == Some(self.number(revision))
    }

    /// Whether the API server is to be asked if it would admit the pods of the wanted revision: a
    /// valid one that was never started.
    pub fn needs_admission(&self) -> bool {
        let starts = self.deleting_since.is_none() && !self.spec.suspend;
        // What was given up doesn't start again.
        starts
            && self.given_up_for().is_none()
            && self.problems.is_empty()
            && self.record(&self.wanted).is_none()
    }

    /// The revision that was given up and isn't tried again, as the spec still asks for it; and
    /// the stable one that takes its place.
    pub fn given_up_for(&self) -> Option<(String, &Recorded)> {
        let given_up = self.given_up()?;
        let stable = self.record(self.status.stable_revision.as_deref()?)?;
        // Its name is another one when the job has ended since.
        let record = self.record(&given_up);
        let same = record.is_some_and(|record| form(&record.spec) == form(&self.spec));
        (given_up == self.wanted || same).then_some((given_up, stable))
    }

    /// The revision that was given up last: False as long as the stable one isn't back.
    pub(super) fn given_up(&self) -> Option<String> {
        let mut conditions = self.status.conditions.iter();
        conditions.find(|each| each.r#type == "RolledBack")?;
        self.status.update_revision.clone()
    }

    /// The record of a revision.
    pub fn record(&self, revision: &str) -> Option<&Recorded> {
        self.recorded.iter().find(|record| record.name == revision)
    }

    /// Whether every revision on record is of the spec as it is, and none has proved stable: then
    /// another one is wanted because of the state that was found, not because of the user.
    pub fn is_the_first_spec(&self) -> bool {
        let own = form(&self.spec);
        let same = self.recorded.iter().all(|record| form(&record.spec) == own);
        same && self.status.stable_revision.is_none()
    }

    /// Whether a checkpoint was completed since then.
    pub fn checkpoint_since(&self, then: &Time) -> bool {
        let completed = self.status.checkpoint.as_ref().and_then(|each| each.completed_at.as_ref());
        completed.is_some_and(|completed| completed >= then)
    }

    /// Whether a savepoint that was asked for by this token is reported: under it, or under the id
    /// that the JobManager was given for it.
    pub fn has_savepoint(&self, token: &str) -> bool {
        let id = TriggerId::derive(token).to_string();
        let mut listed = self.status.savepoints.iter().map(|savepoint| &savepoint.token);
        listed.any(|listed| listed == token || *listed == id)
    }
}

/// The newest checkpoint in a status, if it is of the job whose state has this identity.
pub(super) fn checkpoint_of<'s>(
    status: &'s FlinkApplicationStatus,
    cluster_id: &str,
) -> Option<&'s CheckpointStatus> {
    let job = format!("/{}/", job_id(cluster_id, 0));
    status.checkpoint.as_ref().filter(|checkpoint| checkpoint.path.contains(&job))
}

impl PodFact {
    /// Whether its main container runs, or may as far as is known.
    fn runs(&self) -> bool {
        self.image.is_some() || self.trouble.is_none()
    }
}

/// Whether a job in this state has ended for good.
pub fn has_ended(state: &str) -> bool {
    matches!(state, "FINISHED" | "FAILED" | "CANCELED")
}
