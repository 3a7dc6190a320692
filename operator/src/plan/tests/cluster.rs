//! A model of a cluster: it performs actions on plain data, so that decisions can be played
//! through. It checks on the way what must never happen.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use thalweg_core::ids::job_id;

use crate::build::Identity;
use crate::plan::{
    Action, Check, Decision, DeploymentFact, Erasure, Facts, PodFact, Recorded, decide, has_ended,
    report, wanted_revision,
};
use crate::pod_template::Role;
use crate::resource::tests::application;
use crate::resource::{
    CheckpointStatus, FlinkApplicationSpec, FlinkApplicationStatus, JobManagerStatus, JobStatus,
    RestoredFrom, SavepointStatus,
};
use crate::validate::problems;

pub(super) struct Cluster {
    pub(super) now: i64,
    pub(super) spec: FlinkApplicationSpec,
    pub(super) generation: i64,
    pub(super) status: FlinkApplicationStatus,
    pub(super) deleting_since: Option<i64>,
    pub(super) finalizer: bool,
    pub(super) token: Option<String>,
    pub(super) recorded: BTreeMap<String, Recorded>,
    pub(super) deployments: BTreeMap<String, DeploymentFact>,
    pub(super) pods: Vec<PodFact>,
    pub(super) begun_with: Option<String>,
    /// Why the API server refuses pods of a revision that was never started.
    pub(super) refused: Option<String>,
    /// The term of the JobManager that the operator knows of.
    pub(super) known_epoch: Option<i64>,
    pub(super) events: Vec<String>,
    pub(super) gone: bool,
    /// Whether new jobs get to run.
    pub(super) healthy: bool,
    /// Whether TaskManagers that are got ready become so.
    pub(super) prepares: bool,
    /// Whose turn the Lease says it is, and who gets ready.
    pub(super) turn: (Option<String>, Option<String>),
    /// Revisions whose JobManagers may still believe that they lead.
    led: BTreeSet<String>,
    /// How many pods there have been.
    pods_made: usize,
    /// Whether requests for checkpoints and savepoints come to anything.
    pub(super) checkpoints: bool,
    /// The savepoints that were asked for and didn't come.
    pub(super) asked_in_vain: BTreeSet<String>,
    pub(super) checks: Vec<(String, Check)>,
    /// What becomes of checks.
    pub(super) check: Check,
    /// A pod that deletes the state, and what becomes of such.
    pub(super) erasure: Option<Erasure>,
    pub(super) erases: Check,
    /// How many pods have been made for that.
    pub(super) erasures: usize,
    /// Where state was deleted.
    pub(super) erased: Vec<String>,
    pub(super) last: Option<Decision>,
    /// The spec that the decision of now acts upon.
    acted_upon: FlinkApplicationSpec,
    /// How jobs have ended, by their ids: that stays so.
    ended: BTreeMap<String, String>,
}

pub(super) fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).expect("a time"))
}

impl Cluster {
    pub(super) fn new() -> Cluster {
        let spec = application("personalisation.yaml").spec;
        Cluster {
            now: 1_000_000,
            acted_upon: spec.clone(),
            ended: BTreeMap::new(),
            spec,
            generation: 1,
            status: FlinkApplicationStatus::default(),
            deleting_since: None,
            finalizer: false,
            token: None,
            recorded: BTreeMap::new(),
            deployments: BTreeMap::new(),
            pods: Vec::new(),
            begun_with: None,
            refused: None,
            known_epoch: None,
            events: Vec::new(),
            gone: false,
            healthy: true,
            prepares: true,
            turn: (None, None),
            led: BTreeSet::new(),
            pods_made: 0,
            checkpoints: true,
            asked_in_vain: BTreeSet::new(),
            checks: Vec::new(),
            check: Check::Passed,
            erasure: None,
            erases: Check::Passed,
            erasures: 0,
            erased: Vec::new(),
            last: None,
        }
    }

