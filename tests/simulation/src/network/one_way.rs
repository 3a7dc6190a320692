//! Links that are blocked in one direction: what is sent waits until they aren't any more, as TCP
//! would send it again and again. The other direction is open.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};

/// Between two looks at whether a link is still blocked.
const LOOK: Duration = Duration::from_millis(10);

/// The blocked directions, from host to host. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct OneWay(Arc<Mutex<BTreeSet<(String, String)>>>);

impl OneWay {
    /// Nothing passes from one to the other.
    pub fn block(&self, from: &str, to: &str) {
        self.0.lock().insert((from.to_owned(), to.to_owned()));
    }

    /// It passes again.
    pub fn open(&self, from: &str, to: &str) {
        self.0.lock().remove(&(from.to_owned(), to.to_owned()));
    }

    /// All links are open.
    pub fn open_all(&self) {
        self.0.lock().clear();
    }

    /// The way from one host to another.
    pub(super) fn way(&self, from: &str, to: &str) -> Way {
        Way { all: self.clone(), way: (from.to_owned(), to.to_owned()), sleep: None }
    }
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Way {
    all: OneWay,
    way: (String, String),
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Way {
    /// Ready when something may be sent.
    pub(super) fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.all.0.lock().contains(&self.way) {
                self.sleep = None;
                return Poll::Ready(());
            }
            let look = self.sleep.get_or_insert_with(|| Box::pin(sleep(LOOK)));
            if look.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
    }

    /// Waits until something may be sent.
    pub(super) async fn open(&mut self) {
        std::future::poll_fn(|context| self.poll_open(context)).await;
    }
}

/// The host of a connection's other end: the name that was dialled, or whose address it is.
pub(super) fn host_of(peer: &str) -> String {
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    let address = host.parse::<std::net::IpAddr>().ok();
    address.and_then(turmoil::reverse_lookup).unwrap_or_else(|| host.to_owned())
}
