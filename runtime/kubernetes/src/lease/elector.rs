//! What a JobManager does about its application's Lease. Pure: what was read and the process's own
//! clock in, a decision out. Unlike client-go's elector (whose terms are used), a leader that can't
//! renew goes on: the store fences it if another one has taken over.

use std::time::Duration;

use super::{Candidate, HolderPod, LeaseRecord, LeaseTimes};

/// How many times as often one looks whose turn is near: it is what a job waits for meanwhile.
const SOONER: u32 = 10;

/// What one who doesn't lead does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CandidateDecision {
    /// It writes itself into the Lease, provided that this is still as it was read.
    Take(LeaseRecord),
    /// It looks again after this time; who leads, or what is waited for, for people.
    LookAgainAfter(Duration, String),
}

/// What a leader does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaderDecision {
    /// It renews the Lease as it was read.
    Renew(LeaseRecord),
    /// It doesn't lead any more: why, for people.
    Lost(String),
}

/// A candidate, then a leader.
#[derive(Debug, Clone)]
pub struct LeaseElector {
    candidate: Candidate,
    times: LeaseTimes,
    /// The Lease's version that was seen last, and since when.
    seen: Option<(String, Duration)>,
    renewed: Option<Duration>,
    /// It gets ready, so it looks more often.
    prepares: bool,
}

impl LeaseElector {
    /// One that has seen nothing.
    pub fn new(candidate: Candidate, times: LeaseTimes) -> Self {
        Self { candidate, times, seen: None, renewed: None, prepares: false }
    }

    /// Whether it is asked to get ready, as the Lease was read last.
    pub fn prepares(&self) -> bool {
        self.prepares
    }

    /// Who it is.
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// Decides for one who doesn't lead:
    ///
    /// 1. Without a Lease it waits: the operator makes it.
    /// 2. A Lease that is another revision's to campaign for isn't touched. If it says that this
    ///    revision gets ready, its turn is near: then, and until it comes, it looks more often.
    /// 3. One that nobody holds, or this pod itself, or a pod that is gone or going, is taken.
    /// 4. So is one that hasn't changed for its duration while this process looked. Only its own
    ///    clock is used: those of machines differ.
    pub fn wait(
        &mut self,
        lease: Option<LeaseRecord>,
        holder: HolderPod,
        now: Duration,
    ) -> CandidateDecision {
        let asked = lease.as_ref().and_then(|lease| lease.preparation(&self.candidate.revision));
        self.prepares = asked.unwrap_or(self.prepares);
        let period = match self.prepares {
            true => self.times.retry_period / SOONER,
            false => self.times.retry_period,
        };
        let Some(lease) = lease else {
            let why = "the Lease isn't there yet; the operator makes it".to_owned();
            return CandidateDecision::LookAgainAfter(period, why);
        };
        if !lease.admits(&self.candidate.revision) {
            let admitted = lease.revision.unwrap_or_default();
            let why = format!("revision {admitted} leads, this one is {}", self.candidate.revision);
            return CandidateDecision::LookAgainAfter(period, why);
        }
        let Some(leader) = lease.held_by().filter(|held| *held != self.candidate.identity) else {
            return CandidateDecision::Take(lease);
        };
        if holder == HolderPod::Gone {
            return CandidateDecision::Take(lease);
        }
        let since = match &self.seen {
            Some((version, since)) if *version == lease.version => *since,
            _ => now,
        };
        let leader = leader.to_owned();
        self.seen = Some((lease.version.clone(), since));
        let left = (since + self.times.duration).saturating_sub(now);
        if left.is_zero() {
            return CandidateDecision::Take(lease);
        }
        CandidateDecision::LookAgainAfter(left.min(period), format!("{leader} leads"))
    }

    /// The Lease was written: this process holds it.
    pub fn taken(&mut self, now: Duration) {
        self.renewed = Some(now);
    }

    /// Decides for a leader, from the Lease as it is:
    ///
    /// 1. Another holder, or another revision's turn, ends its leadership.
    /// 2. A Lease that nobody holds any more is taken back; one that is gone is waited for: the
    ///    operator makes it again, and nothing was taken over meanwhile.
    pub fn keep(&self, lease: Option<LeaseRecord>) -> Option<LeaderDecision> {
        let lease = lease?;
        if !lease.admits(&self.candidate.revision) {
            let admitted = lease.revision.unwrap_or_default();
            return Some(LeaderDecision::Lost(format!("it is revision {admitted}'s turn to lead")));
        }
        match lease.held_by() {
            Some(holder) if holder != self.candidate.identity => {
                Some(LeaderDecision::Lost(format!("{holder} has taken the Lease")))
            }
            _ => Some(LeaderDecision::Renew(lease)),
        }
    }

    /// Since when it couldn't renew, once that is longer than the deadline for it. Only worth a
    /// warning: a leader that can't reach the API server goes on.
    pub fn overdue(&self, now: Duration) -> Option<Duration> {
        let silent = now.saturating_sub(self.renewed?);
        (silent > self.times.renew_deadline).then_some(silent)
    }
}
