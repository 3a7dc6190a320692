//! Where the TaskManager stands with its JobManager, and what is due. Pure but for the queue that
//! messages are put into.

use std::time::Duration;

use thalweg_core::ids::Epoch;
use thalweg_rpc::message::{Fenced, TaskManagerMessage, ToJobManager};
use thalweg_rpc::{LinkSender, Reconnect, ReconnectDecision};

/// How often a registration is repeated while there is no answer.
const REGISTER_AGAIN_AFTER: Duration = Duration::from_secs(1);

enum State {
    /// Not connected; tries at this time.
    Disconnected { retry_at: Duration },
    /// Trying.
    Connecting,
    /// Connected, not registered.
    Registering { sender: LinkSender<ToJobManager>, asked: Option<Duration>, since: Duration },
    /// Registered.
    Registered { sender: LinkSender<ToJobManager>, last_beat: Option<Duration>, heard: Duration },
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Connect.
    Connect,
    /// Send the registration.
    Register,
    /// Send a heartbeat.
    Heartbeat,
    /// The JobManager has been silent for too long: connect anew.
    Lost,
}

/// The connection to the JobManager.
pub(super) struct Connection {
    state: State,
    reconnect: Reconnect,
    heartbeat_interval: Duration,
    heartbeat_timeout: Duration,
    /// The running number of the last message sent.
    sequence: u64,
}

impl Connection {
    /// Not connected yet. Intervals are replaced by the JobManager's at the registration.
    pub(super) fn new(
        registration_timeout: Duration,
        heartbeat_interval: Duration,
        heartbeat_timeout: Duration,
        now: Duration,
        seed: u64,
    ) -> Self {
        Self {
            state: State::Disconnected { retry_at: now },
            reconnect: Reconnect::new(registration_timeout, now, seed),
            heartbeat_interval,
            heartbeat_timeout,
            sequence: 0,
        }
    }

    pub(super) fn due(&mut self, now: Duration) -> Due {
        match &self.state {
            State::Disconnected { retry_at } if *retry_at <= now => Due::Connect,
            State::Disconnected { .. } | State::Connecting => Due::Nothing,
            State::Registering { asked, since, .. } => match asked {
                _ if now.saturating_sub(*since) >= self.heartbeat_timeout => Due::Lost,
                Some(asked) if now.saturating_sub(*asked) < REGISTER_AGAIN_AFTER => Due::Nothing,
                _ => Due::Register,
            },
            State::Registered { last_beat, heard, .. } => {
                if now.saturating_sub(*heard) >= self.heartbeat_timeout {
                    return Due::Lost;
                }
                let due = |last| now.saturating_sub(last) >= self.heartbeat_interval;
                if last_beat.is_none_or(due) { Due::Heartbeat } else { Due::Nothing }
            }
        }
    }

    /// An attempt to connect begins.
    pub(super) fn connecting(&mut self) {
        self.state = State::Connecting;
    }

    /// The attempt has succeeded.
    pub(super) fn connected(&mut self, sender: LinkSender<ToJobManager>, now: Duration) {
        self.state = State::Registering { sender, asked: None, since: now };
    }

    /// The attempt failed, or the connection broke before a registration.
    pub(super) fn failed(&mut self, now: Duration) -> ReconnectDecision {
        let decision = self.reconnect.failed(now);
        if let ReconnectDecision::RetryAfter(pause) = decision {
            self.state = State::Disconnected { retry_at: now + pause };
        }
        decision
    }

    /// The connection is gone. Without a registration in between that is another failure.
    pub(super) fn lost(&mut self, now: Duration) -> ReconnectDecision {
        if !self.is_registered() {
            return self.failed(now);
        }
        self.reconnect.disconnected(now);
        self.state = State::Disconnected { retry_at: now };
        ReconnectDecision::RetryAfter(Duration::ZERO)
    }

    /// The connection is gone, and there's no need for another one.
    pub(super) fn close(&mut self) {
        self.state = State::Disconnected { retry_at: Duration::MAX };
    }

    /// The JobManager has taken this TaskManager. Gives whether that is news.
    pub(super) fn registered(
        &mut self,
        interval: Duration,
        timeout: Duration,
        now: Duration,
    ) -> bool {
        self.heartbeat_interval = interval;
        self.heartbeat_timeout = timeout;
        let State::Registering { sender, .. } = &self.state else { return false };
        let sender = sender.clone();
        self.state = State::Registered { sender, last_beat: None, heard: now };
        true
    }

    /// Another leader answers on this connection: it doesn't know this TaskManager.
    pub(super) fn register_anew(&mut self, now: Duration) {
        if let State::Registered { sender, .. } = &self.state {
            let sender = sender.clone();
            self.state = State::Registering { sender, asked: None, since: now };
        }
    }

    /// Something came from the JobManager.
    pub(super) fn heard(&mut self, now: Duration) {
        match &mut self.state {
            State::Registered { heard, .. } => *heard = now,
            State::Registering { since, .. } => *since = now,
            State::Disconnected { .. } | State::Connecting => {}
        }
    }

    pub(super) fn is_registered(&self) -> bool {
        matches!(self.state, State::Registered { .. })
    }

    /// Puts a message into the queue of the connection; without one it is lost, as any message
    /// may be.
    pub(super) fn send(&mut self, epoch: Epoch, message: TaskManagerMessage, now: Duration) {
        let sender = match &mut self.state {
            State::Registering { sender, asked, .. } => {
                if matches!(message, TaskManagerMessage::Register(_)) {
                    *asked = Some(now);
                }
                sender
            }
            State::Registered { sender, last_beat, .. } => {
                if matches!(message, TaskManagerMessage::Heartbeat(_)) {
                    *last_beat = Some(now);
                }
                sender
            }
            State::Disconnected { .. } | State::Connecting => return,
        };
        self.sequence += 1;
        let sequence = self.sequence;
        if let Err(error) = sender.try_send(Fenced { epoch, sequence, message }) {
            tracing::debug!("a message to the JobManager isn't sent: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