    pub(super) fn change(&mut self, change: impl FnOnce(&mut FlinkApplicationSpec)) {
        change(&mut self.spec);
        self.generation += 1;
    }

    fn facts(&self) -> Facts {
        Facts {
            identity: identity(),
            generation: self.generation,
            spec: self.spec.clone(),
            status: self.status.clone(),
            deleting_since: self.deleting_since.map(at),
            has_finalizer: self.finalizer,
            savepoint_token: self.token.clone(),
            problems: problems(&self.spec),
            wanted: self.wanted(),
            version: "0.1.0",
            known_epoch: self.known_epoch,
            refused: self.refused.clone(),
            recorded: self.recorded.values().cloned().collect(),
            deployments: self.deployments.values().cloned().collect(),
            pods: self.pods.clone(),
            checks: self.checks.clone(),
            erasure: self.erasure.clone(),
        }
    }

    pub(super) fn wanted(&self) -> String {
        let recorded: Vec<Recorded> = self.recorded.values().cloned().collect();
        let asked_for = (self.generation, &self.spec);
        wanted_revision("a", asked_for, &recorded, &self.status).expect("a name")
    }

    /// Decides once, performs it, and lets a second go by.
    pub(super) fn step(&mut self) -> Decision {
        self.step_partly(usize::MAX)
    }

