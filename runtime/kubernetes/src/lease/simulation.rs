//! Electors against an API server that is simulated: candidates that are killed, paused and cut
//! off, writes that are done and not answered, a Lease that is stolen and deleted, and given from
//! one revision to another and back. Seeded.

use std::time::Duration;

use super::*;
use crate::testing::Dice;

struct ApiServer {
    lease: Option<LeaseRecord>,
    versions: u64,
    /// Whose turn the operator says it is, and who gets ready.
    turn: (&'static str, Option<String>),
}

impl ApiServer {
    /// A write that needs the Lease to be as it was read; tells whether it was done.
    fn write(&mut self, read: &LeaseRecord, holder: &str) -> bool {
        let Some(lease) = self.lease.as_mut().filter(|lease| lease.version == read.version) else {
            return false;
        };
        self.versions += 1;
        lease.version = self.versions.to_string();
        lease.holder = Some(holder.to_owned());
        true
    }

    fn make(&mut self) {
        self.lease = Some(LeaseRecord::default());
        self.annotate();
    }

    /// The operator says whose turn it is. Who holds the Lease isn't its business.
    fn annotate(&mut self) {
        self.versions += 1;
        if let Some(lease) = &mut self.lease {
            lease.version = self.versions.to_string();
            lease.revision = Some(self.turn.0.to_owned());
            lease.preparing = self.turn.1.clone();
        }
    }
}

struct JobManager {
    elector: LeaseElector,
    leads: bool,
    /// Nothing of it happens before then: it is paused, cut off or being started.
    away_until: u64,
    next: u64,
    lives: u64,
}

/// Two of each revision.
const PODS: usize = 4;
const SECOND: u64 = 1000;
const TIMES: LeaseTimes = LeaseTimes {
    duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(5),
};

fn revision_of(pod: usize) -> &'static str {
    ["r2", "r2", "r3", "r3"][pod]
}

fn process(pod: usize, lives: u64, now: u64) -> JobManager {
    let identity = format!("pod-{pod}_{lives}");
    let candidate = Candidate { identity, revision: revision_of(pod).to_owned() };
    let elector = LeaseElector::new(candidate, TIMES);
    JobManager { elector, leads: false, away_until: now + SECOND, next: now + SECOND, lives }
}

/// Runs one seed: five minutes of faults, then a minute without. At its end exactly one leads, and
/// it is the one that the Lease names, of the revision whose turn it is.
fn run(seed: u64) {
    let mut dice = Dice::of(seed);
    let mut api = ApiServer { lease: None, versions: 0, turn: ("r2", None) };
    api.make();
    let mut pods: Vec<JobManager> = (0..PODS).map(|pod| process(pod, 0, 0)).collect();
    for now in (0..360 * SECOND).step_by(100) {
        let faults = now < 300 * SECOND;
        if faults && dice.below(40) == 0 {
            let pod = dice.below(PODS as u64) as usize;
            match dice.below(7) {
                0 => pods[pod] = process(pod, pods[pod].lives + 1, now + dice.below(20 * SECOND)),
                1 => pods[pod].away_until = now + dice.below(60 * SECOND),
                2 => api.lease = None,
                3 => {
                    let read = api.lease.clone().unwrap_or_default();
                    api.write(&read, "a-thief");
                }
                4 => {
                    let read = api.lease.clone().unwrap_or_default();
                    api.write(&read, "");
                }
                5 => {
                    api.turn.1 = Some(revision_of(pod).to_owned());
                    api.annotate();
                }
                _ => {
                    api.turn = (revision_of(pod), None);
                    api.annotate();
                }
            }
        }
        // The operator makes what isn't there.
        if api.lease.is_none() && (!faults || dice.below(100) == 0) {
            api.make();
        }
        for pod in 0..PODS {
            step(&mut pods, pod, &mut api, now, &mut dice, faults);
        }
    }
    let leaders: Vec<(&str, &str)> = pods
        .iter()
        .filter(|pod| pod.leads)
        .map(|pod| pod.elector.candidate())
        .map(|candidate| (candidate.identity.as_str(), candidate.revision.as_str()))
        .collect();
    let holder = api.lease.as_ref().and_then(|lease| lease.held_by()).unwrap_or_default();
    assert_eq!(leaders, [(holder, api.turn.0)], "seed {seed}");
    let prepares = |pod: &&JobManager| !pod.leads && pod.elector.prepares();
    for pod in pods.iter().filter(prepares) {
        let revision = &pod.elector.candidate().revision;
        assert!(
            revision == api.turn.0 || api.turn.1.as_ref() == Some(revision),
            "seed {seed}: {revision} gets ready for nothing"
        );
    }
}

fn step(
    pods: &mut [JobManager],
    index: usize,
    api: &mut ApiServer,
    now: u64,
    dice: &mut Dice,
    faults: bool,
) {
    let alive = |holder: &str| pods.iter().any(|p| p.elector.candidate().identity == holder);
    let lease = api.lease.clone();
    let holder = lease.as_ref().and_then(|lease| lease.held_by()).unwrap_or_default();
    // Nobody can tell what a thief that isn't a pod is; it stays until its time is over.
    let gone = holder.starts_with("pod-") && !alive(holder);
    let holder = if gone { HolderPod::Gone } else { HolderPod::Alive };
    let pod = &mut pods[index];
    if now < pod.away_until || now < pod.next {
        return;
    }
    pod.next = now + 5 * SECOND;
    let unanswered = faults && dice.below(10) == 0;
    let moment = Duration::from_millis(now);
    let identity = pod.elector.candidate().identity.clone();
    if pod.leads {
        match pod.elector.keep(lease) {
            Some(LeaderDecision::Renew(read)) => {
                api.write(&read, &identity);
            }
            Some(LeaderDecision::Lost(_)) => *pod = process(index, pod.lives, now),
            None => {}
        }
        return;
    }
    match pod.elector.wait(lease, holder, moment) {
        CandidateDecision::Take(read) => {
            let done = api.write(&read, &identity);
            pod.leads = done && !unanswered;
        }
        CandidateDecision::LookAgainAfter(after, _) => {
            pod.next = now + u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        }
    }
}

#[test]
fn whatever_happens_to_the_lease_and_its_candidates_one_leads_a_minute_later() {
    for seed in 0..500 {
        run(seed);
    }
}
