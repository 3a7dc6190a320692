//! What an operator does about the Lease. Pure: what was read and the process's own clock in, a
//! step out.

use std::time::Duration;

use super::{LeaseRecord, LeaseTimes};

/// By how much faster a leader tries again that couldn't renew, or a candidate that was beaten.
const HURRY: u32 = 10;

/// What a look at the Lease has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// The Lease.
    There(LeaseRecord),
    /// There is none.
    Absent,
    /// Nobody knows: why.
    Unknown(String),
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The Lease is made, held by this process.
    Create,
    /// This process is written into the Lease, provided that this is still as it was read.
    Write(LeaseRecord),
    /// It is looked at again after this time; what is waited for, for people.
    LookAgainAfter(Duration, String),
    /// The process doesn't lead any more and has to end: why.
    Lost(String),
}

/// A candidate, then a leader.
#[derive(Debug, Clone)]
pub struct Elector {
    identity: String,
    times: LeaseTimes,
    /// The Lease's version that was seen last, and since when.
    seen: Option<(String, Duration)>,
    /// When the last write that succeeded was asked for; None: it doesn't lead.
    renewed: Option<Duration>,
}

impl Elector {
    /// One that has seen nothing. `identity` is this process's alone.
    pub fn new(identity: String, times: LeaseTimes) -> Elector {
        Elector { identity, times, seen: None, renewed: None }
    }

    /// Who it is.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether it leads.
    pub fn leads(&self) -> bool {
        self.renewed.is_some()
    }

    /// How long a leader may still lead without renewing; None for a candidate.
    pub fn time_left(&self, now: Duration) -> Option<Duration> {
        Some((self.renewed? + self.times.renew_deadline).saturating_sub(now))
    }

    /// Decides:
    ///
    /// 1. A leader that hasn't renewed for the renew deadline, or reads another holder, has lost.
    /// 2. A Lease that isn't there is made; one that nobody holds, or this process, is written.
    /// 3. So is another's that hasn't changed for its duration while this process looked. Only its
    ///    own clock is used: those of machines differ.
    /// 4. Else it looks again.
    pub fn step(&mut self, looked: Looked, now: Duration) -> Step {
        let period = self.times.retry_period;
        if self.time_left(now).is_some_and(|left| left.is_zero()) {
            let why = match looked {
                Looked::Unknown(why) => why,
                _ => "it was held up".to_owned(),
            };
            let deadline = self.times.renew_deadline;
            return Step::Lost(format!("the Lease wasn't renewed for {deadline:?}: {why}"));
        }
        let lease = match looked {
            Looked::There(lease) => lease,
            Looked::Absent => return Step::Create,
            Looked::Unknown(why) => {
                let pause = if self.leads() { period / HURRY } else { period };
                return Step::LookAgainAfter(pause, why);
            }
        };
        let Some(holder) = lease.held_by().filter(|holder| *holder != self.identity) else {
            return Step::Write(lease);
        };
        if self.leads() {
            return Step::Lost(format!("{holder} has taken the Lease"));
        }
        let since = match &self.seen {
            Some((version, since)) if *version == lease.version => *since,
            _ => now,
        };
        let leader = holder.to_owned();
        self.seen = Some((lease.version.clone(), since));
        let left = (since + self.times.duration).saturating_sub(now);
        if left.is_zero() {
            return Step::Write(lease);
        }
        Step::LookAgainAfter(left.min(period), format!("{leader} leads"))
    }

    /// The Lease was written, as was asked at this time; when to renew it.
    pub fn written(&mut self, asked_at: Duration) -> Duration {
        self.renewed = Some(asked_at);
        self.times.retry_period
    }

    /// Somebody else was quicker, or nobody knows: when to look again.
    pub fn not_written(&self) -> Duration {
        self.times.retry_period / HURRY
    }
}