    /// Decides once, performs so many of the actions, and lets a second go by: the operator ends.
    pub(super) fn step_partly(&mut self, actions: usize) -> Decision {
        self.note_end();
        let facts = self.facts();
        // Clocks are finer than what is written of their times.
        let moment = Time(at(self.now).0 + SignedDuration::from_millis(400));
        let decision = decide(&facts, moment.clone());
        assert_eq!(decision, decide(&facts, moment), "decided otherwise the second time");
        let reported = report(&facts, &decision, &at(self.now));
        let conditions = reported.conditions.iter();
        let is = |kind: &str| {
            conditions.clone().any(|each| each.r#type == kind && each.status == "True")
        };
        assert!(!(is("Ready") && is("Stalled")), "{decision:?}");
        assert!(is("Ready") || is("Reconciling") || is("Stalled"), "{decision:?}");
        let JsonParts { current, stable, operation } = JsonParts::of(&reported);
        self.status.observed_generation = Some(self.generation);
        self.status.conditions = reported.conditions;
        self.status.phase = Some(reported.phase);
        self.status.current_revision = current;
        self.status.update_revision = reported.update_revision;
        self.status.stable_revision = stable;
        self.status.operation = operation.map(|operation| {
            let written = serde_json::to_string(&operation).expect("JSON");
            serde_json::from_str(&written).expect("it can be read")
        });
        self.acted_upon = decision.spec.clone();
        for action in decision.actions.iter().take(actions).cloned() {
            self.perform(action);
        }
        self.get_ready();
        self.pass(1);
        self.last = Some(decision.clone());
        decision
    }

    /// What the operator reports of a decision.
    pub(super) fn reported(&self, decision: &Decision) -> crate::plan::OperatorStatus {
        report(&self.facts(), decision, &at(self.now))
    }

    /// Decides until the phase is this one.
    pub(super) fn until(&mut self, phase: &str, stable: bool) {
        for _ in 0..2_000 {
            self.step();
            let settled = !stable || self.status.stable_revision == self.status.current_revision;
            if self.status.phase.as_deref() == Some(phase) && settled {
                return;
            }
        }
        panic!("never {phase}: {:?}", self.status);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::AddFinalizer => self.finalizer = true,
            Action::RemoveFinalizer => {
                self.finalizer = false;
                self.gone = self.deleting_since.is_some();
            }
            Action::DeleteResource => self.deleting_since = Some(self.now),
            Action::ApplyApplication { leading, preparing } => self.annotate(leading, preparing),
            Action::KeepRevision { revision, replicas } => {
                assert!(self.recorded.contains_key(&revision), "there is no record of {revision}");
                assert_eq!(self.deployments[&revision].replicas, replicas);
            }
            Action::StartCheck { revision, .. } => self.checks.push((revision, self.check.clone())),
            Action::StartErasure { revision, places, successor, .. } => {
                assert!(self.deployments.is_empty() && self.pods.is_empty(), "pods are left");
                assert!(self.recorded.contains_key(&revision), "no record of {revision}");
                let identities = self.recorded.values().map(|record| &record.cluster_id);
                assert!(identities.clone().all(|used| *used != successor), "{successor}");
                assert!(self.erasure.is_none(), "begun twice");
                let pod = PodFact { name: "a-state-deletion".to_owned(), ..PodFact::default() };
                let (check, made_at) = (self.erases.clone(), Some(at(self.now)));
                self.erasure = Some(Erasure { check, made_at, pod });
                self.erasures += 1;
                if self.erases == Check::Passed {
                    self.erased = places;
                }
            }
            Action::EndErasure => {
                assert!(self.erasure.take().is_some(), "there is none");
            }
            Action::RecordImage { revision, image } => {
                let record = self.recorded.get_mut(&revision).expect("a record");
                assert_eq!(record.image_digest.replace(image), None, "recorded twice");
            }
            Action::EndCheck { revision } => self.checks.retain(|each| each.0 != revision),
            Action::StartRevision { revision, cluster_id, replicas, begin_with } => {
                self.record(&revision, &cluster_id, begin_with);
                let newest = self.recorded.values().map(|record| record.number).max();
                let record = self.recorded.get_mut(&revision).expect("a record");
                if record.number == 0 || Some(record.number) != newest {
                    record.number = newest.unwrap_or(0) + 1;
                }
                self.begun_with = self.recorded[&revision].begin_with.clone();
                self.deploy(&revision, replicas);
            }
            Action::PrepareRevision { revision, cluster_id, replicas, begin_with } => {
                assert_eq!(replicas, 1, "each would get TaskManagers ready");
                self.record(&revision, &cluster_id, begin_with);
                self.deploy(&revision, replicas);
            }
            Action::SetReplicas { revision, replicas } => self.deploy(&revision, replicas),
            Action::StopRevision { revision } => {
                self.deployments.remove(&revision);
                self.led.remove(&revision);
                self.pods.retain(|pod| pod.revision != revision);
            }
            Action::ForgetRevision { revision } => drop(self.recorded.remove(&revision)),
            Action::TakeCheckpoint { .. } if self.checkpoints => self.checkpoint(),
            Action::TakeSavepoint { token, .. } | Action::StopWithSavepoint { token, .. }
                if !self.checkpoints =>
            {
                self.asked_in_vain.insert(token);
            }
            Action::StopWithSavepoint { job, token, location } => {
                self.perform(Action::TakeSavepoint { job, token, location });
                self.status.job.as_mut().expect("a job").state = "FINISHED".to_owned();
            }
            Action::TakeSavepoint { token, location, .. } => {
                let path = format!("{location}/{token}");
                let taken = SavepointStatus { token, path, completed_at: Some(at(self.now)) };
                self.status.savepoints.insert(0, taken);
                self.status.savepoints.truncate(10);
            }
            Action::TakeCheckpoint { .. } => {}
            Action::Rescale { parallelism, .. } => {
                self.status.job.as_mut().expect("a job").parallelism = Some(parallelism);
            }
            Action::Publish(event) => {
                let name = event.name(&identity());
                if !self.events.iter().any(|known| known.ends_with(&name)) {
                    self.events.push(format!("{} {name}", event.reason));
                }
            }
        }
    }

