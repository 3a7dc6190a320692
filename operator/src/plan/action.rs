//! What is to be done, as data. `apply` performs it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::build::Identity;
use crate::resource::{FlinkApplicationSpec, Operation};

/// A step that changes something. Each may be repeated without harm.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Let the resource's deletion wait for the operator.
    AddFinalizer,
    /// Let the resource go. What belongs to it goes with it.
    RemoveFinalizer,
    /// Delete the resource, as its time to live has passed.
    DeleteResource,
    /// Apply what the application has whatever its revision; this revision may lead.
    ApplyApplication {
        /// The revision that may lead; none: nobody.
        leading: Option<String>,
        /// The one that gets its TaskManagers ready meanwhile.
        preparing: Option<String>,
    },
    /// Check in a pod whether a revision can begin with a checkpoint.
    StartCheck {
        /// The revision.
        revision: String,
        /// The identity of its state.
        cluster_id: String,
        /// The checkpoint.
        path: String,
    },
    /// Delete a check's pod.
    EndCheck {
        /// The revision.
        revision: String,
    },
    /// Record the revision that the spec asks for, and apply it. It doesn't count as the one that
    /// was started last: its job doesn't run.
    PrepareRevision {
        /// Its name.
        revision: String,
        /// The identity of its state.
        cluster_id: String,
        /// How many JobManagers.
        replicas: i32,
        /// What its job begins with if it has no checkpoint of its own.
        begin_with: Option<String>,
    },
    /// Delete the application's state, in a pod.
    StartErasure {
        /// The revision whose image and settings it has.
        revision: String,
        /// Where the state is.
        places: Vec<String>,
        /// The identity with which a resource of this name begins then.
        successor: String,
        /// How long it is tried.
        seconds: i64,
    },
    /// Delete the pod that was to delete the state.
    EndErasure,
    /// Record the revision that the spec asks for, and apply it.
    StartRevision {
        /// Its name.
        revision: String,
        /// The identity of its state.
        cluster_id: String,
        /// How many JobManagers.
        replicas: i32,
        /// What its job begins with if it has no checkpoint of its own.
        begin_with: Option<String>,
    },
    /// Apply a revision's objects again as they were recorded, if somebody has changed them.
    KeepRevision {
        /// The revision.
        revision: String,
        /// How many JobManagers it has.
        replicas: i32,
    },
    /// Record which image ran, by its digest.
    RecordImage {
        /// The revision.
        revision: String,
        /// The image.
        image: String,
    },
    /// Set the number of a revision's JobManagers.
    SetReplicas {
        /// The revision.
        revision: String,
        /// How many.
        replicas: i32,
    },
    /// Delete a revision's Deployment, and with it all of its pods.
    StopRevision {
        /// The revision.
        revision: String,
    },
    /// Delete the settings and the record of an old revision.
    ForgetRevision {
        /// The revision.
        revision: String,
    },
    /// Ask the JobManager for a checkpoint.
    TakeCheckpoint {
        /// The job.
        job: String,
        /// By which repeats are told.
        token: String,
    },
    /// Ask the JobManager for a savepoint.
    TakeSavepoint {
        /// The job.
        job: String,
        /// By which repeats are told, and the result is found in the status.
        token: String,
        /// Below which location.
        location: String,
    },
    /// Ask the JobManager to stop the job with a savepoint: it takes nothing in after it, commits
    /// what is in it, and has finished then.
    StopWithSavepoint {
        /// The job.
        job: String,
        /// By which repeats are told, and the result is found in the status.
        token: String,
        /// Below which location.
        location: String,
    },
    /// Ask the JobManager to rescale the job.
    Rescale {
        /// The job.
        job: String,
        /// The parallelism that it has.
        from: i32,
        /// The new parallelism.
        parallelism: i32,
    },
    /// Tell the user.
    Publish(Event),
}

/// Something to tell the user, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// In one word, from the documented list.
    pub reason: &'static str,
    /// Whether it is a warning.
    pub warning: bool,
    /// For people.
    pub message: String,
    /// What makes it the same event when it is decided again: a generation, a revision, a token.
    pub key: String,
}

impl Event {
    /// Its name: the same for the same event, so that a repeat is a conflict and not a second one.
    /// Those of a resource that is made again aren't those of the earlier one, which are there for
    /// an hour.
    pub fn name(&self, of: &Identity) -> String {
        let content = format!("{}\0{}\0{}", of.uid, self.reason, self.key);
        format!("{}.{:016x}", of.name, xxhash_rust::xxh3::xxh3_64(content.as_bytes()))
    }
}

/// How the application is, which conditions and phase are made from.
#[derive(Clone, Debug, PartialEq)]
pub enum Situation {
    /// The first pods come.
    Deploying,
    /// The job runs; whether its revision has proved stable.
    Running {
        /// Whether it has.
        stable: bool,
    },
    /// An old revision goes, or the new one comes.
    Upgrading,
    /// The stable revision comes back.
    RollingBack,
    /// Pods go, as the user wants.
    Suspending,
    /// No pods, as the user wants.
    Suspended,
    /// The job has ended by itself.
    Finished,
    /// The job has ended with an error, or by a cancel.
    Failed {
        /// Its state.
        state: String,
    },
    /// Nothing more is done before the user changes something.
    Stalled {
        /// In one word.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// The resource is going.
    Deleting,
}

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do, in this order.
    pub actions: Vec<Action>,
    /// The spec that is acted upon: the user's, or an earlier one that goes on.
    pub spec: FlinkApplicationSpec,
    /// How the application is.
    pub situation: Situation,
    /// What is under way: recorded before the actions.
    pub operation: Option<Operation>,
    /// The revision whose pods run.
    pub current: Option<String>,
    /// The latest one that has proved stable.
    pub stable: Option<String>,
    /// The revision that was given up, while the spec that asks for it stands.
    pub given_up: Option<String>,
    /// Whether the new revision can read the old one's state, if that was checked.
    pub compatible: Option<Result<(), String>>,
    /// When to decide again even if nothing happens.
    pub again_at: Option<Time>,
}
