//! The connections to TaskManagers: one small task reads each and feeds the mailbox.

use std::collections::BTreeMap;

use thalweg_rpc::message::{JobManagerMessage, ToJobManager, ToTaskManager};
use thalweg_rpc::{Accepted, LinkError, LinkReceiver, LinkSender, SendError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::mail::Mail;
use crate::dispatcher::Event;
use crate::resource_manager::{ConnectionId, Disconnection};

#[derive(Debug)]
struct Connection {
    sender: LinkSender<ToTaskManager>,
    reader: AbortHandle,
    peer: String,
}

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    open: BTreeMap<ConnectionId, Connection>,
    next: u64,
    runtime: Handle,
    mailbox: mpsc::Sender<Mail>,
}

impl Connections {
    pub(super) fn new(runtime: Handle, mailbox: mpsc::Sender<Mail>) -> Self {
        Self { open: BTreeMap::new(), next: 0, runtime, mailbox }
    }

    /// A TaskManager has connected.
    pub(super) fn add(&mut self, accepted: Accepted) {
        self.next += 1;
        let id = ConnectionId(self.next);
        let reader = read(id, accepted.link.receiver, self.mailbox.clone());
        let reader = self.runtime.spawn(reader).abort_handle();
        let connection = Connection { sender: accepted.link.sender, reader, peer: accepted.peer };
        self.open.insert(id, connection);
    }

    /// Closes a connection, after what was sent has been written.
    pub(super) fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.open.remove(&id) {
            connection.reader.abort();
        }
    }

    /// Closes all of them.
    pub(super) fn close_all(&mut self) {
        for connection in std::mem::take(&mut self.open).into_values() {
            connection.reader.abort();
        }
    }

    /// The peer's address, for people.
    pub(super) fn peer(&self, id: ConnectionId) -> &str {
        self.open.get(&id).map_or("", |connection| &connection.peer)
    }

    /// Sends. What doesn't get through is repeated by those who sent it as long as it matters; only
    /// a deployment that can never be sent is an event.
    pub(super) fn send(&self, id: ConnectionId, message: ToTaskManager) -> Option<Event> {
        let connection = self.open.get(&id)?;
        let deployment = match &message.message {
            JobManagerMessage::DeployTasks { job, tasks } => {
                Some((job.job_id, tasks.iter().map(|task| task.attempt).collect()))
            }
            _ => None,
        };
        match connection.sender.try_send(message) {
            Ok(()) => None,
            Err(SendError::TooLarge(cause)) => {
                let Some((job, attempts)) = deployment else {
                    tracing::error!(peer = connection.peer, "an RPC message is lost: {cause}");
                    return None;
                };
                Some(Event::DeploymentRefused { job, attempts, cause })
            }
            Err(error @ (SendError::Full | SendError::Closed)) => {
                tracing::debug!(peer = connection.peer, "an RPC message is lost: {error}");
                None
            }
        }
    }
}

/// How a connection has ended, by the error of its link.
pub(super) fn disconnection(error: &LinkError) -> Disconnection {
    match error {
        LinkError::Closed => Disconnection::Closed,
        LinkError::Broken(_) | LinkError::Garbage(_) => Disconnection::Broken,
    }
}

async fn read(
    id: ConnectionId,
    mut receiver: LinkReceiver<ToJobManager>,
    mailbox: mpsc::Sender<Mail>,
) {
    loop {
        let (mail, last) = match receiver.receive().await {
            Ok(message) => (Mail::Peer(id, Box::new(message)), false),
            Err(error) => (Mail::PeerGone(id, error), true),
        };
        if mailbox.send(mail).await.is_err() || last {
            return;
        }
    }
}
