//! Under which identity an application's newest state lies, for a resource that is made again under
//! the name of an earlier one. An application has one identity after the other: a restore, and a
//! new run after an end, begin with one of their own. Each leader says here which one is its, by
//! put-if-absent at `lineage/<n>`; nothing is ever deleted there.
//!
//! The lineage itself keeps nobody from writing: the logs of claims do, of which each identity has
//! its own. Who enters looks at its own after it has read the lineage, and claims the former
//! identity's before it writes. So one that was slow either finds its place taken, or itself
//! fenced. Not here: how identities are chosen, which is the operator's to do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::{BlobStore, layout, sealed};

use super::HighAvailabilityError;

const FORMAT_VERSION: u64 = 1;
/// How often it is written, or read after a failure, before that is given up.
const ATTEMPTS_MAX: u32 = 16;
/// Pauses between attempts double from the first to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineageEntry {
    /// The uid of the resource whose leader began, or that was deleted with its state.
    pub owner: String,
    /// The identity under which whoever comes next goes on.
    pub cluster_id: String,
}

/// What a leader does that has read the newest entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineageDecision {
    /// The newest entry is its own: it goes on.
    GoesOn,
    /// It writes its entry after the newest one.
    Append,
    /// It runs nothing: an earlier resource's state lies under this identity.
    Elsewhere(String),
}

/// Decides. `is_first`: its identity is that of a resource of which nothing is known, so it wasn't
/// chosen for what lies there.
pub fn decide(
    newest: Option<&LineageEntry>,
    own: &LineageEntry,
    is_first: bool,
) -> LineageDecision {
    match newest {
        Some(newest) if newest == own => LineageDecision::GoesOn,
        Some(newest)
            if newest.owner != own.owner && newest.cluster_id != own.cluster_id && is_first =>
        {
            LineageDecision::Elsewhere(newest.cluster_id.clone())
        }
        _ => LineageDecision::Append,
    }
}

/// What keeps those that don't lead any more from writing.
pub(super) trait Fence: Sync {
    /// Whether the one that enters still leads under its own identity.
    ///
    /// # Errors
    /// Another one leads (`is_fenced`), or the store fails.
    fn check(&self) -> impl Future<Output = Result<(), HighAvailabilityError>> + Send;

    /// Whoever led under this other identity doesn't any more.
    ///
    /// # Errors
    /// The store fails.
    fn fence(
        &self,
        cluster_id: &str,
    ) -> impl Future<Output = Result<(), HighAvailabilityError>> + Send;
}

/// What came of entering an identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entered {
    /// The place of the newest entry. Of two leaders the one with the higher place came later,
    /// whatever their epochs: these count from 1 again under each identity.
    pub place: u64,
    /// The identity under which the state lies, if that is another one: nothing is to be run here.
    pub elsewhere: Option<String>,
}

