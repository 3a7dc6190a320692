//! TaskManagers that are about to go: since when that is known, until when they stay, and whether
//! they still have to. Not here: what is moved away from them (`job_master::relocation`).

use std::time::Duration;

use thalweg_core::ids::TaskManagerId;
use thalweg_rpc::message::Leaving;

use super::{Leave, ResourceAction, ResourceManager, SlotEvent};
use crate::moment::Moment;

impl ResourceManager {
    /// What a TaskManager says of its leaving, if it is.
    pub(super) fn says_leaving(
        &mut self,
        id: &TaskManagerId,
        leaving: Option<&Leaving>,
        now: Moment,
    ) -> Vec<ResourceAction> {
        let Some(Leaving { reason, remaining_ms }) = leaving else { return Vec::new() };
        self.leaves(id, reason, Duration::from_millis(*remaining_ms), now)
    }

    /// A TaskManager is about to go, in `remaining` at the latest. It gets no more slots, and what
    /// jobs have there is to be moved. Said again it only shortens the time: clocks differ, and who
    /// says it first may not know how long it really stays.
    pub(super) fn leaves(
        &mut self,
        id: &TaskManagerId,
        reason: &str,
        remaining: Duration,
        now: Moment,
    ) -> Vec<ResourceAction> {
        let Some(known) = self.task_managers.get_mut(id) else { return Vec::new() };
        let until = now.elapsed + remaining;
        if let Some(leave) = &mut known.leave {
            leave.until = leave.until.min(until);
            return Vec::new();
        }
        known.leave = Some(Leave { until, dismissed: None });
        let mut actions = self.slot_event(SlotEvent::Leaving(id.clone()), now);
        actions.push(ResourceAction::Leaving {
            task_manager: id.clone(),
            reason: reason.to_owned(),
            until,
            slots_until: if self.workers.is_some() { until } else { now.elapsed },
        });
        actions
    }

    /// Those that are about to go and haven't been dismissed.
    pub fn leaving(&self) -> impl Iterator<Item = &TaskManagerId> {
        let waits = |leave: &Leave| leave.dismissed.is_none();
        let all = self.task_managers.iter();
        all.filter(move |(_, tm)| tm.leave.as_ref().is_some_and(waits)).map(|(id, _)| id)
    }

    /// One that is about to go needn't wait any more.
    pub fn dismiss(&mut self, id: &TaskManagerId, why: String) {
        let leave = self.task_managers.get_mut(id).and_then(|known| known.leave.as_mut());
        if let Some(leave) = leave {
            leave.dismissed.get_or_insert(why);
        }
    }

    /// Why a TaskManager needn't stay, if it needn't.
    pub fn dismissed(&self, id: &TaskManagerId) -> Option<&str> {
        self.task_managers.get(id)?.leave.as_ref()?.dismissed.as_deref()
    }
}
