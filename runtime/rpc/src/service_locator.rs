//! Finds the leader through a name that stands for all JobManagers, as a headless Service of
//! Kubernetes does: each of its addresses is asked, and the highest epoch wins. Not here: how one
//! is asked (`leader`).

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::{BoxFuture, join_all};

use crate::connector::{LeaderLocator, Locating};
use crate::handshake::Identity;
use crate::leader::{LeaderAddress, LeaderAnswer, ask};
use crate::transport::Transport;

/// How many addresses of a name are asked; an application has far fewer JobManagers.
const ADDRESSES_MAX: usize = 16;

/// Turns names into addresses.
pub trait Resolver: Debug + Send + Sync {
    /// All addresses of a host, with this port, in any order.
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// As the machine does.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Asks all JobManagers behind a name.
#[derive(Debug)]
pub struct ServiceLocator {
    resolver: Arc<dyn Resolver>,
    transport: Arc<dyn Transport>,
    host: String,
    port: u16,
    identity: Identity,
    /// The highest epoch that anybody has answered with. A leader of a lower one is none.
    highest: AtomicU64,
}

impl ServiceLocator {
    /// Asks at this port of all addresses of `host`.
    pub fn new(
        resolver: Arc<dyn Resolver>,
        transport: Arc<dyn Transport>,
        (host, port): (String, u16),
        identity: Identity,
    ) -> Self {
        Self { resolver, transport, host, port, identity, highest: AtomicU64::new(0) }
    }

    async fn look(&self) -> Result<LeaderAddress, String> {
        let host = &self.host;
        let found = self.resolver.resolve(host.clone(), self.port).await;
        let mut addresses = found.map_err(|error| format!("{host} has no address: {error}"))?;
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        let each = addresses.iter().map(|address| async {
            let address = address.to_string();
            let answer = ask(self.transport.as_ref(), &address, self.identity).await;
            (address, answer)
        });
        let answers = join_all(each).await;
        let leader = highest(&answers, self.identity.build_id).map_err(|why| {
            format!("none of the JobManagers at {host} ({}) can be followed: {why}", answers.len())
        })?;
        let before = self.highest.fetch_max(leader.epoch.0, Ordering::Relaxed);
        if leader.epoch.0 < before {
            return Err(format!(
                "only a former leader answers at {host}: {} in epoch {}, after epoch {before}",
                leader.address, leader.epoch.0
            ));
        }
        Ok(leader)
    }
}

impl LeaderLocator for ServiceLocator {
    fn locate(&self) -> Locating<'_> {
        Box::pin(self.look())
    }
}

/// Whom to follow, given what each address has answered:
///
/// 1. The one with the highest epoch that anybody names, the lowest address among equals.
/// 2. If that one says of itself that it is of another build, nobody: it is on its way out, or
///    this process is.
fn highest(
    answers: &[(String, Result<LeaderAnswer, String>)],
    build_id: u64,
) -> Result<LeaderAddress, String> {
    let given = || answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let named = given().filter_map(|answer| answer.seen.leader.as_ref());
    let by_epoch =
        |leader: &&LeaderAddress| (leader.epoch, std::cmp::Reverse(leader.address.clone()));
    let Some(leader) = named.max_by_key(by_epoch) else {
        return Err(nobody(answers));
    };
    let own =
        |answer: &&LeaderAnswer| answer.seen.itself && answer.seen.leader.as_ref() == Some(leader);
    match given().find(own).map(|answer| answer.build_id).filter(|build| *build != build_id) {
        Some(other) => Err(format!(
            "{} leads, in epoch {}, and was started from another binary (build {other:016x}, here \
             {build_id:016x})",
            leader.address, leader.epoch.0
        )),
        None => Ok(leader.clone()),
    }
}

fn nobody(answers: &[(String, Result<LeaderAnswer, String>)]) -> String {
    let failed = answers.iter().find_map(|(address, answer)| {
        answer.as_ref().err().map(|why| format!("{address} can't be asked: {why}"))
    });
    failed.unwrap_or_else(|| "nobody leads, as far as they know".to_owned())
}

#[cfg(test)]
mod tests;