/// Enters a leader's identity, unless an earlier resource's state lies elsewhere.
///
/// # Errors
/// The store fails for longer than this waits, what is there can't be read, or another one leads
/// (`is_fenced`).
pub(super) async fn enter(
    store: &dyn BlobStore,
    own: &LineageEntry,
    is_first: bool,
    fence: &impl Fence,
) -> Result<Entered, HighAvailabilityError> {
    let mut pause = PAUSE_FIRST;
    let mut attempt = 1;
    loop {
        let error = match step(store, own, is_first, fence).await {
            Ok(Some(entered)) => return Ok(entered),
            Ok(None) => None,
            Err(error) if error.is_transient() => Some(error),
            Err(error) => return Err(error),
        };
        if attempt == ATTEMPTS_MAX {
            let reason = "others write the lineage again and again".to_owned();
            let job = thalweg_core::ids::cluster_log_id(&own.cluster_id);
            return Err(error.unwrap_or(HighAvailabilityError::Inconsistent { job, reason }));
        }
        attempt += 1;
        if let Some(error) = error {
            tracing::warn!("the lineage can't be entered, it is tried again: {error}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Reads and decides; what was written is read again, so that nothing hangs on a store's answer.
async fn step(
    store: &dyn BlobStore,
    own: &LineageEntry,
    is_first: bool,
    fence: &impl Fence,
) -> Result<Option<Entered>, HighAvailabilityError> {
    let newest = newest(store).await?;
    let last = newest.as_ref().map_or(0, |(place, _)| *place);
    let elsewhere = match decide(newest.as_ref().map(|(_, entry)| entry), own, is_first) {
        LineageDecision::GoesOn => return Ok(Some(Entered { place: last, elsewhere: None })),
        LineageDecision::Elsewhere(cluster_id) => Some(cluster_id),
        LineageDecision::Append => None,
    };
    if elsewhere.is_some() {
        return Ok(Some(Entered { place: last, elsewhere }));
    }
    // In this order: one that was claimed from since claims nothing from who leads now.
    fence.check().await?;
    if let Some((_, former)) = newest.as_ref().filter(|(_, it)| it.cluster_id != own.cluster_id) {
        fence.fence(&former.cluster_id).await?;
    }
    let place = newest.map_or(0, |_| last + 1);
    let path = layout::lineage(place)?;
    let bytes = sealed::to_bytes(own, FORMAT_VERSION, path.as_str())?;
    store.put_if_absent(&path, bytes).await?;
    Ok(None)
}

/// The newest entry and its place. A listing is only a hint: from its end upward to the first place
/// that is empty. Nothing is missing before that, as nothing is deleted.
///
/// # Errors
/// The store fails, or an entry is damaged.
pub async fn newest(
    store: &dyn BlobStore,
) -> Result<Option<(u64, LineageEntry)>, HighAvailabilityError> {
    let listed = store.list(&layout::lineages()?).await?;
    let mut place = listed.iter().filter_map(layout::lineage_of).max().unwrap_or(0);
    let mut found = None;
    loop {
        let path = layout::lineage(place)?;
        match store.get(&path).await {
            Ok(bytes) => {
                found = Some((place, sealed::from_bytes(&bytes, FORMAT_VERSION, path.as_str())?));
            }
            Err(error) if error.kind == BlobErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error.into()),
        }
        place += 1;
    }
}

#[cfg(test)]
mod tests {
    use thalweg_storage::MemoryStore;

    use super::*;

    fn entry(owner: &str, cluster_id: &str) -> LineageEntry {
        LineageEntry { owner: owner.to_owned(), cluster_id: cluster_id.to_owned() }
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(future)
    }

    /// There is nobody else.
    struct Alone;

    impl Fence for Alone {
        async fn check(&self) -> Result<(), HighAvailabilityError> {
            Ok(())
        }

        async fn fence(&self, _: &str) -> Result<(), HighAvailabilityError> {
            Ok(())
        }
    }

    #[test]
    fn a_resource_made_again_is_told_where_the_newest_state_of_its_name_lies() {
        let store = MemoryStore::new();
        let enter =
            |own: &LineageEntry, is_first| now(enter(&store, own, is_first, &Alone)).unwrap();
        let here = |place| Entered { place, elsewhere: None };
        let there = |place| Entered { place, elsewhere: Some("a-x".to_owned()) };
        assert_eq!(enter(&entry("1", "a"), true), here(0));
        assert_eq!(enter(&entry("1", "a"), true), here(0), "started again");
        // The first one has failed, or was restored: another identity.
        assert_eq!(enter(&entry("1", "a-x"), false), here(1));
        assert_eq!(enter(&entry("2", "a"), true), there(1));
        assert_eq!(enter(&entry("2", "a"), true), there(1), "nothing was entered");
        assert_eq!(enter(&entry("2", "a-x"), false), here(2));
        // What the user has asked for stands.
        assert_eq!(enter(&entry("3", "a-restored"), false), here(3));
        let expected = Some((3, entry("3", "a-restored")));
        assert_eq!(now(newest(&store)).unwrap(), expected);
    }

    #[test]
    fn a_place_that_somebody_else_was_quicker_at_is_decided_upon_anew() {
        let newest = entry("1", "a");
        assert_eq!(decide(None, &entry("2", "a"), true), LineageDecision::Append);
        assert_eq!(decide(Some(&newest), &entry("2", "a"), true), LineageDecision::Append);
        assert_eq!(decide(Some(&newest), &entry("1", "a"), true), LineageDecision::GoesOn);
        assert_eq!(decide(Some(&newest), &entry("1", "a-x"), false), LineageDecision::Append);
        assert_eq!(
            decide(Some(&entry("1", "a-x")), &entry("2", "a"), true),
            LineageDecision::Elsewhere("a-x".to_owned())
        );
        // The same resource's operator may have gone back to a revision of the first identity.
        assert_eq!(
            decide(Some(&entry("1", "a-x")), &entry("1", "a"), true),
            LineageDecision::Append
        );
    }
}