    fn record(&mut self, revision: &str, cluster_id: &str, begin_with: Option<String>) {
        let made = Recorded {
            name: revision.to_owned(),
            number: 0,
            cluster_id: cluster_id.to_owned(),
            begin_with,
            spec: self.acted_upon.clone(),
            references: Default::default(),
            image_digest: None,
        };
        let record = self.recorded.entry(revision.to_owned()).or_insert(made);
        assert_eq!(record.cluster_id, cluster_id, "it has another state than before");
    }

    /// The Deployment has so many JobManagers. TaskManagers stay with it.
    fn deploy(&mut self, revision: &str, replicas: i32) {
        let deployment = self.deployments.entry(revision.to_owned()).or_insert(DeploymentFact {
            revision: revision.to_owned(),
            replicas,
            deleting: false,
        });
        deployment.replicas = replicas;
        let is_own = |pod: &PodFact| pod.revision == revision && pod.role == Some(Role::JobManager);
        if replicas == 0 {
            self.pods.retain(|pod| !is_own(pod));
            self.led.remove(revision);
        } else if !self.pods.iter().any(is_own) {
            self.make_pod(revision, Role::JobManager, false);
        }
        self.claim();
    }

    /// No two pods ever have one name.
    fn make_pod(&mut self, revision: &str, role: Role, ready: bool) {
        self.pods_made += 1;
        let name = format!("{revision}-5d8f-{}", self.pods_made);
        let (revision, role) = (revision.to_owned(), Some(role));
        let image = Some(format!("{}@sha256:1", self.spec.image));
        self.pods.push(PodFact { name, revision, role, image, trouble: None, ready });
    }

    fn annotate(&mut self, leading: Option<String>, preparing: Option<String>) {
        let others = self.led.iter().filter(|other| Some(*other) != leading.as_ref());
        let others: Vec<&String> = others.collect();
        assert!(others.is_empty(), "{leading:?} is to lead, and {others:?} may still do so");
        assert!(preparing.is_none() || preparing != leading);
        self.turn = (leading, preparing);
        self.claim();
    }

    /// A JobManager of the revision whose turn it is leads, if it comes to anything.
    fn claim(&mut self) {
        let Some(revision) = self.turn.0.clone() else { return };
        let Some(pod) = self.job_manager(&revision) else { return };
        self.led.insert(revision.clone());
        let leading = self.status.job_manager.as_ref();
        if self.healthy && leading.is_none_or(|leading| leading.leader != pod) {
            self.job_runs(&revision);
        }
    }

    /// The latest pod of a revision's JobManagers.
    fn job_manager(&self, revision: &str) -> Option<String> {
        let mut pods = self.pods.iter().rev();
        let is_own =
            |pod: &&PodFact| pod.revision == revision && pod.role == Some(Role::JobManager);
        pods.find(is_own).map(|pod| pod.name.clone())
    }

    /// The JobManager that is asked to has one more TaskManager ready.
    fn get_ready(&mut self) {
        let Some(revision) = self.turn.1.clone().filter(|_| self.prepares) else { return };
        // Asked for before it was made.
        let Some(Recorded { spec, .. }) = self.recorded.get(&revision) else { return };
        let there = self.task_managers(&revision);
        let (parallelism, slots) = (spec.job.parallelism, spec.task_manager.slots);
        let wanted = (parallelism + slots - 1) / slots + spec.task_manager.standby;
        if self.job_manager(&revision).is_some() && there < usize::try_from(wanted).unwrap_or(0) {
            self.make_pod(&revision, Role::TaskManager, true);
        }
    }

    pub(super) fn task_managers(&self, revision: &str) -> usize {
        let own = self.pods.iter().filter(|pod| pod.revision == revision);
        own.filter(|pod| pod.role == Some(Role::TaskManager)).count()
    }

    /// The JobManagers' pods of a revision go, and others come.
    pub(super) fn lose_job_managers(&mut self, revision: &str) {
        let is_own = |pod: &PodFact| pod.revision == revision && pod.role == Some(Role::JobManager);
        self.pods.retain(|pod| !is_own(pod));
        if let Some(replicas) = self.deployments.get(revision).map(|each| each.replicas) {
            self.deploy(revision, replicas);
        }
    }

