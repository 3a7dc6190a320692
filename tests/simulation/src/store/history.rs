//! What the store holds, and how it came to that: which checkpoints count, who leads, and what was
//! done that must never be. It reads logs and manifests as they are written and shares no decision
//! with those who write them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_core::ids::{CheckpointId, Epoch, JobId, cluster_log_id};
use thalweg_storage::log::names::{self, LogName};
use thalweg_storage::log::{EntryBody, EntryKind, LogEntry, WriterId};
use thalweg_storage::{BlobPath, CheckpointManifest, layout};

/// Who asks for something.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// Its host; empty: a JobManager without high availability.
    pub host: String,
    /// A JobManager's life with high availability.
    pub life: Option<WriterId>,
}

/// The books. With a log, its entries say what counts; without, a manifest does.
#[derive(Debug)]
pub struct History {
    job: JobId,
    cluster: JobId,
    has_log: bool,
    retained: usize,
    /// All objects, with the moment since which they are there.
    objects: BTreeMap<BlobPath, Duration>,
    /// Those that were deleted, with the moments of their writing and deletion.
    gone: Vec<(BlobPath, Duration, Duration)>,
    /// What each manifest that is there refers to.
    manifests: BTreeMap<BlobPath, Vec<BlobPath>>,
    job_log: Vec<LogEntry>,
    cluster_log: Vec<LogEntry>,
    /// Without a log: the highest checkpoint whose manifest was ever written.
    highest: Option<CheckpointId>,
    /// Lives that have read that another one has claimed their job since they did.
    fenced: BTreeSet<WriterId>,
    /// JobManagers that have read that another one leads the cluster.
    superseded: BTreeSet<WriterId>,
    violations: Vec<String>,
}

impl History {
    /// Of an empty store.
    pub fn new(job: JobId, cluster_id: &str, has_log: bool, retained: usize) -> Self {
        Self {
            job,
            cluster: cluster_log_id(cluster_id),
            has_log,
            retained,
            objects: BTreeMap::new(),
            gone: Vec::new(),
            manifests: BTreeMap::new(),
            job_log: Vec::new(),
            cluster_log: Vec::new(),
            highest: None,
            fenced: BTreeSet::new(),
            superseded: BTreeSet::new(),
            violations: Vec::new(),
        }
    }

    /// The highest checkpoint that was ever published.
    pub fn highest_published(&self) -> Option<CheckpointId> {
        if !self.has_log {
            return self.highest;
        }
        let published = self.job_log.last().and_then(|last| last.header.latest_publish());
        published.map(|published| published.checkpoint_id)
    }

    /// Whether the leader itself has published this checkpoint.
    pub fn leader_has_published(&self, id: CheckpointId) -> bool {
        let leader = self.leader();
        self.job_log.iter().any(|entry| {
            entry.header.kind == EntryKind::Publish(id) && Some(entry.header.writer) == leader
        })
    }

    /// Who leads: the job's last claimant, once the job has ended the cluster's; before anybody
    /// has claimed the job nobody.
    pub fn leader(&self) -> Option<WriterId> {
        let last = self.job_log.last()?;
        let last = if last.header.is_terminal() { self.cluster_log.last()? } else { last };
        Some(last.header.writer)
    }

    /// Whether tasks of this epoch are the leader's.
    pub fn leads(&self, epoch: Epoch) -> bool {
        let claims = self.cluster_log.iter().find(|entry| entry.header.epoch == epoch);
        !self.has_log || claims.map(|entry| entry.header.writer) == self.leader()
    }

    /// How often the cluster, and the job, was claimed.
    pub fn claims(&self) -> (u64, u64) {
        let of = |log: &[LogEntry]| {
            log.iter().filter(|entry| entry.header.kind == EntryKind::Claim).count() as u64
        };
        (of(&self.cluster_log), of(&self.job_log))
    }

    /// How many leaders have found that another one leads: their job, or first the cluster.
    pub fn fenced(&self) -> u64 {
        self.fenced.union(&self.superseded).count() as u64
    }

    /// What was done that must never be.
    pub fn violation(&self) -> Option<String> {
        self.violations.first().cloned()
    }

