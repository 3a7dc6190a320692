//! JobManagers on real sockets behind a name that a test resolves.

use std::time::Duration;

use addresses::Shared;
use thalweg_core::ids::Epoch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;

use super::*;
use crate::leader::{LeaderView, SeenLeader};
use crate::listener::{Acceptor, ListenerIdentity, accept_channel, listen};
use crate::transport::TcpTransport;
use crate::{ConnectError, Connector};

/// What a name stands for, which changes.
mod addresses {
    use std::sync::{Arc, Mutex};

    #[derive(Debug, Clone, Default)]
    pub(super) struct Shared(Arc<Mutex<Vec<std::net::SocketAddr>>>);

    impl Shared {
        pub(super) fn set(&self, addresses: &[std::net::SocketAddr]) {
            *self.0.lock().unwrap() = addresses.to_vec();
        }

        pub(super) fn get(&self) -> Vec<std::net::SocketAddr> {
            self.0.lock().unwrap().clone()
        }
    }
}

impl Resolver for Shared {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        assert_eq!((host.as_str(), port), ("job-managers", 6123));
        let addresses = self.get();
        let none = || io::Error::new(io::ErrorKind::NotFound, "no such name");
        let found = if addresses.is_empty() { Err(none()) } else { Ok(addresses) };
        Box::pin(std::future::ready(found))
    }
}

struct JobManager {
    address: SocketAddr,
    view: LeaderView,
    acceptor: Acceptor,
}

impl JobManager {
    async fn start(build_id: u64) -> Self {
        let (sender, acceptor) = accept_channel();
        let view = LeaderView::default();
        let identity = ListenerIdentity { identity: Identity { build_id }, leader: view.clone() };
        let runtime = Handle::current();
        let address = listen(&TcpTransport, "127.0.0.1:0", identity, sender, &runtime).await;
        Self { address: address.unwrap(), view, acceptor }
    }

    fn leader(&self, epoch: u64) -> LeaderAddress {
        LeaderAddress {
            address: self.address.to_string(),
            epoch: Epoch(epoch),
            revision: "r1".to_owned(),
        }
    }

    fn leads(&self, epoch: u64) {
        self.view.leads(self.leader(epoch));
    }
}

fn locator(name: &Shared) -> ServiceLocator {
    let resolver = Arc::new(name.clone());
    let at = ("job-managers".to_owned(), 6123);
    ServiceLocator::new(resolver, Arc::new(TcpTransport), at, Identity { build_id: 7 })
}

#[tokio::test]
async fn every_address_is_asked_and_the_highest_epoch_wins() {
    let name = Shared::default();
    let (one, two) = (JobManager::start(7).await, JobManager::start(7).await);
    let locator = locator(&name);
    assert!(locator.locate().await.unwrap_err().contains("no such name"));
    name.set(&[two.address, one.address, one.address]);
    let nobody = locator.locate().await.unwrap_err();
    assert!(nobody.contains("(2)") && nobody.contains("nobody leads"), "{nobody}");
    one.leads(3);
    assert_eq!(locator.locate().await, Ok(one.leader(3)));
    // The other one takes over; the first hasn't noticed.
    two.leads(4);
    assert_eq!(locator.locate().await, Ok(two.leader(4)));
    // One that stands by knows the leader, whose address the name doesn't have yet.
    two.view.sees(Some(LeaderAddress {
        address: "10.0.0.9:6123".to_owned(),
        epoch: Epoch(5),
        revision: "r1".to_owned(),
    }));
    assert_eq!(locator.locate().await.unwrap().address, "10.0.0.9:6123");
}

#[tokio::test]
async fn a_former_leader_that_is_the_only_one_to_answer_is_not_followed() {
    let name = Shared::default();
    let (old, new) = (JobManager::start(7).await, JobManager::start(7).await);
    name.set(&[old.address, new.address]);
    let locator = locator(&name);
    old.leads(1);
    new.leads(2);
    assert_eq!(locator.locate().await, Ok(new.leader(2)));
    name.set(&[old.address]);
    let refused = locator.locate().await.unwrap_err();
    assert!(refused.contains("former leader") && refused.contains("epoch 2"), "{refused}");
    old.leads(3);
    assert_eq!(locator.locate().await, Ok(old.leader(3)));
}

#[tokio::test]
async fn a_leader_of_another_build_answers_and_is_waited_for_to_go() {
    let name = Shared::default();
    let (other, own) = (JobManager::start(8).await, JobManager::start(7).await);
    name.set(&[other.address, own.address]);
    other.leads(3);
    own.view.sees(Some(other.leader(3)));
    let locator = Arc::new(locator(&name));
    let refused = locator.locate().await.unwrap_err();
    assert!(refused.contains("another binary") && refused.contains("epoch 3"), "{refused}");
    let connector = Connector::Located {
        transport: Arc::new(TcpTransport),
        locator,
        identity: Identity { build_id: 7 },
        period: Duration::from_secs(5),
        seed: 1,
    };
    let waits = connector.connect(&Handle::current()).await.unwrap_err();
    assert!(matches!(waits, ConnectError::NoLeader { .. }), "{waits}: it is tried again");
    let mut own = own;
    own.leads(4);
    connector.connect(&Handle::current()).await.unwrap();
    own.acceptor.accept().await.unwrap();
}

#[tokio::test]
async fn who_does_not_answer_like_a_job_manager_or_not_at_all_holds_up_nobody_for_long() {
    let name = Shared::default();
    let leader = JobManager::start(7).await;
    leader.leads(2);
    // One that takes connections and is silent, one that says something else, one that isn't there.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let garbage = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let all = [&silent, &garbage, &gone].map(|listener| listener.local_addr().unwrap());
    drop(gone);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = garbage.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
        }
    });
    let locator = locator(&name);
    name.set(&[&all[..], &[leader.address]].concat());
    assert_eq!(locator.locate().await, Ok(leader.leader(2)));
    name.set(&all);
    let nobody = locator.locate().await.unwrap_err();
    assert!(nobody.contains("can't be asked"), "{nobody}");
    drop(silent);
}

#[test]
fn equal_epochs_and_those_without_a_leader_are_decided_the_same_way_every_time() {
    let answer = |address: &str, epoch: u64, itself: bool| {
        let leader = Some(LeaderAddress {
            address: address.to_owned(),
            epoch: Epoch(epoch),
            revision: String::new(),
        });
        Ok(LeaderAnswer { build_id: 7, seen: SeenLeader { leader, itself } })
    };
    let of = |answers: Vec<Result<LeaderAnswer, String>>| {
        let named: Vec<_> = answers.into_iter().map(|a| (String::new(), a)).collect();
        highest(&named, 7).map(|leader| leader.address)
    };
    let (a, b) = (answer("a:1", 3, false), answer("b:1", 3, false));
    assert_eq!(of(vec![a.clone(), b.clone()]), Ok("a:1".to_owned()));
    assert_eq!(of(vec![b, a]), Ok("a:1".to_owned()));
    let nobody = Ok(LeaderAnswer { build_id: 7, seen: SeenLeader::default() });
    assert_eq!(of(vec![nobody.clone(), answer("c:1", 1, true)]), Ok("c:1".to_owned()));
    assert!(of(vec![nobody]).is_err() && of(Vec::new()).is_err());
}