    fn note_end(&mut self) {
        if let Some(job) = self.status.job.as_ref().filter(|job| has_ended(&job.state)) {
            self.ended.insert(job.id.clone(), job.state.clone());
        }
    }

    /// A leader of the revision reports its job, which runs unless it has ended before.
    pub(super) fn job_runs(&mut self, revision: &str) {
        self.note_end();
        let leader = self.job_manager(revision).expect("a pod of the revision");
        self.status.job_manager = Some(JobManagerStatus { leader, ..Default::default() });
        let record = &self.recorded[revision];
        let id = job_id(&record.cluster_id, 0).to_string();
        // Of another job's checkpoint a leader's report keeps nothing.
        let of_job = self.status.checkpoint.take().filter(|newest| newest.path.contains(&id));
        self.status.checkpoint = of_job;
        let begun_with = record.begin_with.as_ref().map(|path| RestoredFrom {
            path: path.clone(),
            checkpoint_id: None,
            at: None,
        });
        self.status.job = Some(JobStatus {
            state: self.ended.get(&id).map_or("RUNNING", String::as_str).to_owned(),
            id,
            started_at: Some(at(self.now)),
            parallelism: Some(self.spec.job.parallelism),
            restarts: Some(0),
            restored_from: self
                .status
                .checkpoint
                .as_ref()
                .map(|newest| RestoredFrom {
                    path: newest.path.clone(),
                    checkpoint_id: Some(newest.id),
                    at: None,
                })
                .or(begun_with),
            ..Default::default()
        });
    }

    /// The job ends, and its leader reports that.
    pub(super) fn ends(&mut self, state: &str) {
        let (now, generation) = (self.now, self.generation);
        let job = self.status.job.as_mut().expect("a job");
        job.state = state.to_owned();
        job.ended_at = Some(at(now));
        job.ended_generation = Some(generation);
    }

    pub(super) fn checkpoint(&mut self) {
        let id = self.status.checkpoint.as_ref().map_or(0, |newest| newest.id) + 1;
        let job = self.status.job.as_ref().expect("a job").id.as_str();
        let path = format!("s3://b/{job}/chk-{id}");
        let completed_at = Some(at(self.now));
        self.status.checkpoint =
            Some(CheckpointStatus { id, path, completed_at, ..Default::default() });
    }

    /// Lets time go by; a running job takes its checkpoints.
    pub(super) fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += 1;
            let runs = self.status.job.as_ref().is_some_and(|job| job.state == "RUNNING");
            let on_time = self.now % self.spec.state.checkpoints.interval_seconds == 0;
            if runs && on_time && self.checkpoints && !self.deployments.is_empty() {
                self.checkpoint();
            }
        }
    }
}

struct JsonParts {
    current: Option<String>,
    stable: Option<String>,
    operation: Option<crate::resource::Operation>,
}

impl JsonParts {
    fn of(reported: &crate::plan::OperatorStatus) -> JsonParts {
        JsonParts {
            current: reported.current_revision.clone(),
            stable: reported.stable_revision.clone(),
            operation: reported.operation.clone(),
        }
    }
}

pub(super) fn running() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.until("Running", true);
    cluster
}

pub(super) fn happened(cluster: &Cluster, reason: &str) -> bool {
    cluster.events.iter().any(|event| event.starts_with(reason))
}

pub(super) fn condition(cluster: &Cluster, kind: &str) -> Option<(String, String)> {
    let conditions = cluster.status.conditions.iter();
    let mut found = conditions.filter(|each| each.r#type == kind);
    found.next().map(|each| (each.status.clone(), each.reason.clone()))
}

pub(super) fn identity() -> Identity {
    Identity { namespace: "shop".to_owned(), name: "a".to_owned(), uid: "uid".to_owned() }
}
