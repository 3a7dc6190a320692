//! The ResourceManager's driver in Kubernetes: a task that watches the pods, asks the planner, and
//! performs what it says. Not here: decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use parking_lot::Mutex;
use thalweg_core::Clock;
use thalweg_core::ids::{Epoch, TaskManagerId};
use thalweg_jobmanager::resource_manager::{
    ResourceManagerDriver, WorkerEvent, WorkerEvents, WorkerOptions,
};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::{PodAction, PodFacts, PodPlanner, PodTemplate, PodTimes, facts_of};
use crate::api::{Outcome, asked};
use crate::status::PodCounts;

/// How long to sleep when nothing is due.
const LONG: Duration = Duration::from_secs(3600);

/// What a driver is made with.
#[derive(Clone)]
pub struct PodDriverOptions {
    /// The API server.
    pub client: Client,
    /// Where the pods are.
    pub namespace: String,
    /// What they look like.
    pub template: PodTemplate,
    /// The Deployment that owns them: they go when it does. None: nobody does.
    pub deployment: Option<String>,
    /// What they are like.
    pub workers: WorkerOptions,
    /// Times.
    pub times: PodTimes,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What its task runs on.
    pub runtime: Handle,
    /// What there is to be known of this process while it doesn't lead; None: it makes nothing
    /// then.
    pub preparation: Option<PodPreparation>,
}

/// What distinguishes the pods that a JobManager makes before it leads: it has no epoch to name
/// them by, and nothing says where it is to be found.
#[derive(Debug, Clone)]
pub struct PodPreparation {
    /// Another one in every process.
    pub number: u32,
    /// The argument that tells a TaskManager where to find this process.
    pub argument: String,
}

/// What the JobManager's loop has said and the task hasn't taken in. Bounded by the number of
/// TaskManagers.
#[derive(Debug, Default)]
struct Inbox {
    required: Option<u32>,
    registrations: BTreeMap<String, bool>,
    leaving: BTreeSet<String>,
    released: BTreeSet<String>,
    /// The driver is gone: so is the JobManager.
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    wake: Notify,
}

/// How many pods are required, and how many of them haven't registered.
type Counts = Arc<Mutex<(usize, usize)>>;

/// Starts TaskManagers as pods.
pub struct KubernetesDriver {
    options: PodDriverOptions,
    shared: Arc<Shared>,
    counts: Counts,
}

impl Debug for KubernetesDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KubernetesDriver({}, {:?})", self.options.namespace, self.options.workers)
    }
}

impl KubernetesDriver {
    /// One that does nothing before the JobManager leads.
    pub fn new(options: PodDriverOptions) -> Self {
        Self { options, shared: Arc::default(), counts: Counts::default() }
    }

    /// Tells how many pods there are, at any time.
    pub fn counts(&self) -> impl Fn() -> PodCounts + Send + Sync + 'static {
        let (counts, standby) = (Arc::clone(&self.counts), self.options.workers.spare);
        move || {
            let (desired, pending) = *counts.lock();
            let count = |n| u32::try_from(n).unwrap_or(u32::MAX);
            PodCounts { desired: count(desired), pending: count(pending), standby }
        }
    }

    /// Starts a task; the one that there was ends. What it has asked for is seen by the new one.
    fn begin(&mut self, planner: PodPlanner, arguments: Vec<String>, events: WorkerEvents) {
        self.tell(|inbox| inbox.ended = true);
        self.shared = Arc::default();
        let options = self.options.clone();
        let task = PodTask {
            pods: Api::namespaced(options.client.clone(), &options.namespace),
            planner,
            arguments,
            shared: Arc::clone(&self.shared),
            counts: Arc::clone(&self.counts),
            seen: BTreeMap::new(),
            listing: BTreeMap::new(),
            events,
            options,
        };
        self.options.runtime.spawn(task.run());
    }

    fn tell(&self, say: impl FnOnce(&mut Inbox)) {
        say(&mut self.shared.inbox.lock());
        self.shared.wake.notify_one();
    }
}

impl Drop for KubernetesDriver {
    fn drop(&mut self) {
        self.tell(|inbox| inbox.ended = true);
    }
}

