//! A TaskManager that is told to end works on while its JobManager moves its tasks away, and goes
//! when nothing is left to wait for. Pure. Not here: the end itself, which is the executor's.

use std::time::Duration;

use thalweg_rpc::message::Leaving;

/// How long it waits for a JobManager that it has lost, or that doesn't say that it may go although
/// nothing runs here. One that is replaced restarts all tasks anyway.
const JOB_MANAGER_AWAITED: Duration = Duration::from_secs(5);

/// What it goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// Whether it is registered at a JobManager.
    pub(super) registered: bool,
    /// Whether tasks run here.
    pub(super) tasks: bool,
}

/// One that was told to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leave {
    reason: String,
    until: Duration,
    /// Since when it is without a JobManager, or without tasks.
    alone_since: Option<Duration>,
}

impl Leave {
    /// It was told at `now` and goes after `time` at the latest.
    pub(super) fn new(reason: String, time: Duration, now: Duration) -> Self {
        Self { reason, until: now + time, alone_since: None }
    }

    /// What is said of it to the JobManager.
    pub(super) fn announced(&self, now: Duration) -> Leaving {
        let remaining = self.until.saturating_sub(now).as_millis();
        Leaving {
            reason: self.reason.clone(),
            remaining_ms: u64::try_from(remaining).unwrap_or(u64::MAX),
        }
    }

    /// Why it goes now, if it does:
    ///
    /// 1. Its time is over.
    /// 2. Nothing runs here, and there's no JobManager to take leave of.
    /// 3. For a while there has been no JobManager, or nothing to do.
    pub(super) fn over(&mut self, facts: Facts, now: Duration) -> Option<String> {
        let reason = &self.reason;
        if now >= self.until {
            return Some(format!("{reason}; its time to leave is over"));
        }
        if facts.registered && facts.tasks {
            self.alone_since = None;
            return None;
        }
        let since = *self.alone_since.get_or_insert(now);
        let waited = now.saturating_sub(since) >= JOB_MANAGER_AWAITED;
        match facts.tasks {
            true => waited.then(|| format!("{reason}; no JobManager moves its tasks")),
            false => (waited || !facts.registered).then(|| format!("{reason}; it has no tasks")),
        }
    }

    /// The JobManager says that it may go.
    pub(super) fn dismissed(&self, why: &str) -> String {
        format!("{}; {why}", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKING: Facts = Facts { registered: true, tasks: true };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn leave() -> Leave {
        Leave::new("SIGTERM".to_owned(), at(110), at(1000))
    }

    #[test]
    fn it_works_on_until_its_time_is_over_and_says_how_much_is_left() {
        let mut leave = leave();
        assert_eq!(leave.over(WORKING, at(1000)), None);
        assert_eq!(leave.over(WORKING, at(1109)), None);
        assert_eq!(leave.announced(at(1100)).remaining_ms, 10_000);
        assert!(leave.over(WORKING, at(1110)).unwrap().contains("its time to leave is over"));
        assert_eq!(leave.announced(at(1111)).remaining_ms, 0);
    }

    #[test]
    fn without_a_job_manager_it_waits_for_a_moment_only_and_without_tasks_too_not_at_all() {
        let mut leave = leave();
        let alone = Facts { registered: false, ..WORKING };
        assert_eq!(leave.over(alone, at(1001)), None);
        assert_eq!(leave.over(WORKING, at(1005)), None, "it is back");
        assert_eq!(leave.over(alone, at(1006)), None);
        assert_eq!(leave.over(alone, at(1010)), None);
        assert!(leave.over(alone, at(1011)).unwrap().contains("no JobManager"));
        let idle = Facts { registered: false, tasks: false };
        assert!(self::leave().over(idle, at(1000)).unwrap().contains("no tasks"));
    }

    #[test]
    fn without_tasks_it_waits_for_the_job_managers_word_but_not_for_long() {
        let mut leave = leave();
        let idle = Facts { registered: true, tasks: false };
        assert_eq!(leave.over(idle, at(1000)), None, "tasks may be on their way here");
        assert_eq!(leave.over(idle, at(1004)), None);
        assert!(leave.over(idle, at(1005)).is_some());
        assert_eq!(leave.dismissed("nothing runs there"), "SIGTERM; nothing runs there");
    }
}
