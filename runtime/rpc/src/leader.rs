//! Asking a JobManager who leads: every one answers, whether it leads, stands by, or is of another
//! build. Not here: what is made of several answers (`service_locator`).

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::ids::Epoch;
use tokio::sync::watch;

use crate::handshake::{self, Identity};
use crate::transport::Transport;

/// How long one that is asked may take, with connecting.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the leader is, as far as anybody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderAddress {
    /// Host and port.
    pub address: String,
    /// Its epoch.
    pub epoch: Epoch,
    /// The revision of the application that it runs; empty where there are none.
    pub revision: String,
}

/// Whom a JobManager sees leading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeenLeader {
    /// None: nobody, as far as it knows.
    pub leader: Option<LeaderAddress>,
    /// It is that one itself.
    pub itself: bool,
}

/// What a JobManager answers when it is asked who leads. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct LeaderView(Arc<watch::Sender<SeenLeader>>);

impl LeaderView {
    /// It sees this one leading, or nobody.
    pub fn sees(&self, leader: Option<LeaderAddress>) {
        self.0.send_replace(SeenLeader { leader, itself: false });
    }

    /// It leads itself, at this address.
    pub fn leads(&self, leader: LeaderAddress) {
        self.0.send_replace(SeenLeader { leader: Some(leader), itself: true });
    }

    /// Whom it sees now.
    pub fn now(&self) -> SeenLeader {
        self.0.borrow().clone()
    }
}

/// What one that was asked has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderAnswer {
    /// The build of the one that has answered.
    pub build_id: u64,
    /// Whom it sees leading.
    pub seen: SeenLeader,
}

/// Asks the JobManager at an address who leads.
///
/// # Errors
/// It can't be reached, doesn't answer within 2 s, or not like a JobManager.
pub async fn ask(
    transport: &dyn Transport,
    address: &str,
    identity: Identity,
) -> Result<LeaderAnswer, String> {
    let asked = async {
        let connecting = transport.connect(address.to_owned()).await;
        let mut stream = connecting.map_err(|error| error.to_string())?;
        let answer = handshake::ask_for_leader(stream.as_mut(), identity).await;
        answer.map_err(|error| error.to_string())
    };
    let answered = tokio::time::timeout(ASK_TIMEOUT, asked).await;
    answered.unwrap_or_else(|_| Err(format!("no answer within {ASK_TIMEOUT:?}")))
}