    /// The names below a folder as a listing gave them this long ago.
    pub fn listed(&self, folder: &BlobPath, now: Duration, age: Duration) -> Vec<BlobPath> {
        let then = now.saturating_sub(age);
        let there = self.objects.iter().filter(|(_, since)| **since <= then);
        let gone = self.gone.iter().filter(|(_, from, until)| *from <= then && *until > then);
        let names = there.map(|(path, _)| path).chain(gone.map(|(path, ..)| path));
        let within: BTreeSet<&BlobPath> = names.filter(|path| path.is_within(folder)).collect();
        within.into_iter().cloned().collect()
    }

    /// An object that the last published checkpoint refers to, if there is one.
    pub fn needed_object(&self) -> Option<BlobPath> {
        let manifest = self.roots().next()?;
        self.manifests.get(manifest)?.first().cloned()
    }

    /// It isn't there any more, and nobody has deleted it.
    pub fn vanished(&mut self, path: &BlobPath) {
        self.objects.remove(path);
    }

    /// A read gave these bytes.
    pub fn read(&mut self, path: &BlobPath, bytes: &[u8], by: &User) {
        let Some(life) = by.life else { return };
        if overtaken(self.job, &self.job_log, path, bytes, life) {
            self.fenced.insert(life);
        }
        if overtaken(self.cluster, &self.cluster_log, path, bytes, life) {
            self.superseded.insert(life);
        }
    }

    /// An object was written.
    pub fn wrote(&mut self, path: &BlobPath, bytes: &[u8], by: &User, now: Duration) {
        self.objects.insert(path.clone(), now);
        if let Some((_, checkpoint)) = layout::checkpoint_of_manifest(path) {
            self.check_may_change("written", path, by);
            self.highest = self.highest.max(Some(checkpoint));
            match CheckpointManifest::from_bytes(bytes, path.as_str()).map(|m| m.objects()) {
                Ok(Ok(objects)) => drop(self.manifests.insert(path.clone(), objects)),
                Ok(Err(error)) => self.violations.push(error.to_string()),
                Err(error) => self.violations.push(error.to_string()),
            }
        }
        for (job, of_job) in [(self.job, true), (self.cluster, false)] {
            if let Some(LogName::Entry(position)) = names::parse(job, path) {
                match LogEntry::from_bytes(bytes, path.as_str(), job, position) {
                    Ok(entry) => self.appended(entry, of_job),
                    Err(error) => self.violations.push(error.to_string()),
                }
            }
        }
    }

    /// An object was deleted.
    pub fn deleted(&mut self, path: &BlobPath, by: &User, now: Duration) {
        self.check_may_change("deleted", path, by);
        if let Some(since) = self.objects.remove(path) {
            self.gone.push((path.clone(), since, now));
        }
        let by_root = self.roots().find(|root| self.refers(root, path)).cloned();
        self.manifests.remove(path);
        if let Some(root) = by_root {
            self.violations.push(format!("{path} is deleted although {root} refers to it"));
        }
        let log = [self.job, self.cluster].into_iter().find_map(|job| names::parse(job, path));
        if log.is_some() {
            // No log here is as long as a segment.
            self.violations.push(format!("{path} is deleted"));
        }
    }

    /// Objects that nothing refers to, and those that something refers to and that aren't there.
    pub fn orphans_and_missing(&self) -> (Vec<String>, Vec<String>) {
        let mut named: BTreeSet<&BlobPath> = BTreeSet::new();
        for root in self.roots() {
            named.insert(root);
            named.extend(self.manifests.get(root).into_iter().flatten());
        }
        let result = self.job_log.last().and_then(|last| match &last.body {
            EntryBody::Terminal { results: Some(path), .. } => BlobPath::parse(path).ok(),
            _ => None,
        });
        named.extend(&result);
        let of_job = |path: &BlobPath| path.as_str().starts_with(&self.job.to_string());
        let orphans = self.objects.keys().filter(|path| {
            of_job(path) && names::parse(self.job, path).is_none() && !named.contains(path)
        });
        let missing = named.iter().filter(|path| !self.objects.contains_key(**path));
        (orphans.map(ToString::to_string).collect(), missing.map(ToString::to_string).collect())
    }