impl ResourceManagerDriver for KubernetesDriver {
    fn workers(&self) -> Option<WorkerOptions> {
        Some(self.options.workers)
    }

    fn require_workers(&mut self, total: u32) {
        self.tell(|inbox| inbox.required = Some(total));
    }

    fn worker_changed(&mut self, id: &TaskManagerId, registered: bool) {
        self.tell(|inbox| {
            inbox.registrations.insert(id.0.clone(), registered);
        });
    }

    fn worker_leaving(&mut self, id: &TaskManagerId) {
        self.tell(|inbox| {
            inbox.leaving.insert(id.0.clone());
        });
    }

    fn release_worker(&mut self, id: &TaskManagerId) {
        self.tell(|inbox| {
            inbox.released.insert(id.0.clone());
        });
    }

    fn prepares(&mut self, events: WorkerEvents) {
        let Some(preparation) = &self.options.preparation else { return };
        let prefix = self.options.template.prefix(&format!("w{:08x}", preparation.number));
        let planner = PodPlanner::new(prefix, self.options.times).preparing();
        let arguments = vec!["-D".to_owned(), preparation.argument.clone()];
        self.begin(planner, arguments, events);
    }

    fn started(&mut self, events: WorkerEvents, epoch: Epoch) {
        let prefix = self.options.template.prefix(&epoch.0.to_string());
        let planner = PodPlanner::new(prefix, self.options.times);
        self.begin(planner, Vec::new(), events);
    }
}

struct PodTask {
    options: PodDriverOptions,
    pods: Api<Pod>,
    planner: PodPlanner,
    /// What is said to a TaskManager beyond its template.
    arguments: Vec<String>,
    shared: Arc<Shared>,
    counts: Counts,
    /// The pods as they were seen last.
    seen: BTreeMap<String, PodFacts>,
    /// Those of a list that isn't complete yet.
    listing: BTreeMap<String, PodFacts>,
    events: WorkerEvents,
}

impl PodTask {
    async fn run(mut self) {
        let config = watcher::Config::default().labels(&self.options.template.selector());
        let changes = watcher(self.pods.clone(), config).default_backoff();
        let mut changes = pin!(changes);
        loop {
            let now = self.options.clock.elapsed();
            let due = self.planner.deadline(now).map_or(LONG, |at| at.saturating_sub(now));
            let actions = tokio::select! {
                biased;
                () = self.shared.wake.notified() => {
                    let Some(actions) = self.told() else { return };
                    actions
                }
                change = changes.next() => match change {
                    Some(Ok(change)) => self.changed(change),
                    Some(Err(error)) => {
                        tracing::warn!("TaskManager pods can't be watched, tried again: {error}");
                        Vec::new()
                    }
                    None => return,
                },
                () = tokio::time::sleep(due) => self.planner.tick(self.options.clock.elapsed()),
            };
            if !self.perform(actions).await {
                return;
            }
            *self.counts.lock() = self.planner.counts();
        }
    }

    /// Takes in what the JobManager's loop has said; None when that has ended.
    fn told(&mut self) -> Option<Vec<PodAction>> {
        let inbox = std::mem::take(&mut *self.shared.inbox.lock());
        if inbox.ended {
            return None;
        }
        let now = self.options.clock.elapsed();
        let mut actions = Vec::new();
        for (name, registered) in inbox.registrations {
            actions.extend(self.planner.registration(&name, registered, now));
        }
        for name in inbox.leaving {
            actions.extend(self.planner.leaving(&name, now));
        }
        for name in inbox.released {
            actions.extend(self.planner.release(&name, now));
        }
        if let Some(total) = inbox.required {
            actions.extend(self.planner.require(total as usize, now));
        }
        Some(actions)
    }

