//! The TaskManager's side: connects to its JobManager, and when to try again. Not here: the
//! registration that follows, which is a message.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::handshake::{self, Identity};
use crate::jitter::Jitter;
use crate::leader::LeaderAddress;
use crate::link::{self, Link};
use crate::listener::{Accepted, AcceptorSender, HANDSHAKE_TIMEOUT};
use crate::message::{ToJobManager, ToTaskManager};
use crate::transport::Transport;

/// How often to look, while a connection is being made, whether the leader is elsewhere by now.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody there, or the network failed. Trying again may help.
    #[error("the JobManager at {address} can't be reached: {cause}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// What went wrong.
        cause: String,
    },
    /// Nobody leads, or it can't be found out who. Trying again may help.
    #[error("it isn't known which JobManager leads: {cause}")]
    NoLeader {
        /// Why.
        cause: String,
    },
    /// The two can't talk. Trying again doesn't help.
    #[error("the JobManager at {address} can't be used: {cause}")]
    Refused {
        /// Where it is.
        address: String,
        /// Why, and what to do.
        cause: String,
    },
}

/// The future of a look for the leader; a failure's text says what to do.
pub type Locating<'l> = Pin<Box<dyn Future<Output = Result<LeaderAddress, String>> + Send + 'l>>;

/// Finds the leader, where it can be another one each time.
pub trait LeaderLocator: Debug + Send + Sync {
    /// Looks once.
    fn locate(&self) -> Locating<'_>;
}

/// How a TaskManager reaches its JobManager.
#[derive(Debug, Clone)]
pub enum Connector {
    /// Over the network.
    Remote {
        /// Makes the connection.
        transport: Arc<dyn Transport>,
        /// `jobmanager.rpc.address:jobmanager.rpc.port`.
        address: String,
        /// This process.
        identity: Identity,
    },
    /// Over the network, at wherever the leader is now.
    Located {
        /// Makes the connection.
        transport: Arc<dyn Transport>,
        /// Finds the leader.
        locator: Arc<dyn LeaderLocator>,
        /// This process.
        identity: Identity,
        /// How often to look whether another one leads, about.
        period: Duration,
        /// Another number for every process, so that not all look at the same time.
        seed: u64,
    },
    /// In the same process.
    InProcess {
        /// The JobManager's.
        acceptor: AcceptorSender,
        /// This TaskManager's name, for people.
        name: String,
    },
}

impl Connector {
    /// Connects once. Takes at most 10 s, and as long again to find the leader.
    pub async fn connect(
        &self,
        runtime: &Handle,
    ) -> Result<Link<ToJobManager, ToTaskManager>, ConnectError> {
        match self {
            Self::InProcess { acceptor, name } => {
                let (here, there) = link::in_process();
                let accepted = Accepted { link: there, peer: name.clone() };
                acceptor.0.send(accepted).await.map_err(|_| ConnectError::Unreachable {
                    address: "this process".to_owned(),
                    cause: "it has ended".to_owned(),
                })?;
                Ok(here)
            }
            Self::Remote { transport, address, identity } => {
                within_time(transport.as_ref(), address, *identity, runtime).await
            }
            Self::Located { transport, locator, identity, .. } => {
                let located = tokio::time::timeout(HANDSHAKE_TIMEOUT, locator.locate()).await;
                let located = located.unwrap_or_else(|_| Err("nobody says so in time".to_owned()));
                let LeaderAddress { address, .. } =
                    located.map_err(|cause| ConnectError::NoLeader { cause })?;
                // A pod that is gone doesn't even refuse: nobody is left at its address.
                tokio::select! {
                    biased;
                    done = within_time(transport.as_ref(), &address, *identity, runtime) => done,
                    other = another(locator.as_ref(), &address) => Err(ConnectError::Unreachable {
                        cause: format!("{other} leads now"),
                        address,
                    }),
                }
            }
        }
    }

