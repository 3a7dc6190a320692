//! The decisions, each replaceable. Those of the production code are the default.

use thalweg_core::ids::{CheckpointId, Epoch};
use thalweg_storage::log::append::{
    AfterPut, AfterReadBack, PutFact, after_put, after_read_back, claim_counts,
};
use thalweg_storage::log::collect::{
    CollectorView, ObjectClass, ObjectOrigin, classify_object, entry_may_go,
};
use thalweg_storage::log::leadership::obeys;
use thalweg_storage::log::search::TailSearch;
use thalweg_storage::log::{
    EntryHeader, Leadership, LogPosition, Published, Refusal, TerminalStatus,
};

use crate::collecting::deletion_order;
use crate::world::ObjectName;

/// What the processes and sinks of a model decide by.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "each is the production function of the same name")]
pub struct Rules {
    pub after_put: fn(PutFact) -> AfterPut,
    pub after_read_back:
        fn(&EntryHeader, Option<&EntryHeader>, Option<&EntryHeader>) -> AfterReadBack,
    pub claim_counts: fn(bool) -> bool,
    pub search_seal: fn(TailSearch, bool) -> TailSearch,
    pub check: fn(&Leadership, Option<&EntryHeader>) -> Result<(), Refusal>,
    pub decide_commit: fn(&Leadership, Option<&EntryHeader>) -> Result<Published, Refusal>,
    pub terminal:
        fn(&Leadership, TerminalStatus, Option<CheckpointId>, u64) -> Result<EntryHeader, Refusal>,
    pub view_of_leader: fn(&Leadership, Option<CheckpointId>) -> CollectorView,
    pub classify_object: fn(&CollectorView, Option<ObjectOrigin>, bool) -> ObjectClass,
    pub deletion_order: fn(Vec<ObjectName>) -> Vec<ObjectName>,
    pub entry_may_go: fn(&CollectorView, &EntryHeader, Option<LogPosition>, u64) -> bool,
    pub obeys: fn(Option<Epoch>, Epoch) -> bool,
    /// Whether names of objects hold their epoch.
    pub names_hold_epochs: bool,
    /// Whether segments are sealed before entries are deleted.
    pub seals: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            after_put,
            after_read_back,
            claim_counts,
            search_seal: TailSearch::seal,
            check: Leadership::check,
            decide_commit: Leadership::decide_commit,
            terminal: Leadership::terminal,
            view_of_leader: CollectorView::of_leader,
            classify_object,
            deletion_order,
            entry_may_go,
            obeys,
            names_hold_epochs: true,
            seals: true,
        }
    }
}
