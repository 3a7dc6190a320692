//! How a task spends its time: busy, idle, or back-pressured.
//!
//! The task notes changes only; a reader adds what has passed since the last one, so that the
//! figures are right while the task sleeps or is in the middle of a long call.

use std::time::Duration;

use parking_lot::Mutex;

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It works.
    Busy,
    /// It has nothing to read.
    Idle,
    /// It waits for its readers.
    BackPressured,
}

/// Time spent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActivityTimes {
    /// Working.
    pub busy: Duration,
    /// With nothing to read.
    pub idle: Duration,
    /// Waiting for readers.
    pub back_pressured: Duration,
}

impl ActivityTimes {
    fn add(&mut self, activity: Activity, time: Duration) {
        match activity {
            Activity::Busy => self.busy += time,
            Activity::Idle => self.idle += time,
            Activity::BackPressured => self.back_pressured += time,
        }
    }
}

#[derive(Debug)]
struct Account {
    times: ActivityTimes,
    /// None: it hasn't begun, or has ended.
    current: Option<(Activity, Duration)>,
}

/// Adds up what a task does. One writer, any readers.
#[derive(Debug)]
pub struct ActivityAccount(Mutex<Account>);

impl Default for ActivityAccount {
    fn default() -> Self {
        Self(Mutex::new(Account { times: ActivityTimes::default(), current: None }))
    }
}

impl ActivityAccount {
    /// From `now` on the task does this.
    pub(crate) fn change(&self, activity: Activity, now: Duration) {
        let mut account = self.0.lock();
        settle(&mut account, now);
        account.current = Some((activity, now));
    }

    /// The task has ended.
    pub(super) fn end(&self, now: Duration) {
        let mut account = self.0.lock();
        settle(&mut account, now);
        account.current = None;
    }

    /// Time spent up to `now`.
    pub fn times(&self, now: Duration) -> ActivityTimes {
        let account = self.0.lock();
        let mut times = account.times;
        if let Some((activity, since)) = account.current {
            times.add(activity, now.saturating_sub(since));
        }
        times
    }

    /// What the task does now.
    pub fn current(&self) -> Option<Activity> {
        self.0.lock().current.map(|(activity, _)| activity)
    }
}

fn settle(account: &mut Account, now: Duration) {
    if let Some((activity, since)) = account.current {
        account.times.add(activity, now.saturating_sub(since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_an_unfinished_activity_counts_when_it_is_read() {
        let ms = Duration::from_millis;
        let account = ActivityAccount::default();
        assert_eq!(account.times(ms(50)), ActivityTimes::default());
        account.change(Activity::Busy, ms(100));
        account.change(Activity::Idle, ms(130));
        let expected = ActivityTimes { busy: ms(30), idle: ms(20), back_pressured: ms(0) };
        assert_eq!(account.times(ms(150)), expected);
        account.change(Activity::BackPressured, ms(200));
        account.end(ms(1000));
        let expected = ActivityTimes { busy: ms(30), idle: ms(70), back_pressured: ms(800) };
        assert_eq!(account.times(ms(5000)), expected);
    }
}
