//! Finds the JobManager of a TaskManager's own revision: the leader, however that is found; or,
//! while another revision's leads, the one that has made the TaskManager's pod and gets ready to
//! lead. Others run another program, or the same one with other settings. Not here: how leaders are
//! found.

use std::sync::Arc;

use thalweg_core::ids::Epoch;

use crate::connector::{LeaderLocator, Locating};
use crate::leader::LeaderAddress;

/// Follows leaders of one revision.
#[derive(Debug)]
pub struct RevisionLocator {
    leaders: Arc<dyn LeaderLocator>,
    revision: String,
    /// Where a JobManager of the revision is that may not lead yet.
    preparing: Option<String>,
}

impl RevisionLocator {
    /// Those of `revision` among `leaders`; before there is one, the JobManager at `preparing`.
    pub fn new(
        leaders: Arc<dyn LeaderLocator>,
        revision: String,
        preparing: Option<String>,
    ) -> Self {
        Self { leaders, revision, preparing }
    }

    /// Decides whom to follow:
    ///
    /// 1. The leader, if it is of the own revision.
    /// 2. Else the one that gets ready. It has no epoch yet, so the one that leads is above it.
    fn choose(&self, found: Result<LeaderAddress, String>) -> Result<LeaderAddress, String> {
        let refused = match found {
            Ok(leader) if leader.revision == self.revision => return Ok(leader),
            Ok(leader) => format!(
                "the JobManager at {} leads, of revision {:?}; this TaskManager is of revision \
                 {:?} and waits for a leader of its own",
                leader.address, leader.revision, self.revision
            ),
            Err(why) => why,
        };
        let Some(address) = self.preparing.clone() else { return Err(refused) };
        Ok(LeaderAddress { address, epoch: Epoch(0), revision: self.revision.clone() })
    }
}

impl LeaderLocator for RevisionLocator {
    fn locate(&self) -> Locating<'_> {
        Box::pin(async move { self.choose(self.leaders.locate().await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says the same each time.
    #[derive(Debug)]
    struct Fixed(Result<LeaderAddress, String>);

    impl LeaderLocator for Fixed {
        fn locate(&self) -> Locating<'_> {
            Box::pin(std::future::ready(self.0.clone()))
        }
    }

    fn leads(revision: &str, epoch: u64) -> Result<LeaderAddress, String> {
        let (address, revision) = (format!("{revision}:6123"), revision.to_owned());
        Ok(LeaderAddress { address, epoch: Epoch(epoch), revision })
    }

    async fn followed(
        preparing: Option<&str>,
        found: Result<LeaderAddress, String>,
    ) -> Result<(String, u64), String> {
        let preparing = preparing.map(str::to_owned);
        let locator = RevisionLocator::new(Arc::new(Fixed(found)), "r2".to_owned(), preparing);
        locator.locate().await.map(|leader| (leader.address, leader.epoch.0))
    }

    #[tokio::test]
    async fn leaders_of_the_own_revision_are_followed_and_before_them_who_gets_ready() {
        let maker = || Ok(("maker:6123".to_owned(), 0));
        let own = || Ok(("r2:6123".to_owned(), 6));
        let none = || Err("nobody leads".to_owned());
        assert_eq!(followed(Some("maker:6123"), leads("r1", 5)).await, maker());
        assert_eq!(followed(Some("maker:6123"), none()).await, maker());
        assert_eq!(followed(Some("maker:6123"), leads("", 5)).await, maker());
        assert_eq!(followed(Some("maker:6123"), leads("r2", 6)).await, own());
        assert_eq!(followed(None, leads("r2", 6)).await, own());
        assert_eq!(followed(None, none()).await, Err("nobody leads".to_owned()));
        let refused = followed(None, leads("r1", 7)).await.unwrap_err();
        assert!(refused.contains("\"r1\"") && refused.contains("\"r2\""), "{refused}");
    }
}