    /// The manifests that count, the newest first. Without a log all that are there.
    fn roots(&self) -> Box<dyn Iterator<Item = &BlobPath> + '_> {
        if !self.has_log {
            return Box::new(self.manifests.keys());
        }
        let published = self.job_log.iter().rev().filter_map(|entry| match &entry.body {
            EntryBody::Publish { manifest, .. } => BlobPath::parse(manifest).ok(),
            _ => None,
        });
        let published = published.take(self.retained);
        Box::new(published.filter_map(|path| Some(self.manifests.get_key_value(&path)?.0)))
    }

    fn refers(&self, root: &BlobPath, path: &BlobPath) -> bool {
        // Without a log a manifest goes first, and what it refers to afterwards.
        let itself = self.has_log && root == path;
        itself || self.manifests.get(root).is_some_and(|objects| objects.contains(path))
    }

    /// Who has seen that another one leads publishes and deletes nothing more.
    fn check_may_change(&mut self, what: &str, path: &BlobPath, by: &User) {
        let of_job = path.as_str().starts_with(&self.job.to_string());
        if of_job && by.life.is_some_and(|life| self.fenced.contains(&life)) {
            let host = &by.host;
            self.violations.push(format!("{path} is {what} by {host}, which knows it is fenced"));
        }
    }

    /// Each entry follows the last one, and only its leader's or a claim does.
    fn appended(&mut self, entry: LogEntry, of_job: bool) {
        if of_job && entry.header.kind == EntryKind::Claim {
            // It leads again, above all that it had seen.
            self.fenced.remove(&entry.header.writer);
        }
        let log = if of_job { &self.job_log } else { &self.cluster_log };
        let header = &entry.header;
        let place = log.len() as u64;
        let mut wrong = Vec::new();
        if header.position.0 != place {
            wrong.push(format!("the log has {place} entries before it"));
        }
        let (epoch, writer) = match log.last() {
            None => (Epoch(0), None),
            Some(last) => (last.header.epoch, Some(last.header.writer)),
        };
        if header.kind == EntryKind::Claim {
            if header.epoch.0 != epoch.0 + 1 {
                wrong.push(format!("it follows epoch {}", epoch.0));
            }
        } else if header.epoch != epoch || Some(header.writer) != writer {
            wrong.push(format!("epoch {} leads", epoch.0));
        }
        let latest = log.last().and_then(|last| last.header.latest_publish());
        if header.previous_publish != latest {
            wrong.push(format!("the last published checkpoint is {latest:?}"));
        }
        if log.last().is_some_and(|last| last.header.is_terminal()) {
            wrong.push("the job has ended".to_owned());
        }
        if let EntryBody::Publish { checkpoint_id, manifest } = &entry.body {
            if latest.is_some_and(|latest| latest.checkpoint_id >= *checkpoint_id) {
                wrong.push(format!("{latest:?} is newer"));
            }
            wrong.extend(self.incomplete(manifest));
        }
        self.violations.extend(wrong.into_iter().map(|why| format!("{entry:?}: {why}")));
        if of_job { self.job_log.push(entry) } else { self.cluster_log.push(entry) }
    }

    /// What is missing of a checkpoint that is published.
    fn incomplete(&self, manifest: &str) -> Option<String> {
        let path = BlobPath::parse(manifest).ok()?;
        let Some(objects) = self.manifests.get(&path) else {
            return Some("its manifest isn't there".to_owned());
        };
        let missing = objects.iter().find(|object| !self.objects.contains_key(*object))?;
        Some(format!("{missing} isn't there"))
    }
}

/// Whether these bytes are another one's claim after the last one of this writer in the log.
fn overtaken(of: JobId, log: &[LogEntry], path: &BlobPath, bytes: &[u8], writer: WriterId) -> bool {
    let Some(LogName::Entry(position)) = names::parse(of, path) else { return false };
    let Ok(entry) = LogEntry::from_bytes(bytes, path.as_str(), of, position) else { return false };
    let is_own =
        |own: &&LogEntry| own.header.writer == writer && own.header.kind == EntryKind::Claim;
    let later = log.iter().rfind(is_own).is_some_and(|own| own.header.position < position);
    later && entry.header.writer != writer && entry.header.kind == EntryKind::Claim
}