    fn changed(&mut self, change: watcher::Event<Pod>) -> Vec<PodAction> {
        match change {
            watcher::Event::Init => {
                self.listing.clear();
                return Vec::new();
            }
            watcher::Event::InitApply(pod) => {
                let facts = facts_of(&pod).map(|facts| (facts.name.clone(), facts));
                self.listing.extend(facts);
                return Vec::new();
            }
            watcher::Event::InitDone => self.seen = std::mem::take(&mut self.listing),
            watcher::Event::Apply(pod) => {
                let facts = facts_of(&pod).map(|facts| (facts.name.clone(), facts));
                self.seen.extend(facts);
            }
            watcher::Event::Delete(pod) => {
                pod.metadata.name.iter().for_each(|name| {
                    self.seen.remove(name);
                });
            }
        }
        let pods = self.seen.values().cloned().collect();
        self.planner.observe(pods, self.options.clock.elapsed())
    }

    /// Performs actions, and those that follow from them; false when the JobManager has ended.
    async fn perform(&mut self, mut actions: Vec<PodAction>) -> bool {
        while !actions.is_empty() {
            let mut following = Vec::new();
            for action in actions {
                match action {
                    PodAction::Create(name) => {
                        let made = self.create(&name).await;
                        let now = self.options.clock.elapsed();
                        following.extend(self.planner.made(&name, made, now));
                    }
                    PodAction::Delete { name, uid, why } => self.delete(&name, uid, &why).await,
                    PodAction::Gone(name, why) => {
                        if !self.say(name, WorkerEvent::Gone(why)).await {
                            return false;
                        }
                    }
                    PodAction::Leaving(name, why) => {
                        if !self.say(name, WorkerEvent::Leaving(why)).await {
                            return false;
                        }
                    }
                }
            }
            actions = following;
        }
        true
    }

    /// False when nobody listens any more: a preparation that was given up, too, ends this task by
    /// that. It has asked for the deletion of TaskManagers that had registered by then. Pods that
    /// were on their way are left to Kubernetes: a preparation is given up when the operator gives
    /// up the revision (`others_go` in its plan), and their owner, the revision's Deployment, is
    /// deleted with that. One that is asked for anew takes over what is there, by its names.
    async fn say(&self, name: String, event: WorkerEvent) -> bool {
        self.events.tell(TaskManagerId(name), event).await
    }

    /// The reference to the Deployment that owns the pods. Looked at before each pod: when it is
    /// deleted, its pods go one after the other, and none of them is to be replaced.
    async fn owner(&self) -> Result<Option<OwnerReference>, String> {
        let Some(name) = self.options.deployment.clone() else { return Ok(None) };
        let deployments: Api<Deployment> =
            Api::namespaced(self.options.client.clone(), &self.options.namespace);
        let metadata = match asked(deployments.get(&name)).await {
            Outcome::Done(deployment) => deployment.metadata,
            Outcome::NotFound | Outcome::Conflict => {
                return Err(format!("there is no Deployment {name}"));
            }
            Outcome::Failed(error) => return Err(error),
        };
        if metadata.deletion_timestamp.is_some() {
            return Err(format!("the Deployment {name} is being deleted"));
        }
        Ok(Some(OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            name,
            uid: metadata.uid.unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: Some(false),
        }))
    }

    async fn create(&self, name: &str) -> bool {
        let owner = match self.owner().await {
            Ok(owner) => owner,
            Err(why) => {
                tracing::warn!("pod {name} isn't made: {why}");
                return false;
            }
        };
        let pod = self.options.template.pod(name, owner.as_ref(), &self.arguments);
        match asked(self.pods.create(&PostParams::default(), &pod)).await {
            Outcome::Done(_) => {
                tracing::info!("pod {name} is made");
                true
            }
            // Made by a request whose answer was lost: no other leader uses the name.
            Outcome::Conflict => true,
            Outcome::NotFound => false,
            Outcome::Failed(error) => {
                tracing::warn!("pod {name} can't be made, it is tried again: {error}");
                false
            }
        }
    }

    /// One that can't be deleted now is asked for again by the planner.
    async fn delete(&self, name: &str, uid: String, why: &str) {
        tracing::info!("pod {name} is deleted: {why}");
        let preconditions = Some(Preconditions { uid: Some(uid), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        if let Outcome::Failed(error) = asked(self.pods.delete(name, &parameters)).await {
            tracing::warn!("pod {name} can't be deleted, it is tried again: {error}");
        }
    }
}