    /// Looks again and again who leads, and tells; returns at once where it's always the same.
    /// Ends when `tell` says that nobody wants to know any more.
    pub async fn watch(&self, tell: impl Fn(LeaderAddress) -> bool) {
        let Self::Located { locator, period, seed, .. } = self else { return };
        let mut jitter = Jitter::new(*seed);
        loop {
            tokio::time::sleep(jitter.about(*period)).await;
            // What can't be found out now is looked at again.
            if let Ok(leader) = locator.locate().await
                && !tell(leader)
            {
                return;
            }
        }
    }
}

/// Waits until the leader is elsewhere.
async fn another(locator: &dyn LeaderLocator, address: &str) -> String {
    loop {
        tokio::time::sleep(LOOK_PERIOD).await;
        match locator.locate().await {
            Ok(leader) if leader.address != address => return leader.address,
            _ => {}
        }
    }
}

async fn within_time(
    transport: &dyn Transport,
    address: &str,
    identity: Identity,
    runtime: &Handle,
) -> Result<Link<ToJobManager, ToTaskManager>, ConnectError> {
    let attempt = connect_remote(transport, address, identity, runtime);
    tokio::time::timeout(HANDSHAKE_TIMEOUT, attempt).await.unwrap_or_else(|_| {
        Err(ConnectError::Unreachable {
            address: address.to_owned(),
            cause: format!("no answer within {} s", HANDSHAKE_TIMEOUT.as_secs()),
        })
    })
}

async fn connect_remote(
    transport: &dyn Transport,
    address: &str,
    identity: Identity,
    runtime: &Handle,
) -> Result<Link<ToJobManager, ToTaskManager>, ConnectError> {
    let unreachable = |cause: String| ConnectError::Unreachable { address: address.into(), cause };
    let mut stream =
        transport.connect(address.to_owned()).await.map_err(|e| unreachable(e.to_string()))?;
    match handshake::introduce(stream.as_mut(), identity).await {
        Ok(()) => Ok(link::over_stream(stream, address.to_owned(), runtime)),
        Err(error) if error.is_final() => {
            Err(ConnectError::Refused { address: address.into(), cause: error.to_string() })
        }
        Err(error) => Err(unreachable(error.to_string())),
    }
}

/// What to do after a failed or broken connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconnectDecision {
    /// Try again after this pause.
    RetryAfter(Duration),
    /// No connection for longer than `taskmanager.registration.timeout`: end the process.
    GiveUp,
}

/// When to connect again: pauses double from 100 ms to 2 s, a quarter more or less, for at most the
/// time-out. No longer ones: a job may stand still meanwhile, and a JobManager bears as many
/// attempts as heartbeats.
#[derive(Debug, Clone)]
pub struct Reconnect {
    timeout: Duration,
    disconnected_since: Duration,
    pause: Duration,
    jitter: Jitter,
}

impl Reconnect {
    const PAUSE_FIRST: Duration = Duration::from_millis(100);
    const PAUSE_MAX: Duration = Duration::from_secs(2);

    /// Not connected since `now`; gives up after `timeout` (`taskmanager.registration.timeout`).
    /// `seed` is another number for every process: those that have lost the same JobManager aren't
    /// to come back all at once, again and again.
    pub fn new(timeout: Duration, now: Duration, seed: u64) -> Self {
        let (pause, jitter) = (Self::PAUSE_FIRST, Jitter::new(seed));
        Self { timeout, disconnected_since: now, pause, jitter }
    }

    /// An attempt failed at `now`.
    pub fn failed(&mut self, now: Duration) -> ReconnectDecision {
        let left = (self.disconnected_since + self.timeout).saturating_sub(now);
        if left.is_zero() {
            return ReconnectDecision::GiveUp;
        }
        let pause = self.jitter.about(self.pause).min(left);
        self.pause = (self.pause * 2).min(Self::PAUSE_MAX);
        ReconnectDecision::RetryAfter(pause)
    }

    /// A connection that was registered broke at `now`: the time-out begins anew.
    pub fn disconnected(&mut self, now: Duration) {
        (self.disconnected_since, self.pause) = (now, Self::PAUSE_FIRST);
    }
}
